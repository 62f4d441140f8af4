"""Steps with which every runtime computes the very same integers.

A runtime multiplies a convolution's integer sum by input step x weight step / output step and rounds. Each does so in
float32 in its own order, and where the product is a hair from a half they round to different sides. It happens to few
values, but each changes the sums of the next layer, and so on: between two runtimes, in a HiRQA-S without this, at most
one value in 100,000 behind the first max pool, 6 to 9 in 100 behind the last block, scores that differed by .0012 on
average and .014 at most. So nothing is left to rounding in float32:

* Steps of activations are powers of two, and of sums odd multiples of them (``edge_iqa.quantize.units``). A network
  of ReLUs, bounds and sums computes the same when a tensor is made larger in the layers that write it and smaller in
  those that read it; so each tensor that meets no other keeps its range, and those that meet in sums come near theirs.
* Steps of weights are such that the factor is a whole multiple of 2^-16: 8 bits before the point (OpenVINO adds 128 to
  what has a sign) and 16 behind it are the 24 that float32 holds. They become longer by that. Biases are whole steps
  that float32 holds (``QuantConv2d.rounded_bias``).

Then products are exact in whatever order, halves are halves everywhere, and all round them to even. This is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.places import Place, module_at, rounded_places, rounding_after
from edge_iqa.quantize.scaling import scale, tied_tensors
from edge_iqa.quantize.units import Wanted, multiples_of_one

FRACTION_BITS = 16  # of the factor
_SIDE = 64  # pixels; of a picture that is shown to see which numbers reach the head


class InFloatUnits(nn.Module):
    """Give the head what it would read in the float network: the last axis ``(..., F)`` times ``factor`` ``(F,)``."""

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


@torch.no_grad()
def make_exact(prepared: fx.GraphModule) -> int:
    """Move the steps of a network from ``prepare`` whose ranges are set, in place; return how many tensors were moved.

    It computes what it did but for the rounding. Tensors that other things read than convolutions, sums and linear
    layers behind means stay as they are, and runtimes may differ there.
    """
    modules = dict(prepared.named_modules())
    larger = {place.node: 1.0 for place in rounded_places(prepared)}
    heads: set[fx.Node] = set()
    moved: set[ActivationFakeQuant] = set()
    for tied in [*tied_tensors(prepared)]:
        rounded = [(place, rounder) for place in tied.places if (rounder := _rounder(modules, place)) is not None]
        if not rounded:
            continue
        factor = _move_steps(rounded)
        scale(tied, torch.tensor([factor]))
        for place in tied.places:
            larger[place.node] = factor
            _limit(prepared, modules, place, factor)
        heads |= tied.heads
        moved |= {rounder for _, rounder in rounded}
    if heads:
        _give_back(prepared, larger, heads)
    _limit_factors(prepared, modules, moved)
    prepared.graph.lint()
    prepared.recompile()
    return len(moved)


def _rounder(modules: Mapping[str, nn.Module], place: Place) -> ActivationFakeQuant | None:
    after = rounding_after(modules, place.node)
    found = None if after is None else module_at(modules, after)
    return found if isinstance(found, ActivationFakeQuant) else None


def _move_steps(rounded: Sequence[tuple[Place, ActivationFakeQuant]]) -> float:
    """Set ranges, whole multiples of a power of two; return by what the tensors become larger."""
    unit, multiples = multiples_of_one([Wanted(float(rounder.scale), place.summed) for place, rounder in rounded])
    power = 2.0 ** round(math.log2(unit))
    for (_, rounder), multiple in zip(rounded, multiples, strict=True):
        rounder.largest.fill_(rounder.levels * multiple * power)
    return power / unit


def _limit(network: fx.GraphModule, modules: Mapping[str, nn.Module], place: Place, factor: float) -> None:
    """Let ReLU6, or a bound, end where it has moved to: at the end of the range, if that was its end before."""
    limit, rounder = module_at(modules, place.node), _rounder(modules, place)
    if not isinstance(limit, nn.Hardtanh):
        return
    least, most = limit.min_val * factor, limit.max_val * factor
    if rounder is not None and rounder.fixed:
        most = float(rounder.largest)
        least = 0.0 if limit.min_val == 0 else -most - float(rounder.scale)
    name = f"limit_{place.node.name}"
    network.add_module(name, nn.Hardtanh(least, most))
    place.node.target = name


def _give_back(network: fx.GraphModule, larger: Mapping[fx.Node, float], heads: set[fx.Node]) -> None:
    """Put ``InFloatUnits`` before the linear layers that read what has become larger."""
    seen = _Factors(network, larger, heads)
    seen.run(torch.zeros(1, 3, _SIDE, _SIDE))
    for source in dict.fromkeys(head.all_input_nodes[0] for head in network.graph.nodes if head in heads):
        readers = [reader for reader in source.users if reader in heads]
        name = f"in_float_units_{source.name}"
        network.add_module(name, InFloatUnits(1 / seen.found[readers[0]]))
        with network.graph.inserting_after(source):
            given = network.graph.call_module(name, (source,))
        for reader in readers:
            reader.replace_input_with(source, given)


class _Factors(fx.Interpreter):
    """Runs a network in which each tensor that became larger holds only by how much, and notes what ``heads`` read."""

    def __init__(self, network: fx.GraphModule, larger: Mapping[fx.Node, float], heads: set[fx.Node]) -> None:
        super().__init__(network)
        self.found: dict[fx.Node, Tensor] = {}
        self._larger, self._heads = larger, heads
        self._modules = dict(network.named_modules())

    def run_node(self, n: fx.Node) -> Any:
        place = n
        while isinstance(module_at(self._modules, place), ActivationFakeQuant):
            place = place.all_input_nodes[0]
        if n in self._heads:
            given: Any = self.map_nodes_to_values(n.args, n)
            self.found[n] = given[0].flatten(0, -2)[0].clone()
        out = super().run_node(n)
        return torch.full_like(out, self._larger[place]) if place in self._larger else out


def _limit_factors(network: fx.GraphModule, modules: Mapping[str, nn.Module], moved: set[ActivationFakeQuant]) -> None:
    """Let the factor of every convolution between exact steps be a multiple of what float32 holds exactly."""
    for place in rounded_places(network):
        conv, after = module_at(modules, place.begin), _rounder(modules, place)
        if not isinstance(conv, QuantConv2d):
            continue
        power = None if not conv.input_rounder else _power_of_two_in(float(conv.input_rounder[0].scale))
        if after in moved and after is not None and power is not None:
            conv.weight_unit.fill_(2.0**-FRACTION_BITS * float(after.scale) / power)
        conv.weight_scale.copy_(conv.scale_of(conv.weight))


def _power_of_two_in(step: float) -> float | None:
    """Return the power of two of which ``step`` is an odd multiple up to 7, if it is one."""
    mantissa, exponent = math.frexp(step)
    power = next((bits for bits in range(1, 4) if (mantissa * 2**bits).is_integer()), None)
    return None if power is None else 2.0 ** (exponent - power)
