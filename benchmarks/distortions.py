"""A few plain, seeded distortions that spread the embedded photographs over the range of scores.

They exist so that a benchmark on a device has good and bad pictures with nothing but numpy and OpenCV. The
realistic degradations that students are trained on are in ``edge_iqa.models.degradations``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import InvalidInput

Picture = NDArray[np.uint8]

# name and strength, in the order in which they are applied to each photograph
VARIANTS: tuple[tuple[str, float], ...] = (
    ("blur", 1.2),
    ("noise", 12.0),
    ("jpeg", 30.0),
    ("dark", 1.8),
    ("pixels", 2.0),
    ("motion", 9.0),
    ("blur", 3.5),
    ("noise", 35.0),
    ("jpeg", 8.0),
    ("dark", 3.5),
    ("pixels", 5.0),
    ("motion", 25.0),
)


def distort(picture: Picture, name: str, strength: float, seed: int) -> Picture:
    """Return a distorted copy of a uint8 RGB picture ``(H, W, 3)``; the same arguments give the same bytes.

    ``strength``: blur, the Gaussian's sigma in pixels; noise, the sigma in grey levels; jpeg, the quality
    1..100; dark, the gamma; pixels, the factor of shrinking; motion, the length in pixels. Raises
    InvalidInput for a name that does not exist.
    """
    if name not in _FUNCTIONS:
        raise InvalidInput(f"There is no distortion {name!r}", fix=f"one of: {', '.join(_FUNCTIONS)}")
    return np.ascontiguousarray(_FUNCTIONS[name](picture, strength, seed), np.uint8)


def _blur(picture: Picture, sigma: float, _seed: int) -> Picture:
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def _noise(picture: Picture, sigma: float, seed: int) -> Picture:
    noise = np.random.default_rng(seed).normal(0.0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _jpeg(picture: Picture, quality: float, _seed: int) -> Picture:
    import cv2

    _, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return decoded[:, :, ::-1]


def _dark(picture: Picture, gamma: float, _seed: int) -> Picture:
    table = np.rint(255.0 * (np.arange(256) / 255.0) ** gamma).astype(np.uint8)
    darker: Picture = table[picture]
    return darker


def _pixels(picture: Picture, factor: float, _seed: int) -> Picture:
    import cv2

    height, width = picture.shape[:2]
    small_size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(picture, small_size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _motion(picture: Picture, length: float, _seed: int) -> Picture:
    import cv2

    kernel = np.full((1, int(length)), 1.0 / int(length), np.float32)
    return np.asarray(cv2.filter2D(picture, -1, kernel), np.uint8)


_FUNCTIONS: dict[str, Callable[[Picture, float, int], Picture]] = {
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "dark": _dark,
    "pixels": _pixels,
    "motion": _motion,
}
