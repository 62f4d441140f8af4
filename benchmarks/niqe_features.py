"""What NIQE measures of a picture: 36 natural-scene statistics of every patch, and how sharp the patch is.

Mittal, Soundararajan, Bovik, Making a "completely blind" image quality analyzer, IEEE Signal Processing Letters
20(3), 2013: luma normalised by its local mean and deviation (MSCN), at full and half size; of each patch of 96x96
pixels (48x48 at half size) a generalised Gaussian (GGD) of the coefficients and an asymmetric one (AGGD) of the
products of neighbours in four directions.

Where the paper leaves a choice, ours: borders are repeated; the half is bicubic (Keys, a = -0.5) stretched by two, so
that nothing aliases; what does not fill a patch at the right and below is not looked at; products do not reach over a
patch's border; shapes are interpolated in a table from 0.2 to 10.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PATCH_PX = 96
FEATURES = 36
_WINDOW_PX, _SIGMA_PX = 7, 7 / 6
_HALF_TAPS = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
_ROUNDING = 1e-9  # a coefficient that is not zero is above 1e-6; what is below is left by the sums of a flat area
_SHAPES = np.arange(200, 10_001) / 1000
_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])
_RATIOS = np.exp(2 * _log_gamma(2 / _SHAPES) - _log_gamma(1 / _SHAPES) - _log_gamma(3 / _SHAPES))


def patch_statistics(luma: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Return the features ``(P, 36)`` and the sharpness ``(P,)`` of the patches of a luma ``(H, W)`` uint8, by rows.

    The features of the full size come first: shape and scale of the GGD, then shape, mean, left and right scale of the
    AGGD of horizontal, vertical and both diagonal products. They are ``nan`` for a patch without such a fit, as a flat
    one. Sharpness is the mean local deviation. Both are float64; ``P`` is 0 for a picture smaller than a patch.
    """
    import cv2

    height, width = (side - side % PATCH_PX for side in luma.shape)
    if not height or not width:
        return np.empty((0, FEATURES)), np.empty(0)
    full = luma[:height, :width].astype(np.float64)
    half = cv2.sepFilter2D(full, cv2.CV_64F, _HALF_TAPS, _HALF_TAPS, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    coefficients, deviation = normalise(full)
    smaller, _ = normalise(np.ascontiguousarray(half[::2, ::2]))
    features = np.hstack([_features(coefficients, PATCH_PX), _features(smaller, PATCH_PX // 2)])
    blocks = deviation.reshape(height // PATCH_PX, PATCH_PX, width // PATCH_PX, PATCH_PX)
    return features, blocks.mean((1, 3)).ravel()


def normalise(luma: Array) -> tuple[Array, Array]:
    """Return the MSCN coefficients ``(I - mean) / (deviation + 1)`` and the local deviation of ``(H, W)`` float64.

    The window is a 7x7 Gaussian of sigma 7/6; ``luma`` is in 0..255.
    """
    import cv2

    def blur(values: Array) -> Any:
        return cv2.GaussianBlur(values, (_WINDOW_PX, _WINDOW_PX), _SIGMA_PX, borderType=cv2.BORDER_REPLICATE)

    mean = blur(luma)
    deviation = np.sqrt(np.maximum(blur(luma * luma) - mean * mean, 0))
    coefficients = (luma - mean) / (deviation + 1)
    coefficients[np.abs(coefficients) < _ROUNDING] = 0
    return coefficients, deviation


def fit_ggd(values: Array) -> Array:
    """Return shape and scale ``(P, 2)`` of a zero-mean GGD ``exp(-(|x| / scale)^shape)`` of each row ``(P, N)``.

    By matching moments (Sharifi, Leon-Garcia, IEEE Trans. Circuits Syst. Video Technol. 5(1), 1995).
    """
    power = (values * values).mean(1)
    with np.errstate(invalid="ignore"):
        shape = np.interp(np.abs(values).mean(1) ** 2 / power, _RATIOS, _SHAPES)
    return np.stack([shape, np.sqrt(power) * _scale_of_unit_deviation(shape)], axis=1)


def fit_aggd(values: Array) -> Array:
    """Return shape, mean, left and right scale ``(P, 4)`` of a zero-mode AGGD of each row ``(P, N)``.

    By matching moments (Lasmar, Stitou, Berthoumieu, Multiscale skewed heavy tailed model for texture analysis, ICIP
    2009). ``nan`` for a row that is not on both sides of zero.
    """
    below, above = np.minimum(values, 0), np.maximum(values, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (np.sqrt((side * side).sum(1) / np.count_nonzero(side, axis=1)) for side in (below, above))
        skew = left / right
        ratio = np.abs(values).mean(1) ** 2 / (values * values).mean(1)
        shape = np.interp(ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2, _RATIOS, _SHAPES)
    unit = _scale_of_unit_deviation(shape)
    mean = (right - left) * unit * np.exp(_log_gamma(2 / shape) - _log_gamma(1 / shape))
    return np.stack([shape, mean, left * unit, right * unit], axis=1)


def _scale_of_unit_deviation(shape: Array) -> Array:
    return np.asarray(np.exp((_log_gamma(1 / shape) - _log_gamma(3 / shape)) / 2), np.float64)


def _features(coefficients: Array, side: int) -> Array:
    """Return the features ``(P, 18)`` of one scale, a row of patches at a time to save memory."""
    height, width = coefficients.shape
    rows = coefficients.reshape(height // side, side, width // side, side).swapaxes(1, 2)
    return np.vstack([_features_of_patches(patches) for patches in rows])


def _features_of_patches(patches: Array) -> Array:
    products = (
        patches[:, :, :-1] * patches[:, :, 1:],
        patches[:, :-1] * patches[:, 1:],
        patches[:, :-1, :-1] * patches[:, 1:, 1:],
        patches[:, :-1, 1:] * patches[:, 1:, :-1],
    )
    count = len(patches)
    return np.hstack([fit_ggd(patches.reshape(count, -1)), *(fit_aggd(each.reshape(count, -1)) for each in products)])
