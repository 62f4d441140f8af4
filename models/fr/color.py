"""Colour transforms of the full-reference metrics, as their papers define them.

Every matrix is applied to non-linear (gamma-coded) RGB; only `lab` linearises first. The transforms keep the
scale of their input: RGB in [0, 255] gives the value range the papers' constants are made for.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: NTSC YIQ (Zhang et al. 2011, FSIM, eq. 13; also Reisenhofer et al. 2018, HaarPSI).
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
#: Gaussian-derivative opponent space LMN (Geusebroek 2001; Zhang et al. 2014, VSI, eq. 5).
LMN = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))
#: Luminance with the two opponent channels H and M (Nafchi et al. 2016, MDSI, eqs. 1 and 8).
LHM = ((0.2989, 0.5870, 0.1140), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))

_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_D65 = (0.950456, 1.0, 1.088754)
_LAB_EPSILON = 0.008856
_LAB_KAPPA = 903.3

Matrix = tuple[tuple[float, float, float], ...]


def transform(rgb: Tensor, matrix: Matrix) -> Tensor:
    """Apply rows of a colour matrix: `(N, 3, H, W)` to `(N, len(matrix), H, W)`."""
    weights = torch.tensor(matrix, dtype=rgb.dtype, device=rgb.device)
    pixels = weights @ rgb.flatten(2)
    return pixels.view(rgb.shape[0], len(matrix), *rgb.shape[2:])


def lab(rgb: Tensor) -> Tensor:
    """CIE L*a*b* (D65) of sRGB `(N, 3, H, W)` in [0, 1]; L* in [0, 100], a* and b* signed."""
    linear = torch.where(rgb > 0.04045, ((rgb.clamp_min(0.0) + 0.055) / 1.055).pow(2.4), rgb / 12.92)
    white = torch.tensor(_D65, dtype=rgb.dtype, device=rgb.device).view(1, 3, 1, 1)
    xyz = transform(linear, _XYZ) / white
    root = torch.where(xyz > _LAB_EPSILON, xyz.clamp_min(1e-6).pow(1.0 / 3.0), (_LAB_KAPPA * xyz + 16.0) / 116.0)
    x, y, z = root.unbind(1)
    return torch.stack((116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)), dim=1)
