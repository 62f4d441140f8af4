"""HaarPSI: Haar wavelet-based perceptual similarity index, higher is better.

Reisenhofer, Bosse, Kutyniok, Wiegand, "A Haar Wavelet-Based Perceptual Similarity Index for Image Quality
Assessment", Signal Processing: Image Communication 61, 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_iqa.models.fr.color import YIQ, transform
from edge_iqa.models.fr.maps import check_pictures, pool, similarity, weighted_mean

_C = 30.0
_ALPHA = 4.2
_FACTOR = 2
_SCALES = 3


def _same_pad(channels: Tensor, size: int) -> Tensor:
    """Zero-pad for an even filter so that the output keeps its size; one more right and bottom."""
    before, after = size // 2 - 1, size // 2
    return F.pad(channels, (before, after, before, after))


def _haar_magnitudes(luminance: Tensor, scale: int) -> Tensor:
    """Magnitudes of the vertical and horizontal Haar responses at one scale: `(N, 2, H, W)`."""
    size = 2**scale
    rows = torch.full((size, size), 2.0**-scale, dtype=luminance.dtype, device=luminance.device)
    rows[: size // 2] *= -1.0
    return F.conv2d(_same_pad(luminance, size), torch.stack((rows, rows.T)).unsqueeze(1)).abs()


def _features(picture: Tensor) -> tuple[list[Tensor], Tensor]:
    """Haar magnitudes of the luminance per scale, and magnitudes of the smoothed chroma channels I and Q."""
    yiq = transform(pool(picture, _FACTOR) * 255.0, YIQ)
    magnitudes = [_haar_magnitudes(yiq[:, :1], scale) for scale in range(1, _SCALES + 1)]
    chroma = F.avg_pool2d(_same_pad(yiq[:, 1:], 2), kernel_size=2, stride=1).abs()
    return magnitudes, chroma


@torch.no_grad()
def haarpsi(reference: Tensor, distorted: Tensor) -> Tensor:
    """HaarPSI of RGB `(N or 1, 3, H, W)` and `(N, 3, H, W)`, float32 in [0, 1].

    Returns `(N,)` in [0, 1], 1 for equal pictures. Raises InvalidInput (`maps.check_pictures`).
    """
    check_pictures(reference, distorted)
    haar_first, chroma_first = _features(reference)
    haar_second, chroma_second = _features(distorted)
    fine = sum(
        (similarity(first, second, _C) for first, second in zip(haar_first[:-1], haar_second[:-1], strict=True)),
        start=torch.zeros_like(haar_second[0]),
    ) / (_SCALES - 1)
    colour = similarity(chroma_first, chroma_second, _C).mean(dim=1, keepdim=True)
    weights = torch.maximum(haar_first[-1], haar_second[-1])
    local = torch.cat((fine, colour), dim=1)
    weights = torch.cat((weights, weights.mean(dim=1, keepdim=True)), dim=1)
    pooled = weighted_mean(torch.sigmoid(_ALPHA * local), weights)
    return (torch.logit(pooled) / _ALPHA).square()
