"""Noise group: white, chroma, impulse and speckle noise (ARNIQA, arXiv 2310.14918, after KADID-10k).

Mended in all four: the noise field is drawn once for a seed and only its strength grows with the level.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image
from edge_iqa.models.degradations.filters import as_image


def _normal_field(rng: np.random.Generator, image: Image, variance: float) -> Image:
    return rng.standard_normal(image.shape, dtype=np.float32) * np.float32(variance**0.5)


def white_noise(image: Image, variance: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of `variance` on R, G and B; levels as published. Mended: one field for a seed."""
    return image + _normal_field(rng, image, variance)


def white_noise_ycc(image: Image, variance: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of `variance` on Y, Cb and Cr; levels as published. Mended: one field for a seed."""
    ycc = as_image(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)) + _normal_field(rng, image, variance)
    return as_image(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB))


def impulse_noise(image: Image, density: float, rng: np.random.Generator) -> Image:
    """Set a share `density` of all values, channel by channel, half to 1 and half to 0; levels as published.

    Mended: one field for a seed, cut from both ends, so that the values hit at a level stay hit at the
    next one.
    """
    chance = rng.random(image.shape, dtype=np.float32)
    result = image.copy()
    result[chance < density / 2] = 1.0
    result[chance > 1.0 - density / 2] = 0.0
    return result


def speckle_noise(image: Image, variance: float, rng: np.random.Generator) -> Image:
    """x + x * n with Gaussian n of `variance`; levels as published. Mended: one field for a seed."""
    return image + image * _normal_field(rng, image, variance)


NOISE = (
    Degradation("whitenoise", "noise", (0.001, 0.002, 0.003, 0.005, 0.01), "RGB noise, variance", white_noise),
    Degradation(
        "whitenoiseCC",
        "noise",
        (0.0001, 0.0005, 0.001, 0.002, 0.003),
        "YCbCr noise, variance",
        white_noise_ycc,
    ),
    Degradation("impulsenoise", "noise", (0.001, 0.005, 0.01, 0.02, 0.03), "salt and pepper, share", impulse_noise),
    Degradation("multnoise", "noise", (0.001, 0.005, 0.01, 0.02, 0.05), "speckle, variance", speckle_noise),
)
