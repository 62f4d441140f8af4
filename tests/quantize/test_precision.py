"""Raising precision: the layer whose rounding hurts is found, made float, and the budget holds after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import fx

from edge_iqa.models.efficientnet_lite import SameConv2d
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.preprocess import PreprocessSpec
from edge_iqa.quantize.budget import parse_budget
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d, set_quantization
from edge_iqa.quantize.package import Student
from edge_iqa.quantize.precision import meet_budget
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.sensitivity import keep_float, layer_sensitivities

BAD = "trunk.blocks.6.layers.6"


@pytest.fixture
def prepared(student: HirqaSLite) -> fx.GraphModule:
    """Return the student with ranges from noise, and one layer that can only hold three weights."""
    result = prepare(student)
    set_quantization(result, enabled=False)
    with torch.no_grad():
        for _ in range(3):
            result(torch.randn(4, 3, 64, 64))
    set_quantization(result, observing=False, enabled=True)
    layer = result.get_submodule(BAD)
    assert isinstance(layer, QuantConv2d)
    layer.weight_max = 1
    return result.eval()


def test_the_layer_that_hurts_comes_first(student: HirqaSLite, prepared: fx.GraphModule) -> None:
    found = layer_sensitivities(prepared, student, [torch.randn(2, 3, 64, 64)])
    assert found[0].name == BAD
    assert found[0].error < 0.7 * found[1].error
    assert len(found) == sum(isinstance(module, QuantConv2d) for module in prepared.modules())


def test_a_float_layer_is_a_plain_convolution_and_loses_the_rounding_only_it_reads(prepared: fx.GraphModule) -> None:
    before = sum(isinstance(module, ActivationFakeQuant) for module in prepared.modules())
    kept = keep_float(prepared, ["trunk.stem.0", BAD])
    assert type(kept.get_submodule(BAD)) is SameConv2d
    assert isinstance(prepared.get_submodule(BAD), QuantConv2d)  # the original stays
    after = sum(isinstance(module, ActivationFakeQuant) for module in kept.modules())
    assert after < before  # the input, which the stem alone reads, and what only that layer reads
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert (kept(x) - prepared(x)).abs().max() > 0


def test_a_missed_budget_is_met_by_keeping_that_layer_float(
    student: HirqaSLite, prepared: fx.GraphModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_iqa.quantize.precision.MOST_FLOAT_LAYERS", 2)
    spec = PreprocessSpec(64, 64)
    made = Student("tiny", "hirqa-s-lite", student, prepared, student.mean, student.std, spec, 7)
    rng = np.random.default_rng(0)
    tensors = [rng.integers(0, 256, (1, 64, 64, 3), np.uint8) for _ in range(24)]
    loose = meet_budget(made, parse_budget("max_abs<=1"), tensors)
    assert loose.kept_float == []
    worst = max(drift.value("max_abs") for drift in loose.drifts)
    met = meet_budget(made, parse_budget(f"max_abs<={0.8 * worst:.6f}"), tensors)
    assert met.kept_float[0].startswith(BAD)
    assert met.missed == []
    impossible = meet_budget(made, parse_budget("max_abs<=0"), tensors)
    assert impossible.missed
    assert len(impossible.kept_float) == 2
