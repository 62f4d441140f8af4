"""Train a network whose values do not reach far: 255 levels over a short range are finer, and clip less.

A few values many times as large as the others set the step of all. In a HiRQA-S that was trained without a limit
values after a ReLU reached 15 to 36 times their root mean square on 128 training pictures, in the one trained on from
it with a limit 9 to 24 times. Every value beyond ``REACH`` deviations counts against the network, by the square of
what is beyond.
Where it is one channel that reaches far, the weights on both sides can give way to each other and nothing is lost.
Shaping distributions for rounding is that of Shkolnik et al. ("Robust Quantization: One Model to Rule Them All",
NeurIPS 2020), who train towards the uniform one; a limit to the reach is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.resnet import BasicBlock

REACH = 4.5  # deviations; those of what was there before the ReLU, if it was about as often below zero as above


def mean_square(x: Tensor) -> Tensor:
    """Return the mean square of values of any shape, a float32 scalar tensor."""
    return x.float().square().mean()


def deviation(square: Tensor, *, after_relu: bool) -> Tensor:
    """Return the deviation of values of which ``square`` is the mean square, before the ReLU where one came first."""
    return square.mul(2.0 if after_relu else 1.0).sqrt().clamp(min=1e-6)


def beyond(x: Tensor, *, after_relu: bool) -> Tensor:
    """Return the mean square of what values of any shape have beyond ``REACH``, in squared deviations."""
    found = deviation(mean_square(x.detach()), after_relu=after_relu)
    return torch.relu(x.abs() * (1 / found) - REACH).square().mean(dtype=torch.float32)


@contextmanager
def reaching(student: HiRQA) -> Iterator[list[Tensor]]:
    """Collect, while ``student`` runs, ``beyond`` of everything in it that will be rounded."""
    found: list[Tensor] = []
    handles = []
    for module, after_relu in _rounded(student):

        def note(module: nn.Module, inputs: object, x: Tensor, after_relu: bool = after_relu) -> None:
            found.append(beyond(x, after_relu=after_relu))

        handles.append(module.register_forward_hook(note))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _rounded(student: HiRQA) -> Iterator[tuple[nn.Module, bool]]:
    """Yield the modules whose outputs will be rounded, and whether a ReLU made them."""
    yield student.backbone.features[3], True  # max-pool, whose largest values are those of the ReLU before it
    for block in student.modules():
        if isinstance(block, BasicBlock):
            yield from ((block.relu1, True), (block.bn2, False), (block.relu2, True))
            if block.downsample is not None:
                yield block.downsample, False
