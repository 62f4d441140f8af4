"""Brightness group: brighter, darker, shifted mean (ARNIQA, arXiv 2310.14918, after KADID-10k)."""

from __future__ import annotations

import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image
from edge_iqa.models.degradations.filters import from_lab, to_lab


def _curve(values: Image, amount: float) -> Image:
    """The parabola (three-point spline) through (0, 0), (0.5, 0.5 + amount / 2) and (1, 1), clipped."""
    return np.clip(values + np.float32(2.0 * amount) * values * (1.0 - values), 0.0, 1.0)


def brighten(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Tone curve 0.5 -> 0.5 + amount / 2, two parts on RGB and one part on L of Lab; levels as published."""
    lab = to_lab(image)
    lab[:, :, 0] = _curve(lab[:, :, 0] / np.float32(100.0), amount) * np.float32(100.0)
    return (2.0 * _curve(image, amount) + from_lab(lab)) / np.float32(3.0)


def darken(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Tone curve 0.5 -> 0.5 - amount / 2 on RGB; levels as published."""
    return _curve(image, -amount)


def mean_shift(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Add or subtract `amount`.

    Mended: the published shifts 0, 0.08, -0.08, 0.15, -0.15 start with the identity and change direction
    at every level; ours grow from 0.05 to 0.2 in one direction, drawn once for a seed.
    """
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return image + np.float32(sign * amount)


BRIGHTNESS = (
    Degradation("brighten", "brightness", (0.1, 0.2, 0.4, 0.7, 1.1), "tone curve up", brighten),
    Degradation("darken", "brightness", (0.05, 0.1, 0.2, 0.4, 0.8), "tone curve down", darken),
    Degradation("meanshift", "brightness", (0.05, 0.08, 0.11, 0.15, 0.2), "offset up or down", mean_shift),
)
