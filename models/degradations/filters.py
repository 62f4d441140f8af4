"""Filters, kernels and colour conversions the degradations share, all on float32 pictures."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_iqa.models.degradations.base import Image

DISPLAY_GAMMA = 2.2
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_DISC_SAMPLES = 16
_LARGEST_DIRECT_SIGMA_PX = 4.0


def as_image(array: Any) -> Image:
    """The array as float32, without a copy where it is float32 already."""
    return np.asarray(array, dtype=np.float32)


def gaussian(image: Image, sigma_px: float) -> Image:
    """Gaussian blur with replicated borders, (H, W) or (H, W, C)."""
    size = 2 * math.ceil(3 * sigma_px) + 1
    return as_image(cv2.GaussianBlur(image, (size, size), sigma_px, sigmaY=sigma_px, borderType=cv2.BORDER_REPLICATE))


def smooth(image: Image, sigma_px: float) -> Image:
    """Gaussian-like low pass; wide blurs are done on a smaller picture, so the cost does not grow."""
    if sigma_px <= _LARGEST_DIRECT_SIGMA_PX:
        return gaussian(image, sigma_px)
    height, width = image.shape[:2]
    factor = sigma_px / 2.0
    small_size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = as_image(cv2.resize(image, small_size, interpolation=cv2.INTER_AREA))
    return resize(gaussian(small, 2.0), width, height)


def resize(image: Image, width: int, height: int, interpolation: int = cv2.INTER_LINEAR) -> Image:
    """The picture at another size, (H, W) or (H, W, C)."""
    return as_image(cv2.resize(image, (width, height), interpolation=interpolation))


def convolve(image: Image, kernel: Image) -> Image:
    """The picture filtered by `kernel` (odd sides) with replicated borders."""
    return as_image(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE))


@lru_cache(maxsize=64)
def disc_kernel(radius_px: float) -> Image:
    """Disc of `radius_px`, each weight the share of its pixel inside the circle; (2k+1, 2k+1), sum 1.

    The shares are counted on 16 x 16 points in each pixel, so no weight can be negative. (The closed
    formula of MATLAB's fspecial('disk'), as ported in ARNIQA, yields negative weights from radius 2 on.)
    """
    half = max(0, math.ceil(radius_px - 0.5))
    steps = (2 * half + 1) * _DISC_SAMPLES
    offsets = (np.arange(steps) + 0.5) / _DISC_SAMPLES - half - 0.5
    inside = (offsets[:, None] ** 2 + offsets[None, :] ** 2) <= radius_px**2
    side = 2 * half + 1
    shares = inside.reshape(side, _DISC_SAMPLES, side, _DISC_SAMPLES).mean(axis=(1, 3))
    kernel = as_image(shares / shares.sum())
    kernel.setflags(write=False)
    return kernel


def path_kernel(points_px: npt.NDArray[np.float64]) -> Image:
    """Kernel of a camera that rests equally long at each of `points_px` (N, 2; x, y); sum 1, weights >= 0.

    Each point is shared by the four pixels around it (bilinear), and the path is centred first so that
    the picture does not wander.
    """
    centred = points_px - points_px.mean(axis=0)
    half = int(np.ceil(np.abs(centred).max())) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    corner = np.floor(centred).astype(int)
    part = centred - corner
    for step_x in (0, 1):
        for step_y in (0, 1):
            weight_x = part[:, 0] if step_x else 1 - part[:, 0]
            weight_y = part[:, 1] if step_y else 1 - part[:, 1]
            rows = corner[:, 1] + step_y + half
            columns = corner[:, 0] + step_x + half
            np.add.at(kernel, (rows, columns), weight_x * weight_y)
    return as_image(kernel / kernel.sum())


def to_lab(image: Image) -> Image:
    """sRGB in [0, 1] to CIE Lab: L in 0..100, a and b about -127..127."""
    return as_image(cv2.cvtColor(image, cv2.COLOR_RGB2Lab))


def from_lab(lab: Image) -> Image:
    """CIE Lab to sRGB; colours outside the gamut are clipped to [0, 1]."""
    return as_image(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB))


def to_linear(image: Image) -> Image:
    """Display values to linear light, with a plain 2.2 gamma in the place of the sRGB curve."""
    return as_image(cv2.pow(image, DISPLAY_GAMMA))


def from_linear(light: Image) -> Image:
    """Linear light, clipped to [0, 1], to display values."""
    return as_image(cv2.pow(np.clip(light, 0.0, 1.0), 1.0 / DISPLAY_GAMMA))


def luma(image: Image) -> Image:
    """Rec. 601 luma, (H, W)."""
    return as_image(cv2.transform(image, LUMA_WEIGHTS[None, :]))


def brightest_channel(image: Image) -> Image:
    """The largest of R, G and B, (H, W, 1)."""
    return np.maximum(np.maximum(image[:, :, 0:1], image[:, :, 1:2]), image[:, :, 2:3])


def to_bytes_bgr(image: Image) -> npt.NDArray[np.uint8]:
    """Rounded 8-bit BGR pixels, the layout OpenCV's encoders take."""
    return np.ascontiguousarray((image[:, :, ::-1] * 255.0 + 0.5).astype(np.uint8))


def from_bytes_bgr(pixels: npt.NDArray[Any]) -> Image:
    """8-bit BGR pixels as a float32 RGB picture in [0, 1]."""
    return np.ascontiguousarray(pixels[:, :, ::-1]).astype(np.float32) / np.float32(255.0)


def low_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Image:
    """Smooth random field (H, W) in [0, 1] made of about `cells` bumps along each side."""
    coarse = rng.random((cells + 1, cells + 1), dtype=np.float32)
    return np.clip(resize(coarse, width, height, cv2.INTER_CUBIC), 0.0, 1.0)


def coordinates(height: int, width: int) -> tuple[Image, Image]:
    """Pixel centres as x (1, W) and y (H, 1), both in [0, 1]."""
    x = as_image((np.arange(width) + 0.5) / width)
    y = as_image((np.arange(height) + 0.5) / height)
    return x[None, :], y[:, None]
