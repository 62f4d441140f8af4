"""FSIM and FSIMc: feature similarity of phase congruency and gradient, higher is better.

Zhang, Zhang, Mou, Zhang, "FSIM: A Feature Similarity Index for Image Quality Assessment", IEEE TIP 20(8),
2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edge_iqa.models.fr.color import YIQ, transform
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
from edge_iqa.models.fr.phase_congruency import phase_congruency

_T1, _T2, _T3, _T4 = 0.85, 160.0, 200.0, 200.0
_CHROMA_EXPONENT = 0.03


def _features(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Phase congruency, gradient magnitude and chroma (I, Q) of RGB in [0, 1], down-sampled by the rule."""
    yiq = transform(pool(picture, pool_factor(*picture.shape[2:])) * 255.0, YIQ)
    luminance = yiq[:, :1]
    edges = squared_magnitude(gradients(luminance, SCHARR)).sqrt()
    return phase_congruency(luminance), edges, yiq[:, 1:]


def _compare(reference: Tensor, distorted: Tensor, chromatic: bool) -> Tensor:
    check_pictures(reference, distorted)
    phase_first, edges_first, chroma_first = _features(reference)
    phase_second, edges_second, chroma_second = _features(distorted)
    local = similarity(phase_first, phase_second, _T1) * similarity(edges_first, edges_second, _T2)
    if chromatic:
        in_phase = similarity(chroma_first[:, :1], chroma_second[:, :1], _T3)
        quadrature = similarity(chroma_first[:, 1:], chroma_second[:, 1:], _T4)
        local = local * signed_power(in_phase * quadrature, _CHROMA_EXPONENT)
    return weighted_mean(local, torch.maximum(phase_first, phase_second))


@torch.no_grad()
def fsim(reference: Tensor, distorted: Tensor) -> Tensor:
    """FSIM of the luminance of RGB `(N or 1, 3, H, W)` and `(N, 3, H, W)`, float32 in [0, 1].

    Returns `(N,)` in (0, 1], 1 for equal pictures. Raises InvalidInput (`maps.check_pictures`).
    """
    return _compare(reference, distorted, chromatic=False)


@torch.no_grad()
def fsimc(reference: Tensor, distorted: Tensor) -> Tensor:
    """FSIMc, that is FSIM with the chroma channels I and Q: input, output and errors as for `fsim`."""
    return _compare(reference, distorted, chromatic=True)
