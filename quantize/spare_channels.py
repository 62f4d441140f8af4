"""Let channels that do nothing share the rounding of those that it hurts most.

Trained networks hold dead channels: EfficientNet-Lite0's first convolution has four whose weights vanished. Beside
them are channels whose rounding the next depthwise convolution multiplies by twenty, for it takes differences of
neighbours. A dead channel becomes a copy of such a one, a part of a rounding step apart, and the layer that reads both
takes the mean: n copies round as n times as many levels would, and no engine computes more than before. What the
network computes stays the same, but for half a step at the ends of ReLU6 and at the border. This is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

_DEAD = 1e-5  # of the layer's largest weight
_RELU6_END = 6.0


@dataclass(frozen=True)
class _Chain:
    """``first``, ReLU6, ``depthwise``, a ReLU or ReLU6, ``last``: nothing else reads what lies between."""

    name: str
    first: nn.Conv2d
    depthwise: nn.Conv2d
    activation: nn.Module
    last: nn.Conv2d


@torch.no_grad()
def share_rounding(network: fx.GraphModule, levels: int) -> dict[str, dict[int, int]]:
    """Copy sensitive channels into dead ones, in place; ``network`` is traced and without batch norm.

    ``levels`` is the number of steps from 0 to 6 that activations will have. Returns for each convolution that was
    changed which channels have how many copies.
    """
    found = {chain.name: _share(chain, _RELU6_END / levels) for chain in _chains(network)}
    return {name: copies for name, copies in found.items() if copies}


def _share(chain: _Chain, step: float) -> dict[int, int]:
    first, depthwise, last = chain.first, chain.depthwise, chain.last
    largest = first.weight.abs().flatten(1).amax(1)
    dead = (largest <= largest.max() * _DEAD) & (_bias(first) <= 0)
    gains = depthwise.weight.flatten(1).norm(dim=1) * last.weight.flatten(2).norm(dim=2).norm(dim=0)
    if dead.all():
        return {}
    gains[dead] = 0.0
    copies = torch.ones(len(gains))
    members: dict[int, list[int]] = {}
    for spare in dead.nonzero().flatten().tolist():
        source = int((gains / copies).argmax())
        members.setdefault(source, [source]).append(spare)
        copies[source] += 1
    constant = chain.activation(_bias(depthwise))[dead]
    _bias(last).add_(last.weight[:, dead].sum((2, 3)) @ constant)
    for source, channels in members.items():
        total = len(channels)
        offset = step * ((torch.arange(total) + 0.5) / total - 0.5)
        before, after = _bias(first)[source].clone(), _bias(depthwise)[source].clone()
        first.weight[channels] = first.weight[source].clone()
        _bias(first)[channels] = before + offset
        depthwise.weight[channels] = depthwise.weight[source].clone()
        _bias(depthwise)[channels] = after - offset * depthwise.weight[source].sum()
        last.weight[:, channels] = (last.weight[:, source] / total)[:, None]
    return {source: len(channels) for source, channels in members.items()}


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _chains(network: fx.GraphModule) -> Iterator[_Chain]:
    modules = dict(network.named_modules())

    def next_of(node: fx.Node) -> fx.Node | None:
        (reader, *others) = node.users or [None]
        return reader if reader is not None and reader.op == "call_module" and not others else None

    for node in network.graph.nodes:
        found: list[fx.Node] = [node]
        while len(found) < 5 and found[-1].op == "call_module" and (reader := next_of(found[-1])) is not None:
            found.append(reader)
        if len(found) < 5:
            continue
        first, relu6, depthwise, activation, last = (modules[str(one.target)] for one in found)
        if (
            all(isinstance(conv, nn.Conv2d) and conv.bias is not None for conv in (first, depthwise, last))
            and isinstance(relu6, nn.ReLU6)
            and isinstance(activation, nn.ReLU | nn.ReLU6)
            and depthwise.groups == depthwise.in_channels == depthwise.out_channels
            and first.groups == last.groups == 1
        ):
            yield _Chain(str(node.target), first, depthwise, activation, last)
