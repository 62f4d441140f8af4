"""What several full-reference metrics share: checks, pooling, gradients, similarity, weighting."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_iqa.errors import InvalidInput

SCHARR = ((3 / 16, 0.0, -3 / 16), (10 / 16, 0.0, -10 / 16), (3 / 16, 0.0, -3 / 16))
PREWITT = ((1 / 3, 0.0, -1 / 3), (1 / 3, 0.0, -1 / 3), (1 / 3, 0.0, -1 / 3))

_MIN_SIDE_PX = 16
_RANGE_TOLERANCE = 1e-3


def check_pictures(reference: Tensor, distorted: Tensor) -> None:
    """Refuse pictures that a metric would silently mis-score.

    Both `(N, 3, H, W)`, RGB, float32 in [0, 1], sides of at least 16; the reference may have N = 1 and
    then serves every distorted picture.

    Raises:
        InvalidInput: wrong shape, type or range, or sizes that do not match.
    """
    for name, picture in (("reference", reference), ("distorted", distorted)):
        _check_picture(name, picture)
    if reference.shape[2:] != distorted.shape[2:]:
        raise InvalidInput(
            f"the sizes differ: {tuple(reference.shape[2:])} and {tuple(distorted.shape[2:])}",
            why="full-reference metrics compare pixel with pixel",
            fix="crop or resize both to one size",
        )
    if reference.shape[0] not in (1, distorted.shape[0]):
        raise InvalidInput(
            f"{reference.shape[0]} references do not fit {distorted.shape[0]} distorted pictures",
            fix="give one reference for all, or one each",
        )


def _check_picture(name: str, picture: Tensor) -> None:
    if picture.ndim != 4 or picture.shape[1] != 3 or picture.shape[0] == 0:
        raise InvalidInput(
            f"{name} has the shape {tuple(picture.shape)}",
            fix="give a batch of RGB pictures, (N, 3, H, W) with N > 0",
        )
    if min(picture.shape[2:]) < _MIN_SIDE_PX:
        raise InvalidInput(
            f"{name} is only {tuple(picture.shape[2:])}",
            fix=f"give pictures with sides of at least {_MIN_SIDE_PX} px",
        )
    if picture.dtype != torch.float32:
        raise InvalidInput(f"{name} is {picture.dtype}", fix="convert to float32 in [0, 1]")
    low, high = (float(bound) for bound in picture.aminmax())
    if not (low >= -_RANGE_TOLERANCE and high <= 1.0 + _RANGE_TOLERANCE):
        raise InvalidInput(
            f"{name} spans [{low:.4g}, {high:.4g}]",
            why="the papers' constants hold for one value range only",
            fix="give finite values in [0, 1]",
        )


def pool_factor(height: int, width: int) -> int:
    """Down-sampling factor of FSIM, VSI and MDSI: the short side over 256, rounded half up, at least 1."""
    return max(1, int(min(height, width) / 256 + 0.5))


def pool(picture: Tensor, factor: int) -> Tensor:
    """Average over `factor` x `factor` blocks; rows and columns that fill no block are dropped.

    The authors' programs filter with zero padding and take every `factor`-th sample: the same for a factor
    of 2 on even sides. On odd sides theirs keep a last row or column mixed with black, an edge that the
    picture does not have (it moves HaarPSI by up to 0.06); ours leaves it out.
    """
    return picture if factor == 1 else F.avg_pool2d(picture, factor)


def gradients(channel: Tensor, kernel: tuple[tuple[float, ...], ...]) -> Tensor:
    """Horizontal and vertical derivative of `(N, 1, H, W)`, zero-padded, as `(N, 2, H, W)`."""
    horizontal = torch.tensor(kernel, dtype=channel.dtype, device=channel.device)
    return F.conv2d(channel, torch.stack((horizontal, horizontal.T)).unsqueeze(1), padding=1)


def squared_magnitude(derivatives: Tensor) -> Tensor:
    """Squared gradient magnitude: `(N, 2, H, W)` to `(N, 1, H, W)`."""
    return derivatives.square().sum(dim=1, keepdim=True)


def similarity(first: Tensor, second: Tensor, constant: float) -> Tensor:
    """The ratio `(2ab + c) / (a^2 + b^2 + c)` that all these metrics compare maps with; 1 where a = b."""
    return (2.0 * first * second + constant) / (first.square() + second.square() + constant)


def signed_power(base: Tensor, exponent: float) -> Tensor:
    """Real part of the principal power, as the authors' programs take; `|b|^e cos(pi e)` where b < 0."""
    power = base.abs().pow(exponent)
    return torch.where(base < 0, power * math.cos(math.pi * exponent), power)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of `values` under `weights`, over all but the first axis: `(N,)`.

    Where all weights vanish (a flat picture) the papers divide by zero; ours is the plain mean.
    """
    total = weights.flatten(1).sum(dim=1)
    weighted = (values * weights).flatten(1).sum(dim=1) / total.clamp_min(torch.finfo(total.dtype).tiny)
    return torch.where(total > 0, weighted, values.flatten(1).mean(dim=1))
