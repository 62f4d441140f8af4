"""Spatial group: jitter, moved patches, pixels, steps, blocks (ARNIQA, arXiv 2310.14918, after KADID-10k)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge_iqa.models.degradations.base import Degradation, Image, pixel_scale, scaled_px
from edge_iqa.models.degradations.filters import as_image, resize

_JITTER_PASSES = 5
_MOST_PATCHES = 100
_PATCH_PX = 16
_PATCH_MOVE_PX = 8.0
_MOST_BLOCKS = 10
_BLOCK_PX = 32


def jitter(image: Image, sigma_px: float, rng: np.random.Generator) -> Image:
    """Move every pixel by Gaussian noise of `sigma_px` (at 512 pixels), in five bilinear passes.

    Mended: the published sigmas 0.05, 0.1, 0.2, 0.5, 1 begin below what can be seen; ours begin with 0.1,
    0.2, 0.35. One displacement field for a seed. Sigma is scaled with the picture.
    """
    height, width = image.shape[:2]
    sigma = np.float32(sigma_px * pixel_scale(image))
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    result = image
    for _ in range(_JITTER_PASSES):
        moves = rng.standard_normal((2, height, width), dtype=np.float32) * sigma
        result = as_image(
            cv2.remap(result, x + moves[0], y + moves[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )
    return result


def moved_patches(image: Image, count: float, rng: np.random.Generator) -> Image:
    """Copy `count` patches of 16x16 pixels (at 512) to places up to 8 pixels away.

    Mended: a list of 100 patches is drawn for a seed and a level uses its beginning, the first on
    top; patches are cut from the undamaged picture and always move by 4 to 8 pixels, since a patch that
    stays does nothing. Patch and move are scaled with the picture.
    """
    height, width = image.shape[:2]
    scale = pixel_scale(image)
    side = min(scaled_px(image, _PATCH_PX), height, width)
    places = rng.random((_MOST_PATCHES, 2))
    angles = rng.uniform(0.0, 2.0 * math.pi, _MOST_PATCHES)
    distances = rng.uniform(0.5, 1.0, _MOST_PATCHES) * _PATCH_MOVE_PX * scale
    result = image.copy()
    for index in reversed(range(int(count))):
        top = int(places[index, 0] * (height - side + 1))
        left = int(places[index, 1] * (width - side + 1))
        to_top = top + round(distances[index] * math.sin(angles[index]))
        to_left = left + round(distances[index] * math.cos(angles[index]))
        to_top = min(max(to_top, 0), height - side)
        to_left = min(max(to_left, 0), width - side)
        result[to_top : to_top + side, to_left : to_left + side] = image[top : top + side, left : left + side]
    return result


def pixelate(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Shrink by 0.95 - amount^0.6 and enlarge again, nearest neighbour; levels as published.

    Mended: neighbours are found from pixel centres, so the picture does not move by half a pixel.
    """
    height, width = image.shape[:2]
    factor = 0.95 - amount**0.6
    small = resize(image, max(1, round(width * factor)), max(1, round(height * factor)), cv2.INTER_NEAREST_EXACT)
    return resize(small, width, height, cv2.INTER_NEAREST_EXACT)


def quantize(image: Image, steps: float, rng: np.random.Generator) -> Image:
    """Reduce each channel to `steps` values of equal width; levels as published.

    Mended: a step is shown as its middle value. The published rescaling of the result to its own minimum
    and maximum is a contrast change besides, and divides by zero on a flat picture.
    """
    count = np.float32(steps)
    steps_up = np.minimum(np.floor(image * count), count - 1.0)
    return as_image((steps_up + np.float32(0.5)) / count)


def color_blocks(image: Image, count: float, rng: np.random.Generator) -> Image:
    """Cover `count` squares of 32x32 pixels (at 512) with random colours; levels as published.

    Mended: a list of 10 blocks is drawn for a seed and a level uses its beginning, the first on
    top, so that damage only grows. The block is scaled with the picture.
    """
    height, width = image.shape[:2]
    side = min(scaled_px(image, _BLOCK_PX), height, width)
    places = rng.random((_MOST_BLOCKS, 2))
    colors = rng.random((_MOST_BLOCKS, 3), dtype=np.float32)
    result = image.copy()
    for index in reversed(range(int(count))):
        top = int(places[index, 0] * (height - side + 1))
        left = int(places[index, 1] * (width - side + 1))
        result[top : top + side, left : left + side] = colors[index]
    return result


SPATIAL = (
    Degradation("jitter", "spatial", (0.1, 0.2, 0.35, 0.6, 1.0), "pixels moved, sigma in pixels", jitter),
    Degradation("noneccpatch", "spatial", (20.0, 40.0, 60.0, 80.0, 100.0), "patches moved", moved_patches),
    Degradation("pixelate", "spatial", (0.01, 0.05, 0.1, 0.2, 0.5), "large pixels", pixelate),
    Degradation("quantization", "spatial", (20.0, 16.0, 13.0, 10.0, 7.0), "values left", quantize),
    Degradation("colorblock", "spatial", (2.0, 4.0, 6.0, 8.0, 10.0), "squares covered", color_blocks),
)
