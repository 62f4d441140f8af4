"""GRepQ's pristine bank: which patches of undistorted photographs stand for "pristine"."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS_SHARE = 0.75
COLOURFULNESS_SHARE = 0.80
_SIGMA_PX = 7 / 6
_RADIUS_PX = 3


def sharpness(patches: Tensor) -> Tensor:
    """Return the mean local deviation of the luma ``(P,)`` of patches ``(P, 3, h, w)`` in [0, 1].

    The window is a 7x7 Gaussian of sigma 7/6, as in NIQE (Mittal et al., 2013).
    """
    luma = (patches * patches.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    offsets = torch.arange(-_RADIUS_PX, _RADIUS_PX + 1, dtype=patches.dtype, device=patches.device)
    line = torch.exp(-0.5 * (offsets / _SIGMA_PX).square())
    window = (line[:, None] * line[None, :] / line.sum().square())[None, None]
    mean = F.conv2d(luma, window)
    variance = F.conv2d(luma.square(), window) - mean.square()
    return variance.clamp(min=0).sqrt().mean((1, 2, 3))


def colourfulness(patches: Tensor) -> Tensor:
    """Return Hasler and Süsstrunk's colourfulness ("Measuring colourfulness in natural images", 2003) ``(P,)``."""
    red, green, blue = patches.flatten(2).unbind(1)
    first, second = red - green, (red + green) / 2 - blue
    spread = (first.var(1, unbiased=False) + second.var(1, unbiased=False)).sqrt()
    return spread + 0.3 * (first.mean(1).square() + second.mean(1).square()).sqrt()


def pristine_patches(patches: Tensor) -> Tensor:
    """Return those of one photograph's patches ``(P, 3, h, w)`` that are both sharp and colourful.

    Kept, as GRepQ does, is what exceeds 0.75 of the photograph's highest sharpness and 0.80 of its highest
    colourfulness. Ours: where nothing is both, the sharpest patch is kept, so that every photograph counts.
    """
    sharp, colourful = sharpness(patches), colourfulness(patches)
    kept = (sharp > SHARPNESS_SHARE * sharp.max()) & (colourful > COLOURFULNESS_SHARE * colourful.max())
    return patches[kept] if bool(kept.any()) else patches[sharp.argmax()][None]
