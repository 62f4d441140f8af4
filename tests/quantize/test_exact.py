"""Exact steps: the network computes what it did, and every runtime the very same integers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from edge_iqa.backends.base import CPU_BACKENDS, backend_class
from edge_iqa.export.openvino import to_openvino
from edge_iqa.export.qdq import integer_pixels, round_biases, unsigned_dialect
from edge_iqa.export.tflite import onnx_to_tflite
from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.bounds import put_bounds
from edge_iqa.quantize.exact import InFloatUnits, make_exact
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.freeze import export_int8
from edge_iqa.quantize.package import folded_student
from edge_iqa.quantize.pixel_grid import pixel_grid
from edge_iqa.quantize.places import is_sum, module_at
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.ranges import Unrounded, set_ranges

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 96
LITE, BOUNDED, UNBOUNDED = "hirqa-s-lite", "hirqa-s bounded", "hirqa-s"


@dataclass
class Case:
    """A student in float, what it wants of pixels, pictures ``(1, SIDE, SIDE, 3)`` and the same as it wants them."""

    network: fx.GraphModule
    pixels: Normalisation
    tensors: list[NDArray[np.uint8]]
    batches: list[Tensor]

    def prepared(self, *, exact: bool = True) -> fx.GraphModule:
        result = prepare(self.network, pixels=pixel_grid(self.pixels.mean, self.pixels.std)).eval()
        set_ranges(result, self.batches)
        if exact:
            assert make_exact(result) > 20
        return result


@pytest.fixture(scope="module", params=[LITE, BOUNDED, UNBOUNDED])
def case(request: pytest.FixtureRequest, student: HirqaSLite) -> Case:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8).repeat(SIDE // 8, 1).repeat(SIDE // 8, 2)
    tensors = [(one[None] // 2 + rng.integers(0, 128, (1, SIDE, SIDE, 3))).astype(np.uint8) for one in coarse]
    if request.param == LITE:
        made: HirqaSLite | HiRQA = student
    else:
        torch.manual_seed(2)
        made = HiRQA(18).eval()
        for norm in (module for module in made.modules() if isinstance(module, nn.BatchNorm2d)):
            nn.init.normal_(norm.bias, std=0.3)  # else convolutions have no bias
    network, pixels = folded_student(made, exact_pixels=True)
    batches = [pixels(torch.from_numpy(tensor)) for tensor in tensors]
    if request.param == BOUNDED:
        network = put_bounds(network, batches, 3.0)
    return Case(network, pixels, tensors, batches)


@torch.no_grad()
def test_without_rounding_the_network_gives_what_it_gave(case: Case) -> None:
    before, after = (case.prepared(exact=exact) for exact in (False, True))
    head = {network: network.get_submodule("fc.0") for network in (before, after)}
    read: dict[nn.Module, Tensor] = {}
    for network, layer in head.items():
        layer.register_forward_pre_hook(lambda _, given, network=network: read.update({network: given[0]}))
    for batch in case.batches[:2]:
        found, wanted = (Unrounded(network).run(batch) for network in (after, before))
        assert torch.allclose(found, wanted, atol=1e-5)
        assert torch.allclose(read[after], read[before], atol=1e-4)  # in the units of the float network


def test_steps_are_powers_of_two_and_sums_odd_multiples(case: Case) -> None:
    prepared = case.prepared()
    modules = dict(prepared.named_modules())
    odd = 0
    for node in prepared.graph.nodes:
        rounder = module_at(modules, node)
        if isinstance(rounder, ActivationFakeQuant):
            step = float(rounder.scale)
            power = math.log2(step)
            source = node.args[0]
            summed = is_sum(source) or any(is_sum(one) for one in source.all_input_nodes)
            multiple = step / 2 ** math.floor(power + 1e-9)
            assert multiple == 1 or (summed and multiple in (1.5, 1.25, 1.75)), node
            odd += multiple != 1
    assert odd < 10


def test_factors_have_no_more_places_than_float32_holds(case: Case) -> None:
    prepared = case.prepared()
    modules = dict(prepared.named_modules())
    coarser = []
    for node in prepared.graph.nodes:
        conv = module_at(modules, node)
        if not isinstance(conv, QuantConv2d):
            continue
        after = next(iter(node.users))
        after = after if isinstance(module_at(modules, after), ActivationFakeQuant) else next(iter(after.users))
        rounder = module_at(modules, after)
        assert isinstance(rounder, ActivationFakeQuant)
        factor = conv.input_rounder[0].scale.double() * conv.weight_scale.double() / rounder.scale.double()
        assert torch.equal(factor * 2**16, (factor * 2**16).round())
        assert factor.min() > 0
        conv.weight_unit.zero_()
        coarser.append(float((conv.weight_scale / conv.scale_of(conv.weight)).mean()))
    assert min(coarser) >= 1
    assert np.mean(coarser) < 1.08


def _artefacts(prepared: fx.GraphModule, pixels: Normalisation, folder: Path) -> dict[str, bytes]:
    path = folder / "graph.onnx"
    export_int8(prepared, pixels.mean, pixels.std, (SIDE, SIDE), path)
    unsigned = round_biases(unsigned_dialect(onnx.load(path)))
    xml, weights = to_openvino(unsigned)
    return {
        "model.int8.u8.onnx": integer_pixels(unsigned).SerializeToString(),
        "model.int8.tflite": onnx_to_tflite(integer_pixels(unsigned)),
        "openvino/model.xml": xml,
        "openvino/model.bin": weights,
    }


def _scores(files: dict[str, bytes], tensors: list[NDArray[np.uint8]]) -> Iterator[NDArray[np.float64]]:
    for name in CPU_BACKENDS:
        found = backend_class(name)
        with closing(found({file: files[file] for file in found.artefacts["int8"]})) as backend:
            yield np.array([backend.infer(tensor) for tensor in tensors])


def test_every_runtime_gives_the_score_of_fake_quantization(case: Case, tmp_path: Path) -> None:
    prepared = case.prepared()
    with torch.no_grad():
        wanted = np.array([float(prepared(batch)) for batch in case.batches])
    assert wanted.std() > 1e-4
    for found in _scores(_artefacts(prepared, case.pixels, tmp_path), case.tensors):
        assert found == pytest.approx(wanted, abs=2e-6)


def test_what_something_else_reads_stays_as_it_is() -> None:
    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.fc = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            seen = torch.relu(self.second(self.first(x)))
            out: Tensor = self.fc((seen * seen).mean((2, 3)))
            return out

    torch.manual_seed(0)
    prepared = prepare(Squared().eval())
    pictures = [torch.randn(2, 3, 16, 16)]
    set_ranges(prepared, pictures)
    weight = prepared.get_parameter("fc.weight").clone()
    rounders = [one for one in prepared.modules() if isinstance(one, ActivationFakeQuant)]
    before = [float(one.largest) for one in rounders]
    make_exact(prepared)
    kept = [float(one.largest) == old for one, old in zip(rounders, before, strict=True)]
    assert kept == [True, False, True]  # the input, what is between the layers, and what is squared
    assert torch.equal(prepared.get_parameter("fc.weight"), weight)
    assert not any(isinstance(module, InFloatUnits) for module in prepared.modules())


@torch.no_grad()
def test_biases_are_whole_steps_in_float32_too(case: Case) -> None:
    layers = [module for module in case.prepared().modules() if isinstance(module, QuantConv2d)]
    lost = 0
    for layer in layers:
        grid = layer.input_rounder[0].scale.double() * layer.weight_scale.double()
        places = (layer.weight_scale / layer.weight_unit).double()
        steps = (1.07 * 2**24 / places).floor() // 2 * 2 + 1  # odd ones, beyond what float32 holds
        layer.bias.copy_(steps * grid)
        held = layer.rounded_bias().double() / grid
        assert torch.equal(held, held.round())
        assert (held - steps).abs().max() <= 8
        lost += int(((steps * grid).float().double() != steps * grid).sum())
    assert lost > 0  # rounded to the nearest step alone
