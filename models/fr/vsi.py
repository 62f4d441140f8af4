"""VSI: visual-saliency-induced index with SDSP saliency, higher is better.

Zhang, Shen, Li, "VSI: A Visual Saliency-Induced Index for Perceptual Image Quality Assessment", IEEE TIP
23(10), 2014; saliency: Zhang, Gu, Li, "SDSP: A Novel Saliency Detection Method by Combining Simple Priors",
ICIP 2013.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_iqa.models.fr.color import LMN, lab, transform
from edge_iqa.models.fr.maps import (
    SCHARR,
    check_pictures,
    gradients,
    pool,
    pool_factor,
    signed_power,
    similarity,
    squared_magnitude,
    weighted_mean,
)

_C1, _C2, _C3 = 1.27, 386.0, 130.0
_ALPHA, _BETA = 0.40, 0.02
_SALIENCY_SIDE_PX = 256
_OMEGA_0, _SIGMA_F = 0.021, 1.34
_SIGMA_D_PX, _SIGMA_C = 145.0, 0.001
_COLOURLESS_LAB = 0.05


@lru_cache(maxsize=1)
def _log_gabor() -> Tensor:
    """Isotropic log-Gabor transfer function for `rfft2` at the saliency size, zero beyond radius 0.5."""
    side = _SALIENCY_SIDE_PX
    vertical = torch.fft.fftfreq(side, dtype=torch.float64).unsqueeze(1)
    horizontal = torch.fft.rfftfreq(side, dtype=torch.float64).unsqueeze(0)
    radius = torch.hypot(vertical, horizontal)
    inside = (radius > 0) & (radius <= 0.5)
    log_ratio = torch.log(radius.clamp_min(1e-12) / _OMEGA_0)
    return torch.where(inside, torch.exp(-log_ratio.square() / (2.0 * _SIGMA_F**2)), 0.0).float()


@lru_cache(maxsize=1)
def _centre_prior() -> Tensor:
    """Gaussian preference for the middle of the picture, at the saliency size."""
    offset = torch.arange(1, _SALIENCY_SIDE_PX + 1, dtype=torch.float64) - _SALIENCY_SIDE_PX / 2
    squared = offset.square().unsqueeze(1) + offset.square().unsqueeze(0)
    return torch.exp(-squared / _SIGMA_D_PX**2).float()


def _resize(picture: Tensor, height: int, width: int) -> Tensor:
    if picture.shape[2:] == (height, width):
        return picture
    return F.interpolate(picture, (height, width), mode="bilinear", align_corners=False, antialias=True)


def _stretched(channel: Tensor, smallest_range: float) -> tuple[Tensor, Tensor]:
    """`(N, 1, H, W)` stretched to [0, 1] per picture, and which pictures have a range to stretch."""
    low, high = channel.amin(dim=(2, 3), keepdim=True), channel.amax(dim=(2, 3), keepdim=True)
    usable = high - low > smallest_range
    return torch.where(usable, (channel - low) / (high - low).clamp_min(1e-12), 0.0), usable


def saliency(picture: Tensor) -> Tensor:
    """SDSP saliency of RGB `(N, 3, H, W)` in [0, 1]: `(N, 1, H, W)` in [0, 1].

    Ours: where a* or b* spans less than 0.05 it adds nothing to the colour prior, and where both do (a grey
    picture) the prior is left out, because the paper's stretch would turn rounding errors into saliency.
    """
    small = lab(_resize(picture, _SALIENCY_SIDE_PX, _SALIENCY_SIDE_PX))
    spectrum = torch.fft.rfft2(small) * _log_gabor().to(picture.device)
    band = torch.fft.irfft2(spectrum, s=small.shape[2:])
    frequency = band.square().sum(dim=1, keepdim=True).sqrt()
    green_red, has_green_red = _stretched(small[:, 1:2], _COLOURLESS_LAB)
    blue_yellow, has_blue_yellow = _stretched(small[:, 2:3], _COLOURLESS_LAB)
    warmth = 1.0 - torch.exp(-(green_red.square() + blue_yellow.square()) / _SIGMA_C**2)
    warmth = torch.where(has_green_red | has_blue_yellow, warmth, 1.0)
    combined = frequency * _centre_prior().to(picture.device) * warmth
    return _stretched(_resize(combined, *picture.shape[2:]), 1e-6)[0]


def _features(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Saliency, gradient magnitude and chroma (M, N) of RGB in [0, 1], down-sampled by the rule."""
    factor = pool_factor(*picture.shape[2:])
    lmn = transform(pool(picture, factor) * 255.0, LMN)
    edges = squared_magnitude(gradients(lmn[:, :1], SCHARR)).sqrt()
    return pool(saliency(picture), factor), edges, lmn[:, 1:]


@torch.no_grad()
def vsi(reference: Tensor, distorted: Tensor) -> Tensor:
    """VSI of RGB `(N or 1, 3, H, W)` and `(N, 3, H, W)`, float32 in [0, 1].

    Returns `(N,)` in (0, 1], 1 for equal pictures. Raises InvalidInput (`maps.check_pictures`).
    """
    check_pictures(reference, distorted)
    salient_first, edges_first, chroma_first = _features(reference)
    salient_second, edges_second, chroma_second = _features(distorted)
    chroma = similarity(chroma_first, chroma_second, _C3)
    local = (
        similarity(salient_first, salient_second, _C1)
        * similarity(edges_first, edges_second, _C2).pow(_ALPHA)
        * signed_power(chroma[:, :1] * chroma[:, 1:], _BETA)
    )
    return weighted_mean(local, torch.maximum(salient_first, salient_second))
