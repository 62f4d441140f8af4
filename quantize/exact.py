"""Steps with which every runtime computes the very same integers.

A runtime multiplies a convolution's integer sum by input step x weight step / output step and rounds. Each does so in
float32 in its own order, and where the product is a hair from a half they round to different sides. It happens to few
values, but each changes the sums of the next layer, and so on: in HiRQA-S one value in 100,000 behind the first block,
one in ten behind the last, scores that differ by .0012 on average and .014 at most. So nothing is left to rounding in
float32:

* Steps of activations are powers of two, and of sums odd multiples of them (``edge_iqa.quantize.units``). A network
  of ReLUs, bounds and sums computes the same when a tensor is made larger in the layers that write it and smaller in
  those that read it; so each tensor that meets no other keeps its range, and those that meet in sums come near theirs.
* Steps of weights are such that the factor is a whole multiple of 2^-16: 8 bits before the point (OpenVINO adds 128 to
  what has a sign) and 16 behind it are the 24 that float32 holds. They become longer by that, on average by a few
  percent where the factor is smallest.

Then products are exact in whatever order, halves are halves everywhere, and all round them to even. This is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.places import Place, added_places, is_sum, module_at, place_before, rounded_places
from edge_iqa.quantize.units import Wanted, multiples_of_one

FRACTION_BITS = 16  # of the factor
_PASSED_ON = ("flatten", "transpose", "permute", "mean", "reshape", "view")
_PASSED_ON_BY = (torch.cat, torch.flatten, torch.mean)
_SIDE = 64  # pixels; of a picture that is shown to see which numbers reach the head


class InFloatUnits(nn.Module):
    """Give the head what it would read in the float network: the last axis ``(..., F)`` times ``factor`` ``(F,)``."""

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


@dataclass
class _Group:
    """Tensors that can only be made larger together; ``heads`` are the linear layers that read them in float."""

    places: list[Place]
    rounders: list[ActivationFakeQuant | None]
    writers: list[nn.Conv2d]
    readers: list[nn.Conv2d]
    heads: set[fx.Node]
    factor: float = 1.0


@torch.no_grad()
def make_exact(prepared: fx.GraphModule) -> int:
    """Move the steps of a network from ``prepare`` whose ranges are set, in place; return how many tensors were moved.

    It computes what it did but for the rounding. Tensors that other things read than convolutions, sums and linear
    layers behind means stay as they are, and runtimes may differ there.
    """
    modules = dict(prepared.named_modules())
    groups = list(_scalable(prepared, modules))
    for group in groups:
        group.factor = _move_steps(group)
        for conv in group.writers:
            _scale(conv, group.factor, bias=True)
        for conv in group.readers:
            _scale(conv, 1 / group.factor, bias=False)
        for place, rounder in zip(group.places, group.rounders, strict=True):
            _limit(prepared, modules, place, group.factor, rounder)
    _give_back(prepared, groups)
    moved = {rounder for group in groups for rounder in group.rounders if rounder is not None}
    _limit_factors(prepared, modules, moved)
    prepared.graph.lint()
    prepared.recompile()
    return len(moved)


def _scalable(network: fx.GraphModule, modules: Mapping[str, nn.Module]) -> Iterator[_Group]:
    """Yield the groups of tensors whose scale nobody but convolutions, sums and the head would notice."""
    places = rounded_places(network)
    known = {place.node: place for place in places}
    for group in added_places(network, places):
        readers: list[nn.Conv2d] = []
        heads: set[fx.Node] = set()
        writers = [module for place in group if isinstance(module := module_at(modules, place.begin), nn.Conv2d)]
        inputs = [source for place in group if place.summed for source in place.begin.all_input_nodes]
        whole = all(place_before(modules, known, source) is not None for source in inputs)
        whole = whole and all(conv.bias is not None for conv in writers)
        for place in group:
            whole = whole and _read_by(modules, place.node, readers, heads)
        if whole:
            yield _Group(group, [_rounder(modules, place) for place in group], writers, readers, heads)


def _rounder(modules: Mapping[str, nn.Module], place: Place) -> ActivationFakeQuant | None:
    found = [module_at(modules, user) for user in place.node.users]
    return next((one for one in found if isinstance(one, ActivationFakeQuant)), None)


def _read_by(
    modules: Mapping[str, nn.Module],
    node: fx.Node,
    readers: list[nn.Conv2d],
    heads: set[fx.Node],
    *,
    averaged: bool = False,
) -> bool:
    """Add what reads ``node`` to ``readers`` and ``heads``; return whether it is nothing else."""
    for user in node.users:
        module = module_at(modules, user)
        if isinstance(module, nn.Linear):
            heads.add(user)
        elif isinstance(module, nn.Conv2d) and not averaged:
            readers.append(module)
        elif is_sum(user) and not averaged:
            continue
        elif isinstance(module, ActivationFakeQuant | nn.MaxPool2d) and not averaged:
            if not _read_by(modules, user, readers, heads):
                return False
        elif (user.op == "call_method" and user.target in _PASSED_ON) or user.target in _PASSED_ON_BY:
            if not _read_by(modules, user, readers, heads, averaged=True):
                return False
        elif user.target is not getattr:  # the shape of a tensor
            return False
    return True


def _move_steps(group: _Group) -> float:
    """Set the ranges of a group, whole multiples of a power of two; return by what its tensors become larger."""
    rounded = [(place, rounder) for place, rounder in zip(group.places, group.rounders, strict=True) if rounder]
    if not rounded:
        return 1.0
    wanted = [Wanted(float(rounder.scale), place.summed, rounder.fixed) for place, rounder in rounded]
    unit, multiples = multiples_of_one(wanted)
    power = 2.0 ** round(math.log2(unit))
    for (_, rounder), multiple in zip(rounded, multiples, strict=True):
        rounder.largest.fill_(rounder.levels * multiple * power)
    return power / unit


def _scale(conv: nn.Conv2d, factor: float, *, bias: bool) -> None:
    """Multiply the weights of a convolution, and its bias, which inputs do not scale, where ``bias`` says so."""
    held = [conv.float_weight, conv.float_bias] if isinstance(conv, QuantConv2d) else []
    for value in (conv.weight, conv.bias, *held):
        if value is not None and (bias or value.ndim == 4):
            value.mul_(factor)


def _limit(
    network: fx.GraphModule,
    modules: Mapping[str, nn.Module],
    place: Place,
    factor: float,
    rounder: ActivationFakeQuant | None,
) -> None:
    """Let ReLU6, or a bound, end where it has moved to: at the end of the range, if that was its end before."""
    limit = module_at(modules, place.node)
    if not isinstance(limit, nn.Hardtanh):
        return
    least, most = limit.min_val * factor, limit.max_val * factor
    if rounder is not None and rounder.fixed:
        most = float(rounder.largest)
        least = 0.0 if limit.min_val == 0 else -most - float(rounder.scale)
    name = f"limit_{place.node.name}"
    network.add_module(name, nn.Hardtanh(least, most))
    place.node.target = name


def _give_back(network: fx.GraphModule, groups: list[_Group]) -> None:
    """Put ``InFloatUnits`` before the linear layers that read what has become larger."""
    larger = {place.node: group.factor for group in groups if group.heads for place in group.places}
    heads = {head for group in groups for head in group.heads}
    if not heads:
        return
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
