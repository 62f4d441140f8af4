"""Pixels that pass into int8 as they are.

With (x - 127) / 128 the 256 values of a pixel are 256 levels of int8, and rounding changes none of them. With a mean
and a deviation for each colour no one step fits: pixels are rounded anew, 256 values onto some 220. The
twelve photographs of BIQ2021 that drifted most in such a HiRQA-S did so by .033 on average, and by .016 with the pixels
alone left unrounded. So the first convolution takes over what the
colours have of their own; only the padding at the border is another grey then. This is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from edge_iqa.quantize.batches import Normalisation

_MIDDLE, _DIVISOR = 127.0, 128.0


@dataclass(frozen=True)
class PixelGrid:
    """Where pixels lie after normalisation: ``step`` between two values, and the ``zero_point`` of int8 among them.

    Rounding onto it changes nothing. TensorRT, whose zero-points are 0, takes 255 for 254 where that is -1.
    """

    step: float
    zero_point: int


def pixel_grid(mean: Sequence[float], std: Sequence[float]) -> PixelGrid | None:
    """Return the grid of normalised pixels, if it is one for all colours and black and white lie about evenly on it.

    That is so with (x - 127) / 128, say; with a mean and deviation for each colour it is not.
    """
    levels = {(round(255 * m, 4), round(255 * s, 4)) for m, s in zip(mean, std, strict=True)}
    middle, divisor = levels.pop()
    return PixelGrid(1 / divisor, int(middle) - 128) if not levels and middle in (127.0, 128.0) else None


@torch.no_grad()
def take_exact_pixels(network: fx.GraphModule, pixels: Normalisation) -> Normalisation:
    """Let the first convolution of ``network`` take pixels that int8 holds, in place; return their normalisation.

    ``network`` is traced and without batch norm, ``pixels`` what it wants now. Away from the border it computes the
    same. Where pixels lie on a grid already, or are read by anything but convolutions, nothing is changed.
    """
    (source,) = (node for node in network.graph.nodes if node.op == "placeholder")
    modules = dict(network.named_modules())
    readers = [modules.get(str(user.target)) for user in source.users if user.op == "call_module"]
    convolutions = [reader for reader in readers if isinstance(reader, nn.Conv2d) and reader.groups == 1]
    if pixel_grid(pixels.mean, pixels.std) is not None or not 0 < len(convolutions) == len(source.users):
        return pixels
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (pixels.mean, pixels.std))
    factor, offset = _DIVISOR / 255 / std, (_MIDDLE / 255 - mean) / std
    for conv in convolutions:
        weight = conv.weight.double()
        bias: Tensor = torch.zeros(len(weight)) if conv.bias is None else conv.bias
        conv.bias = nn.Parameter((bias.double() + (weight * _spread(offset)).sum((1, 2, 3))).float())
        conv.weight.copy_(weight * _spread(factor))
    return Normalisation((_MIDDLE / 255,) * 3, (_DIVISOR / 255,) * 3)


def _spread(colours: Tensor) -> Tensor:
    return colours.view(1, 3, 1, 1)
