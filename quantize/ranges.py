"""How far activations reach before they are clipped, and one step for tensors that are added.

A range is the part of a tensor's largest value that rounds with the least square error. What it clips counts four times
as much: rounding errors fall to both sides and average out over the positions whose means the head reads, what is cut
off has one sign. Pictures count alike, but for those that reach far: an error counts by 1 / (the picture's own mean
square + the median of them all). A few that reach many times as far as the others (in HiRQA-S 6 of 128, 13 to 180
times the median) would else set the step for all of them. The median keeps the faintest from weighing most. Both are
ours.

What goes round a residual block, what comes out of it and their sum share one step, so that integers are added and the
sum needs no rounding. Where some follow a ReLU and have 255 levels above zero while others have 127, as in ResNets on
the CPU runtimes, each has a step of its own: the coarser one would serve the former badly. ``edge_iqa.quantize.exact``
moves these onto multiples of one. The shared step is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.places import added_places, module_at, rounded_places, rounding_after

RANGE_PARTS = tuple(0.85**power for power in range(27))  # down to 1/70
CLIPPED_COUNTS = 4.0  # times as much
_BATCHES = 8
_LEAST_SQUARE = 1e-12


def _error(rounder: ActivationFakeQuant, x: Tensor, weight: Tensor) -> float:
    """Return what rounding ``x`` ``(N, ...)`` costs: the mean squared error of each picture by its ``weight``."""
    errors = (rounder(x) - x).flatten(1)
    clipped = errors.abs() > 0.51 * rounder.scale
    return float((torch.where(clipped, CLIPPED_COUNTS * errors.square(), errors.square()).mean(1) * weight).mean())


def picture_weights(values: Sequence[Tensor]) -> list[Tensor]:
    """Return what a squared error counts in each picture of batches ``(N, ...)``, a tensor ``(N,)`` for each batch."""
    return _weights([_mean_squares(x) for x in values])


def _mean_squares(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1)


def _weights(squares: Sequence[Tensor]) -> list[Tensor]:
    usual = torch.cat([*squares]).median()
    return [1 / (found + usual).clamp(min=_LEAST_SQUARE) for found in squares]


@torch.no_grad()
def set_ranges(prepared: fx.GraphModule, pictures: Sequence[Tensor]) -> None:
    """Set every range of a network from ``prepare``, in place, from what it holds in float.

    ``pictures`` are normalised ``(N, 3, H, W)`` batches; some of them are run. Ranges that are fixed are left alone, as
    those of pixels and of what is bounded.
    """
    groups = list(_together(prepared))
    group_of = {node: group for group in groups for node in group}
    steps = {group: 0.0 for group in groups}
    errors = {group: [0.0] * len(RANGE_PARTS) for group in groups}
    squares: dict[fx.Node, list[Tensor]] = {node: [] for node in group_of}
    counted: dict[fx.Node, list[Tensor]] = {}

    def widen(node: fx.Node, rounder: ActivationFakeQuant, x: Tensor) -> None:
        group = group_of[node]
        steps[group] = max(steps[group], float(x.abs().max()) / rounder.levels)
        squares[node].append(_mean_squares(x))

    def compare(node: fx.Node, rounder: ActivationFakeQuant, x: Tensor) -> None:
        group = group_of[node]
        if node not in counted:
            counted[node] = _weights(squares[node])
        weight = counted[node].pop(0)
        for index, part in enumerate(RANGE_PARTS):
            rounder.largest.fill_(part * steps[group] * rounder.levels)
            errors[group][index] += _error(rounder, x, weight)

    for look in (widen, compare):
        for batch in pictures[:_BATCHES]:
            Unrounded(prepared, group_of, look).run(batch)
    modules = dict(prepared.named_modules())
    for group in groups:
        part = RANGE_PARTS[errors[group].index(min(errors[group]))]
        for node in group:
            rounder = module_at(modules, node)
            assert isinstance(rounder, ActivationFakeQuant)
            rounder.largest.fill_(part * steps[group] * rounder.levels)


class Unrounded(fx.Interpreter):
    """Runs a prepared network without rounding, and shows what is given to the roundings in ``nodes``."""

    def __init__(
        self,
        prepared: fx.GraphModule,
        nodes: Container[fx.Node] = (),
        look: Callable[[fx.Node, ActivationFakeQuant, Tensor], None] = lambda *_: None,
    ) -> None:
        super().__init__(prepared)
        self._nodes, self._look = nodes, look

    def run_node(self, n: fx.Node) -> Any:
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if not isinstance(module, QuantConv2d | ActivationFakeQuant):
            return super().run_node(n)
        given: Any = self.map_nodes_to_values(n.args, n)
        if isinstance(module, QuantConv2d):
            return module.unrounded(given[0])
        if n in self._nodes:
            self._look(n, module, given[0])
        return given[0]


def _together(prepared: fx.GraphModule) -> Iterator[frozenset[fx.Node]]:
    """Yield the roundings, as nodes, whose steps are to be found, in sets that share one."""
    modules = dict(prepared.named_modules())

    def levels(node: fx.Node) -> int:
        rounder = module_at(modules, node)
        assert isinstance(rounder, ActivationFakeQuant)
        return 0 if rounder.fixed else rounder.levels

    inputs = [[node] for node in prepared.graph.nodes if node.op == "placeholder"]
    groups = [[place.node for place in group] for group in added_places(prepared, rounded_places(prepared))]
    for group in [*inputs, *groups]:
        found = [after for node in group if (after := rounding_after(modules, node)) is not None]
        open_ends = not any(isinstance(module_at(modules, node), nn.Hardtanh) for node in group)
        if open_ends and len({levels(node) for node in found}) == 1 and levels(found[0]):
            yield frozenset(found)
        else:
            yield from (frozenset({node}) for node in found if levels(node))
