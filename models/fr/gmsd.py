"""GMSD: gradient magnitude similarity deviation, lower is better.

Xue, Zhang, Mou, Bovik, "Gradient Magnitude Similarity Deviation: A Highly Efficient Perceptual Image Quality
Index", IEEE TIP 23(2), 2014.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edge_iqa.models.fr.color import YIQ, transform
from edge_iqa.models.fr.maps import PREWITT, check_pictures, gradients, pool, similarity, squared_magnitude

_T = 170.0
_FACTOR = 2


def _edges(picture: Tensor) -> Tensor:
    luminance = transform(pool(picture, _FACTOR) * 255.0, YIQ[:1])
    return squared_magnitude(gradients(luminance, PREWITT)).sqrt()


@torch.no_grad()
def gmsd(reference: Tensor, distorted: Tensor) -> Tensor:
    """GMSD of the luminance of RGB `(N or 1, 3, H, W)` and `(N, 3, H, W)`, float32 in [0, 1].

    Returns `(N,)`, 0 for equal pictures. Raises InvalidInput (`maps.check_pictures`).
    """
    check_pictures(reference, distorted)
    return similarity(_edges(reference), _edges(distorted), _T).flatten(1).std(dim=1)
