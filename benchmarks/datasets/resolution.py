"""At which size a dataset's pictures are scored: the rule of each set in HiRQA's evaluation.

Every set is scored at full resolution, one picture at a time, but two: FLIVE is resized to 512x512 without
keeping the shape, and SPAQ is shrunk until its shorter side has 512 pixels (Ramesh et al., arXiv 2508.15130, the
authors' evaluation script). Both are done by Pillow, as there. The rule comes before anything that a model does
to its input, such as a bundle's own cover and crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.lazy import need

Picture = NDArray[np.uint8]
SIDE_PX = 512


@dataclass(frozen=True)
class Resolution:
    """A rule by ``name``, its ``text`` for results, and what it does to a uint8 RGB picture ``(H, W, 3)``."""

    name: str
    text: str
    apply: Callable[[Picture], Picture]


def full(picture: Picture) -> Picture:
    """Return the picture as it is."""
    return picture


def square(picture: Picture) -> Picture:
    """Return the picture at 512x512, bilinear, whatever its shape was."""
    return _resized(picture, SIDE_PX, SIDE_PX, "BILINEAR")


def shorter_side(picture: Picture) -> Picture:
    """Return the picture with a shorter side of 512 pixels, bicubic; a smaller one stays as it is."""
    height, width = picture.shape[:2]
    shorter = min(height, width)
    if shorter <= SIDE_PX:
        return picture
    return _resized(picture, int(width * SIDE_PX / shorter), int(height * SIDE_PX / shorter), "BICUBIC")


def _resized(picture: Picture, width: int, height: int, filter_name: str) -> Picture:
    need("PIL", "datasets")
    from PIL import Image

    resampling: Any = getattr(Image.Resampling, filter_name)
    return np.asarray(Image.fromarray(picture).resize((width, height), resampling), np.uint8)


RULES: dict[str, Resolution] = {
    rule.name: rule
    for rule in (
        Resolution("full", "full resolution", full),
        Resolution("512x512", "resized to 512x512, shape not kept, bilinear", square),
        Resolution("shorter-512", "shorter side shrunk to 512 pixels, bicubic", shorter_side),
    )
}
