"""Camera group for light (ours): low light, over-exposure and banding."""

from __future__ import annotations

import math

import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale
from edge_iqa.models.degradations.filters import as_image, from_linear, gaussian, luma, smooth, to_linear

_FULL_WELL = 3000.0
_READ_NOISE = 0.002
_BANDING_BASE_PX = 3.0


def low_light(image: Image, stops: float, rng: np.random.Generator) -> Image:
    """Exposure `stops` too short in linear light, with shot and read noise, partly amplified again.

    Noise has the variance light / 3000 + 0.002^2 (Gaussian in the place of Poisson). A share of the
    missing stops, drawn once for a seed from 0 to 0.7, is given back by the automatic gain, which amplifies
    the noise with the light; so some seeds are dark and others are bright and noisy.
    """
    gain_share = rng.uniform(0.0, 0.7)
    field = rng.standard_normal(image.shape, dtype=np.float32)
    light = to_linear(image) * np.float32(2.0**-stops)
    light = light + field * np.sqrt(light * np.float32(1.0 / _FULL_WELL) + np.float32(_READ_NOISE**2))
    return from_linear(light * np.float32(2.0 ** (gain_share * stops)))


def over_exposure(image: Image, stops: float, rng: np.random.Generator) -> Image:
    """Exposure `stops` too long in linear light: highlights clip and bleed into what is around them."""
    light = to_linear(image) * np.float32(2.0**stops)
    excess = np.minimum(np.maximum(light - np.float32(1.0), 0.0), 2.0)
    bleed = smooth(excess, 6.0 * pixel_scale(image))
    return from_linear(light + np.float32(0.2) * bleed)


def banding(image: Image, steps: float, rng: np.random.Generator) -> Image:
    """Only `steps` tones in the smooth part of the picture: contours in skies and on walls, details kept.

    The low pass of the luma (sigma 3 at 512 pixels) is posterised on a tone curve whose exponent is drawn
    once for a seed (0.8 to 1.4; above 1 the bands crowd in the highlights) and the detail is added again.
    """
    exponent = np.float32(math.exp(rng.uniform(math.log(0.8), math.log(1.4))))
    grey = luma(gaussian(image, _BANDING_BASE_PX * pixel_scale(image)))
    tones = np.power(np.clip(grey, 0.0, 1.0), exponent)
    count = np.float32(steps)
    middle = (np.minimum(np.floor(tones * count), count - 1.0) + np.float32(0.5)) / count
    change = np.power(middle, 1.0 / exponent) - grey
    return as_image(image + change[:, :, None])


EXPOSURE = (
    Degradation("lowlight", "camera_exposure", (1.0, 1.8, 2.6, 3.5, 4.5), "too dark, stops", low_light),
    Degradation("overexposure", "camera_exposure", (0.5, 0.9, 1.4, 2.0, 2.7), "too bright, stops", over_exposure),
    Degradation("banding", "camera_exposure", (16.0, 12.0, 9.0, 6.0, 4.0), "tones left in gradients", banding),
)
