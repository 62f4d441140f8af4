"""The `Degradation` record, the picture type it works on and the checks every call makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_iqa.errors import InvalidInput

Image: TypeAlias = npt.NDArray[np.float32]
"""A float32 array; a colour picture is (H, W, 3), RGB, display-referred (sRGB), in [0, 1]."""

Apply: TypeAlias = Callable[[Image, float, np.random.Generator], Image]
"""(picture, strength, rng) -> degraded picture, which need not be clipped yet and never aliases the input."""

REFERENCE_SIDE_PX = 512
SMALLEST_SCALE = 0.5
LEVEL_COUNT = 5


@dataclass(frozen=True)
class Degradation:
    """One kind of damage with five strengths.

    `apply` gets one of `levels` as its strength and a generator that starts in the same state at every
    level of one seed. It must draw the same numbers whatever the strength, so that the levels of one
    seed are one realisation made stronger: an ordered series.
    """

    name: str
    group: str
    levels: tuple[float, float, float, float, float]
    description: str
    apply: Apply = field(repr=False)

    def strength(self, level: int) -> float:
        """The parameter at `level` in 1..5; raises InvalidInput for any other level."""
        check_level(level)
        return float(self.levels[level - 1])


def pixel_scale(image: Image) -> float:
    """Factor for parameters given in pixels of a picture whose shorter side is 512 pixels (ours).

    The tables of ARNIQA and KADID-10k are in pixels of pictures about that large; scaling keeps a level
    about the same percept in a thumbnail and in a 4K frame. It stops shrinking at a half (256 pixels),
    because a blur of a fraction of a pixel does nothing.
    """
    return max(SMALLEST_SCALE, float(min(image.shape[:2])) / REFERENCE_SIDE_PX)


def scaled_px(image: Image, size_px: float, smallest_px: int = 1) -> int:
    """`size_px` at a shorter side of 512 pixels, as whole pixels of this picture."""
    return max(smallest_px, math.floor(size_px * pixel_scale(image) + 0.5))


def check_image(image: Any) -> None:
    """Raise InvalidInput unless `image` is a float32 (H, W, 3) array with finite values in [0, 1]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.float32:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise InvalidInput(
            f"the picture is {found}",
            why="degradations work on float32 RGB arrays in [0, 1]",
            fix="convert it, for instance with image.astype(numpy.float32) / 255 for 8-bit pixels",
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InvalidInput(
            f"the picture has shape {image.shape}",
            why="degradations work on non-empty colour pictures of shape (H, W, 3)",
            fix="put the channels last and repeat a grey channel three times",
        )
    lowest, highest = float(image.min()), float(image.max())
    if not (lowest >= 0.0 and highest <= 1.0):
        raise InvalidInput(
            f"the picture has values from {lowest:g} to {highest:g}",
            why="degradations are defined on values in [0, 1] and cannot treat NaN",
            fix="divide 8-bit values by 255, or clip the picture",
        )


def check_level(level: Any, lowest: int = 1) -> None:
    """Raise InvalidInput unless `level` is a whole number in lowest..5."""
    whole = isinstance(level, int | np.integer) and not isinstance(level, bool)
    if not whole or not lowest <= level <= LEVEL_COUNT:
        raise InvalidInput(
            f"no degradation level {level!r}",
            why=f"levels are the whole numbers {lowest} to {LEVEL_COUNT}",
            fix="pass 1 (weakest) to 5 (strongest)",
        )
