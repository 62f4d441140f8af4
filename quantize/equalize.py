"""Let every channel of a tensor use all of the integers: cross-layer equalization (Nagel et al., ICCV 2019).

A tensor has one step for all channels, so that a channel which reaches half as far as the widest is rounded twice as
coarsely. Where all that lies between two layers is linear, or a ReLU, a channel may be made k times as large in the
layer that writes it and k times as small in those that read it: the network computes the same, and no engine computes
more. Sums tie the channels of all blocks that they go through together. ReLU6 is not crossed, for it clips at 6.

The paper makes the ranges of weights equal; weights have a step for each channel here, so it is activations that are
measured, and made to reach equally far on all but one in a hundred pictures. That is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.places import module_at
from edge_iqa.quantize.scaling import Tied, scale, tied_tensors
from edge_iqa.quantize.watch import watch

_PICTURES_THAT_COUNT = 0.99
_LEAST_REACH = 0.05  # of the widest channel; what reaches less far is not made larger for it


@torch.no_grad()
def equalize(network: fx.GraphModule, pictures: Sequence[Tensor]) -> int:
    """Scale the channels of ``network`` in place, and return the number of convolutions whose outputs were scaled.

    ``network`` is traced and without batch norm; ``pictures`` are normalised ``(N, 3, H, W)`` batches.
    """
    modules = dict(network.named_modules())
    found = [tied for tied in tied_tensors(network) if _by_channel(modules, tied)]
    nodes = [place.node for tied in found for place in tied.places]
    reach = watch(network, nodes, pictures, lambda out: out.abs().amax((2, 3)))
    for tied in found:
        each = torch.stack([torch.cat(reach[place.node]).quantile(_PICTURES_THAT_COUNT, 0) for place in tied.places])
        channels = each.amax(0)
        widest = channels.max().clamp(min=1e-8)
        scale(tied, widest / torch.maximum(channels, widest * _LEAST_REACH))
    return sum(len(tied.writers) for tied in found)


def _by_channel(modules: Mapping[str, nn.Module], tied: Tied) -> bool:
    """Say whether each channel can have a factor of its own, and all that reads the tensors is int8."""
    clipped = any(isinstance(module_at(modules, place.node), nn.Hardtanh) for place in tied.places)
    plain = all(conv.groups == 1 or conv.groups == conv.in_channels == conv.out_channels for conv in tied.readers)
    return not clipped and not tied.heads and bool(tied.readers) and plain
