"""MDSI: mean deviation similarity index, lower is better.

Nafchi, Shahkolaei, Hedjam, Cheriet, "Mean Deviation Similarity Index: Efficient and Reliable Full-Reference
Image Quality Evaluator", IEEE Access 4, 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edge_iqa.models.fr.color import LHM, transform
from edge_iqa.models.fr.maps import (
    PREWITT,
    check_pictures,
    gradients,
    pool,
    pool_factor,
    squared_magnitude,
)

_C1, _C2, _C3 = 140.0, 55.0, 550.0
_ALPHA = 0.6
_Q, _O = 0.25, 0.25


def _ratio(first_squared: Tensor, second_squared: Tensor, constant: float) -> Tensor:
    product = (first_squared * second_squared).sqrt()
    return (2.0 * product + constant) / (first_squared + second_squared + constant)


def _mean_deviation(values: Tensor) -> Tensor:
    """Mean absolute deviation of `values ** q`, the principal root, complex where a value is negative."""
    root = values.abs().pow(_Q).flatten(1)
    negative = (values < 0).flatten(1)
    real = torch.where(negative, root * 0.5**0.5, root)
    deviation = (real - real.mean(dim=1, keepdim=True)).square()
    if negative.any():
        imaginary = torch.where(negative, root * 0.5**0.5, torch.zeros_like(root))
        deviation = deviation + (imaginary - imaginary.mean(dim=1, keepdim=True)).square()
    return deviation.sqrt().mean(dim=1)


@torch.no_grad()
def mdsi(reference: Tensor, distorted: Tensor) -> Tensor:
    """MDSI of RGB `(N or 1, 3, H, W)` and `(N, 3, H, W)`, float32 in [0, 1]; not symmetric.

    Returns `(N,)`, 0 for equal pictures. Raises InvalidInput (`maps.check_pictures`).
    """
    check_pictures(reference, distorted)
    factor = pool_factor(*distorted.shape[2:])
    first, second = (transform(pool(picture, factor) * 255.0, LHM) for picture in (reference, distorted))
    slope_first, slope_second = gradients(first[:, :1], PREWITT), gradients(second[:, :1], PREWITT)
    edge_first, edge_second = squared_magnitude(slope_first), squared_magnitude(slope_second)
    edge_fused = squared_magnitude(0.5 * (slope_first + slope_second))
    structure = (
        _ratio(edge_first, edge_second, _C1)
        + _ratio(edge_second, edge_fused, _C2)
        - _ratio(edge_first, edge_fused, _C2)
    )
    product = (first[:, 1:] * second[:, 1:]).sum(dim=1, keepdim=True)
    energy = (first[:, 1:].square() + second[:, 1:].square()).sum(dim=1, keepdim=True)
    chroma = (2.0 * product + _C3) / (energy + _C3)
    return _mean_deviation(_ALPHA * structure + (1.0 - _ALPHA) * chroma).pow(_O)
