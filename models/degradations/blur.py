"""Blur group: Gaussian, lens and straight motion blur (ARNIQA, arXiv 2310.14918, after KADID-10k)."""

from __future__ import annotations

import math

import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale
from edge_iqa.models.degradations.filters import convolve, disc_kernel, gaussian, path_kernel


def gaussian_blur(image: Image, sigma_px: float, rng: np.random.Generator) -> Image:
    """Gaussian blur of `sigma_px` (at 512 pixels).

    Mended: the published sigmas 0.1, 0.5, 1, 2, 5 start with an identity kernel; ours start at 1.
    Sigma is scaled with the picture.
    """
    return gaussian(image, sigma_px * pixel_scale(image))


def lens_blur(image: Image, radius_px: float, rng: np.random.Generator) -> Image:
    """Blur by a disc of `radius_px` (at 512 pixels).

    Mended: a true anti-aliased disc (see `disc_kernel`) in the place of the ported formula with its
    negative weights; the published radii 1 and 2 became 1.5 and 2.5, since a scaled disc inside one
    pixel does nothing. The radius is scaled with the picture.
    """
    return convolve(image, disc_kernel(radius_px * pixel_scale(image)))


def motion_blur(image: Image, length_px: float, rng: np.random.Generator) -> Image:
    """Blur along a straight line of `length_px` (at 512 pixels) at a random angle.

    Mended: the published lengths 1, 2, 4, 6, 10 start with a 1x1 kernel; ours are 3, 4, 6, 8, 12. The
    angle is drawn once for a seed, not anew at each level. The length is scaled with the picture.
    """
    angle = rng.uniform(0.0, math.pi)
    length = length_px * pixel_scale(image)
    along = np.linspace(-length / 2, length / 2, 8 * math.ceil(length) + 1)
    points = np.stack([along * math.cos(angle), along * math.sin(angle)], axis=1)
    return convolve(image, path_kernel(points))


BLUR = (
    Degradation("gaublur", "blur", (1.0, 1.4, 2.0, 3.2, 5.0), "Gaussian blur, sigma in pixels", gaussian_blur),
    Degradation("lensblur", "blur", (1.5, 2.5, 4.0, 6.0, 8.0), "disc blur, radius in pixels", lens_blur),
    Degradation("motionblur", "blur", (3.0, 4.0, 6.0, 8.0, 12.0), "line blur, length in pixels", motion_blur),
)
