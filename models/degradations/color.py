"""Colour group: diffusion, channel shift and saturation (ARNIQA, arXiv 2310.14918, after KADID-10k)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale
from edge_iqa.models.degradations.filters import as_image, brightest_channel, from_lab, luma, smooth, to_lab

_FULL_EDGE = 0.08


def color_diffusion(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Blur a and b of Lab with sigma 1.5 * amount + 2 pixels (at 512), then multiply them by `amount`.

    Mended: sigma is scaled with the picture; the weakest amount is 1.5 in the place of 1, which only blurs
    and cannot be seen on pale pictures.
    """
    lab = to_lab(image)
    chroma = smooth(np.ascontiguousarray(lab[:, :, 1:]), (1.5 * amount + 2.0) * pixel_scale(image))
    lab[:, :, 1:] = np.clip(chroma * np.float32(amount), -127.0, 127.0)
    return from_lab(lab)


def color_shift(image: Image, shift_px: float, rng: np.random.Generator) -> Image:
    """Shift the green channel by `shift_px` (at 512 pixels), blended in around edges.

    Mended: one direction for a seed, in any quadrant; the shift is scaled with the picture and made with
    sub-pixel precision, since rounding a small one to whole pixels can leave nothing; the weakest is 1.5
    in the place of 1. The edge map is a gradient magnitude smoothed with sigma 4 pixels that saturates at
    a fixed contrast (ours), so that a flat picture has no edges.
    """
    scale = pixel_scale(image)
    angle = rng.uniform(0.0, 2.0 * math.pi)
    shift_x, shift_y = (shift_px * scale * part for part in (math.cos(angle), math.sin(angle)))
    height, width = image.shape[:2]
    matrix = np.array([[1.0, 0.0, shift_x], [0.0, 1.0, shift_y]])
    green = np.ascontiguousarray(image[:, :, 1])
    shifted = as_image(
        cv2.warpAffine(green, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
    grey = luma(image)
    steps_x = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125)
    steps_y = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125)
    edges = smooth(as_image(np.sqrt(steps_x * steps_x + steps_y * steps_y)), 4.0 * scale)
    weight = np.minimum(edges * np.float32(scale / _FULL_EDGE * 2.0), 1.0)
    result = image.copy()
    result[:, :, 1] = green + weight * (shifted - green)
    return result


def desaturate(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Multiply the HSV saturation by `factor`, value and hue kept.

    Mended: the published factors 0.4, 0.2, 0.1, 0, -0.4 end with an inverted saturation; ours are 0.6,
    0.4, 0.2, 0.1, 0, so that the last level is grey.
    """
    value = brightest_channel(image)
    return as_image(value + np.float32(factor) * (image - value))


def oversaturate(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Multiply a and b of Lab by `factor`.

    Mended: the published factors 1, 2, 3, 6, 9 start with the identity; ours start with 1.5.
    """
    lab = to_lab(image)
    lab[:, :, 1:] = np.clip(lab[:, :, 1:] * np.float32(factor), -127.0, 127.0)
    return from_lab(lab)


COLOR = (
    Degradation("colordiff", "color", (1.5, 3.0, 6.0, 8.0, 12.0), "colours bleed and grow", color_diffusion),
    Degradation("colorshift", "color", (1.5, 3.0, 6.0, 8.0, 12.0), "green moved, in pixels", color_shift),
    Degradation("colorsat1", "color", (0.6, 0.4, 0.2, 0.1, 0.0), "saturation lost, factor left", desaturate),
    Degradation("colorsat2", "color", (1.5, 2.0, 3.0, 6.0, 9.0), "saturation gained, factor", oversaturate),
)
