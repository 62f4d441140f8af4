"""Let every channel of a tensor use all of the integers: cross-layer equalization (Nagel et al., ICCV 2019).

A tensor has one step for all channels, so that a channel which reaches half as far as the widest is rounded twice as
coarsely. Where all that lies between two layers is linear, or a ReLU, a channel may be made k times as large in the
layer that writes it and k times as small in those that read it: the network computes the same, and no engine computes
more. Sums tie the channels of all blocks that they go through together. ReLU6 is not crossed, for it clips at 6.

The paper makes the ranges of weights equal; weights have a step for each channel here, so it is activations that are
measured, and made to reach equally far on all but one in a hundred pictures. That is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.places import is_sum, module_at
from edge_iqa.quantize.watch import watch

_PICTURES_THAT_COUNT = 0.99
_LEAST_REACH = 0.05  # of the widest channel; what reaches less far is not made larger for it


@dataclass(frozen=True)
class _Tensors:
    """Tensors whose channels can only be scaled together: ``nodes`` as they are rounded, and the layers around."""

    nodes: tuple[fx.Node, ...]
    writers: tuple[nn.Conv2d, ...]
    readers: tuple[nn.Conv2d, ...]


@torch.no_grad()
def equalize(network: fx.GraphModule, pictures: Sequence[Tensor]) -> int:
    """Scale the channels of ``network`` in place, and return the number of convolutions whose outputs were scaled.

    ``network`` is traced and without batch norm; ``pictures`` are normalised ``(N, 3, H, W)`` batches.
    """
    found = _scalable(network)
    nodes = [node for tensors in found for node in tensors.nodes]
    reach = watch(network, nodes, pictures, lambda out: out.abs().amax((2, 3)))
    for tensors in found:
        each = torch.stack([torch.cat(reach[node]).quantile(_PICTURES_THAT_COUNT, 0) for node in tensors.nodes])
        channels = each.amax(0)
        widest = channels.max().clamp(min=1e-8)
        factor = widest / torch.maximum(channels, widest * _LEAST_REACH)
        for conv in tensors.writers:
            conv.weight.mul_(factor.view(-1, 1, 1, 1))
            assert conv.bias is not None
            conv.bias.mul_(factor)
        for conv in tensors.readers:
            conv.weight.div_(factor.view(1, -1, 1, 1) if conv.groups == 1 else factor.view(-1, 1, 1, 1))
    return sum(len(tensors.writers) for tensors in found)


def _scalable(network: fx.GraphModule) -> list[_Tensors]:
    modules = dict(network.named_modules())

    def passes_on(node: fx.Node) -> bool:
        return is_sum(node) or isinstance(module_at(modules, node), nn.ReLU | nn.MaxPool2d)

    def scales(reader: nn.Module | None) -> bool:
        return isinstance(reader, nn.Conv2d) and (
            reader.groups == 1 or reader.groups == reader.in_channels == reader.out_channels
        )

    groups: list[set[fx.Node]] = []
    for node in network.graph.nodes:
        if isinstance(module_at(modules, node), nn.Conv2d):
            groups.append({node})
        elif passes_on(node):
            touching = [group for group in groups if group & {*node.all_input_nodes}]
            groups = [group for group in groups if group not in touching]
            groups.append({node}.union(*touching))
    found = []
    for group in groups:
        readers = list(dict.fromkeys(user for node in group for user in node.users if not passes_on(user)))
        sources = {source for node in group if passes_on(node) for source in node.all_input_nodes}
        writers = [module for node in group if isinstance(module := module_at(modules, node), nn.Conv2d)]
        if not readers or not sources <= group or not all(scales(module_at(modules, reader)) for reader in readers):
            continue
        if any(writer.bias is None for writer in writers):
            continue
        rounded = [
            node for node in group if not any(isinstance(module_at(modules, user), nn.ReLU) for user in node.users)
        ]
        convs = [module for reader in readers if isinstance(module := module_at(modules, reader), nn.Conv2d)]
        found.append(_Tensors(tuple(rounded), tuple(writers), tuple(convs)))
    return found
