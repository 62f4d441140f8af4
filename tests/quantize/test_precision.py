"""Raising precision: the layer whose rounding hurts is found, made float, and the budget holds after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import fx

from edge_iqa.models.efficientnet_lite import SameConv2d
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.teacher import normalised
from edge_iqa.preprocess import PreprocessSpec
from edge_iqa.quantize import precision
from edge_iqa.quantize.budget import TargetScores, parse_budget
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.package import Student
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.reconstruct import reconstruct
from edge_iqa.quantize.sensitivity import keep_float, layer_sensitivities

BAD = "trunk.blocks.6.layers.6"


@pytest.fixture
def prepared(student: HirqaSLite) -> fx.GraphModule:
    """Return the student with ranges from noise, and one layer that can only hold three weights."""
    torch.manual_seed(0)
    result = prepare(student)
    layer = result.get_submodule(BAD)
    assert isinstance(layer, QuantConv2d)
    layer.weight_max = 1
    set_ranges(result, [torch.randn(4, 3, 64, 64) for _ in range(3)])
    reconstruct(result, [torch.randn(4, 3, 64, 64) for _ in range(3)])
    return result.eval()


def test_the_layer_that_hurts_comes_first(student: HirqaSLite, prepared: fx.GraphModule) -> None:
    found = layer_sensitivities(prepared, student, [torch.randn(16, 3, 64, 64)])
    assert found[0].name == BAD
    assert found[0].error < 0.97 * found[1].error
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


def _drift_in_torch(models: dict[str, Student], tensors: list[NDArray[np.uint8]]) -> list[TargetScores]:
    """Stand for the runtimes, which other tests hold to fake quantization: the loop is what is tested here."""
    student = models["student"]
    pictures = [normalised(torch.from_numpy(tensor), HirqaSLite.mean, HirqaSLite.std) for tensor in tensors]
    with torch.no_grad():
        reference, scores = (
            np.array([float(network(picture)) for picture in pictures])
            for network in (student.network, student.prepared)
        )
    return [TargetScores("torch int8", reference, scores)]


@pytest.fixture
def made(student: HirqaSLite, prepared: fx.GraphModule, monkeypatch: pytest.MonkeyPatch) -> Student:
    monkeypatch.setattr(precision, "MOST_FLOAT_LAYERS", 2)
    monkeypatch.setattr(precision, "export_models", lambda student: {"student": student})
    monkeypatch.setattr(precision, "measure_drift", _drift_in_torch)
    spec = PreprocessSpec(64, 64)
    return Student("tiny", "hirqa-s-lite", student, prepared, prepared, student.mean, student.std, spec, 7)


@pytest.fixture
def tensors() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, 64, 64, 3), np.uint8) for _ in range(4)]


def test_a_missed_budget_is_met_by_keeping_the_costliest_layer_float(
    made: Student, student: HirqaSLite, tensors: list[NDArray[np.uint8]]
) -> None:
    loose = precision.meet_budget(made, parse_budget("max_abs<=1"), tensors)
    assert loose.raised == []
    worst = loose.drifts[0].value("max_abs")
    met = precision.meet_budget(made, parse_budget(f"max_abs<={0.9 * worst:.6f}"), tensors)
    pictures = [normalised(torch.from_numpy(tensor), HirqaSLite.mean, HirqaSLite.std) for tensor in tensors]
    costliest = layer_sensitivities(made.prepared, student, pictures)[0].name
    assert met.raised[0].startswith(f"{costliest}: float")
    assert type(met.student.prepared.get_submodule(costliest)) is SameConv2d
    assert met.missed == []
    impossible = precision.meet_budget(made, parse_budget("max_abs<=0"), tensors)
    assert impossible.missed
    assert len(impossible.raised) == 2


def test_weights_get_more_bits_before_any_layer_is_kept_float(
    made: Student, student: HirqaSLite, tensors: list[NDArray[np.uint8]]
) -> None:
    finer_network = prepare(student)
    set_ranges(finer_network, [torch.randn(4, 3, 64, 64) for _ in range(3)])
    finer = replace(made, prepared=finer_network.eval(), signed=finer_network, weight_bits=8)
    asked: list[None] = []

    def make_finer() -> Student:
        asked.append(None)
        return finer

    coarse = precision.meet_budget(made, parse_budget("max_abs<=1"), tensors, finer=make_finer)
    assert (coarse.student.weight_bits, asked) == (7, [])
    worst = coarse.drifts[0].value("max_abs")
    met = precision.meet_budget(made, parse_budget(f"max_abs<={0.9 * worst:.6f}"), tensors, finer=make_finer)
    assert (met.student.weight_bits, met.raised, met.missed) == (8, ["weights of all layers: 8 bits"], [])
    told: list[tuple[int, int]] = []
    precision.meet_budget(
        made, parse_budget("max_abs<=0"), tensors, lambda done, total: told.append((done, total)), finer=make_finer
    )
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert len(asked) == 2


def test_a_layer_whose_rounding_costs_nothing_is_not_given_up(
    made: Student, tensors: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "logit_error", lambda *_: 0.0)
    kept = precision.meet_budget(made, parse_budget("max_abs<=0"), tensors)
    assert kept.missed
    assert kept.raised == []
