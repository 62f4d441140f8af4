"""Sharpness and contrast group (ARNIQA, arXiv 2310.14918, after KADID-10k)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale
from edge_iqa.models.degradations.filters import as_image, from_lab, to_lab

_UNSHARP_SIGMA_PX = 6.0
_UNSHARP_HALF_PX = 6.0
_ROLL_OFF = 2.0


def over_sharpen(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Unsharp masking of L in Lab by `amount`, 13x13 Gaussian of sigma 6 (at 512 pixels).

    Levels as published. Mended: window and sigma are scaled with the picture.
    """
    scale = pixel_scale(image)
    side = 2 * max(1, round(_UNSHARP_HALF_PX * scale)) + 1
    lab = to_lab(image)
    light = np.ascontiguousarray(lab[:, :, 0])
    sigma = _UNSHARP_SIGMA_PX * scale
    low = as_image(cv2.GaussianBlur(light, (side, side), sigma, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE))
    lab[:, :, 0] = np.clip(light + np.float32(amount) * (light - low), 0.0, 100.0)
    return from_lab(lab)


def linear_contrast(image: Image, stops: float, rng: np.random.Generator) -> Image:
    """Multiply the distance to mid grey by 2 ** `stops` or by 2 ** -`stops`.

    Mended: the published points (0.3, 0.25 - a/4), (0.5, 0.5), (0.7, 0.75 + a/4) lie on one line of gain
    1.25 (1 + a), and a = 0, 0.15, -0.4, 0.3, -0.6 changes direction at every level (gains 1.25, 1.44,
    0.75, 1.63, 0.5). Ours has one direction, drawn once for a seed, and gains up to 2 or down to 0.5.
    """
    sign = 1.0 if rng.random() < 0.5 else -1.0
    gain = np.float32(2.0 ** (sign * stops))
    return (image - np.float32(0.5)) * gain + np.float32(0.5)


def tone_compression(image: Image, half_range: float, rng: np.random.Generator) -> Image:
    """Squeeze [0, 1] into 0.5 -/+ `half_range`, shadows and highlights rolled off.

    Half-ranges as published. Mended: the published `nonlincontrchange` is a linear squeeze, in spite of
    its name. Ours follows a hyperbolic tangent, 0.5 + h tanh(2 (x - 0.5)) / tanh(1), which
    spares the middle tones at first.
    """
    curve = np.tanh(np.float32(_ROLL_OFF) * (image - np.float32(0.5)))
    return as_image(curve * np.float32(half_range / math.tanh(_ROLL_OFF / 2.0)) + np.float32(0.5))


CONTRAST = (
    Degradation("highsharpen", "contrast", (1.0, 2.0, 3.0, 6.0, 12.0), "over-sharpening, amount", over_sharpen),
    Degradation(
        "lincontrchange",
        "contrast",
        (0.25, 0.42, 0.6, 0.8, 1.0),
        "contrast up or down, stops",
        linear_contrast,
    ),
    Degradation("nonlincontrchange", "contrast", (0.4, 0.3, 0.2, 0.1, 0.05), "tones squeezed", tone_compression),
)
