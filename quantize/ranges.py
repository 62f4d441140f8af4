"""How far activations reach before they are clipped, and one step for tensors that are added.

A range is the part of a tensor's largest value that rounds with the least square error. Pictures count alike, but for
those that reach far: an error counts by 1 / (the picture's own mean square + the median of them all). A few that reach
many times as far as the others (in HiRQA-S 6 of 128, 13 to 180 times the median) would else set the step for all of
them. The median keeps the faintest from weighing most. That is ours.

What goes round a residual block, what comes out of it and their sum share one step, so that integers are added and the
sum needs no rounding. With a step for each, the sum would be rounded again in every block, and runtimes would differ:
OpenVINO leaves out the rounding of a convolution whose result is added to something, the others cannot. On one grid
that is the same number. Where some follow a ReLU and have 255 levels above zero while others have 127, as in ResNets on
the CPU runtimes, each keeps its step: the coarser one would serve the former badly. There OpenVINO's graph holds on to
the rounding (``edge_iqa.export.openvino``). The shared step is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.fake_quantization import ActivationFakeQuant, QuantConv2d
from edge_iqa.quantize.prepare import is_sum, module_at

RANGE_PARTS = tuple(0.85**power for power in range(27))  # down to 1/70
_BATCHES = 8
_LEAST_SQUARE = 1e-12


@torch.no_grad()
def set_range(rounder: ActivationFakeQuant, values: Sequence[Tensor]) -> None:
    """Set the range of ``rounder``, in place, from batches of what it will round."""
    largest = max(float(x.abs().max()) for x in values)
    errors = []
    shown = values[:_BATCHES]
    counted = picture_weights(shown)
    for part in RANGE_PARTS:
        rounder.largest.fill_(part * largest)
        errors.append(sum(_error(rounder, x, weight) for x, weight in zip(shown, counted, strict=True)))
    rounder.largest.fill_(largest * RANGE_PARTS[errors.index(min(errors))])


def _error(rounder: ActivationFakeQuant, x: Tensor, weight: Tensor) -> float:
    """Return what rounding ``x`` ``(N, ...)`` costs: the mean squared error of each picture by its ``weight``."""
    return float(((rounder(x) - x).flatten(1).square().mean(1) * weight).mean())


def picture_weights(values: Sequence[Tensor]) -> list[Tensor]:
    """Return what a squared error counts in each picture of batches ``(N, ...)``, a tensor ``(N,)`` for each batch."""
    return _weights([_mean_squares(x) for x in values])


def _mean_squares(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1)


def _weights(squares: Sequence[Tensor]) -> list[Tensor]:
    usual = torch.cat([*squares]).median()
    return [1 / (found + usual).clamp(min=_LEAST_SQUARE) for found in squares]


@torch.no_grad()
def share_steps(prepared: fx.GraphModule, pictures: Sequence[Tensor]) -> set[ActivationFakeQuant]:
    """Set the ranges of all tensors that are added to others, in place, and return what rounds them.

    ``pictures`` are normalised ``(N, 3, H, W)`` batches; some of them are run, in float. The range of pixels is left
    alone, and so are those after a ReLU6, which clips where its range ends.
    """
    groups = _added(prepared)
    group_of = {rounder: group for group in groups for rounder in group}
    steps = {group: 0.0 for group in groups}
    errors = {group: [0.0] * len(RANGE_PARTS) for group in groups}
    squares: dict[ActivationFakeQuant, list[Tensor]] = {rounder: [] for rounder in group_of}
    counted: dict[ActivationFakeQuant, list[Tensor]] = {}

    def widen(rounder: ActivationFakeQuant, x: Tensor) -> None:
        group = group_of[rounder]
        steps[group] = max(steps[group], float(x.abs().max()) / rounder.levels)
        squares[rounder].append(_mean_squares(x))

    def compare(rounder: ActivationFakeQuant, x: Tensor) -> None:
        group = group_of[rounder]
        if rounder not in counted:
            counted[rounder] = _weights(squares[rounder])
        weight = counted[rounder].pop(0)
        for index, part in enumerate(RANGE_PARTS):
            rounder.largest.fill_(part * steps[group] * rounder.levels)
            errors[group][index] += _error(rounder, x, weight)

    for look in (widen, compare):
        for batch in pictures[:_BATCHES]:
            _Float(prepared, {rounder: look for rounder in group_of}).run(batch)
    for group in groups:
        part = RANGE_PARTS[errors[group].index(min(errors[group]))]
        for rounder in group:
            rounder.largest.fill_(part * steps[group] * rounder.levels)
    return set(group_of)


class _Float(fx.Interpreter):
    """Runs a prepared network without rounding, and shows what the rounders in ``look`` are given."""

    def __init__(
        self, prepared: fx.GraphModule, look: dict[ActivationFakeQuant, Callable[[ActivationFakeQuant, Tensor], None]]
    ) -> None:
        super().__init__(prepared)
        self._look = look

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(target)
        if isinstance(module, QuantConv2d):
            return module.unrounded(*args)
        if not isinstance(module, ActivationFakeQuant):
            return super().call_module(target, args, kwargs)
        if module in self._look:
            self._look[module](module, args[0])
        return args[0]


def _added(prepared: fx.GraphModule) -> list[frozenset[ActivationFakeQuant]]:
    """Return the sets of rounders, of one number of levels each, whose tensors meet in sums, through all blocks."""
    modules = dict(prepared.named_modules())
    groups: list[frozenset[ActivationFakeQuant]] = []
    for node in prepared.graph.nodes:
        if not is_sum(node):
            continue
        after = [*node.users]
        if after and isinstance(module_at(modules, after[0]), nn.ReLU | nn.ReLU6):
            after = [*after[0].users]
        group: frozenset[ActivationFakeQuant] = frozenset()
        clips = False
        for place in (*node.all_input_nodes, *after[:1]):
            rounder = module_at(modules, place)
            if isinstance(rounder, ActivationFakeQuant):
                group |= {rounder}
                clips = clips or rounder.fixed or isinstance(module_at(modules, place.args[0]), nn.ReLU6)
        if clips:
            continue
        touching = [other for other in groups if other & group]
        groups = [other for other in groups if not other & group]
        groups.append(group.union(*touching))
    return [group for group in groups if len({rounder.levels for rounder in group}) == 1]
