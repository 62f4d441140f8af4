"""Equalize channel ranges before quantization, without changing what the network computes.

One scale per activation tensor is spent on its largest channel. Between two convolutions with at most a ReLU in
between, a channel may be divided by any positive factor if the next convolution multiplies it back: cross-layer
equalization (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019). The
factors come from measured activation ranges. In front of a depthwise convolution equalizing is free, because its
weights have a scale per channel; in front of a dense one the factor is the geometric middle between equal activations
and equal weights (Xiao et al., "SmoothQuant", 2022, with its exponent 1/2).

Pretrained EfficientNet-Lite needs it: without the cap of ReLU6, single channels of its first blocks reach more than ten
times the median range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

LEAST_RANGE = 0.01  # of the largest channel; weaker ones are treated as if they had this much


@dataclass(frozen=True)
class _Link:
    """A convolution whose output, after an optional ReLU, feeds one other convolution and nothing else."""

    first: nn.Conv2d
    second: nn.Conv2d
    between: str  # the node whose value is the tensor between them


def equalize(folded: fx.GraphModule, batches: Iterable[Tensor]) -> int:
    """Equalize a batch-norm-folded network in place; return how many tensors were equalized.

    ``batches`` are normalised pictures ``(N, 3, H, W)`` on which channel ranges are measured.
    """
    links = _find_links(folded)
    ranges = _channel_ranges(folded, {link.between for link in links}, batches)
    for link in links:
        _rescale(link, ranges[link.between])
    return len(links)


def _find_links(folded: fx.GraphModule) -> list[_Link]:
    modules = dict(folded.named_modules())

    def module_of(node: fx.Node) -> nn.Module | None:
        return modules.get(str(node.target)) if node.op == "call_module" else None

    links = []
    for node in folded.graph.nodes:
        first = module_of(node)
        if not isinstance(first, nn.Conv2d):
            continue
        between = node
        users = list(between.users)
        if len(users) == 1 and isinstance(module_of(users[0]), nn.ReLU):
            between = users[0]
            users = list(between.users)
        second = module_of(users[0]) if len(users) == 1 else None
        if isinstance(second, nn.Conv2d) and second.groups in (1, second.in_channels):
            links.append(_Link(first, second, between.name))
    return links


class _RangeRecorder(fx.Interpreter):
    """Runs the graph and keeps the largest magnitude per channel of the named nodes."""

    def __init__(self, module: fx.GraphModule, names: set[str]) -> None:
        super().__init__(module)
        self.names = names
        self.ranges: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name in self.names:
            largest = value.detach().abs().amax((0, 2, 3))
            known = self.ranges.get(n.name)
            self.ranges[n.name] = largest if known is None else torch.maximum(known, largest)
        return value


@torch.no_grad()
def _channel_ranges(folded: fx.GraphModule, names: set[str], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    recorder = _RangeRecorder(folded, names)
    for batch in batches:
        recorder.run(batch)
    return recorder.ranges


@torch.no_grad()
def _rescale(link: _Link, ranges: Tensor) -> None:
    dead = ranges == 0  # such a channel carries nothing: blowing it up would only inflate its bias
    ranges = ranges.clamp(min=float(ranges.max()) * LEAST_RANGE)
    if link.second.groups == 1:
        weights = link.second.weight.abs().amax((0, 2, 3))
        factor = torch.sqrt(ranges / weights.clamp(min=float(weights.max()) * LEAST_RANGE))
    else:
        factor = ranges.clone()
    factor /= factor.log().mean().exp()  # keep the middle channel where it was
    factor[dead] = 1.0
    link.first.weight.div_(factor.view(-1, 1, 1, 1))
    if link.first.bias is not None:
        link.first.bias.div_(factor)
    shape = (1, -1, 1, 1) if link.second.groups == 1 else (-1, 1, 1, 1)
    link.second.weight.mul_(factor.view(shape))
