"""All degradations by name, and the call that applies one of them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations.base import Degradation, Image, check_image, check_level
from edge_iqa.models.degradations.blur import BLUR
from edge_iqa.models.degradations.brightness import BRIGHTNESS
from edge_iqa.models.degradations.camera import MEDIUM, OPTICS
from edge_iqa.models.degradations.color import COLOR
from edge_iqa.models.degradations.compression import COMPRESSION
from edge_iqa.models.degradations.contrast import CONTRAST
from edge_iqa.models.degradations.exposure import EXPOSURE
from edge_iqa.models.degradations.noise import NOISE
from edge_iqa.models.degradations.pipeline import PIPELINE
from edge_iqa.models.degradations.spatial import SPATIAL

_PUBLISHED = (*BLUR, *COLOR, *COMPRESSION, *NOISE, *BRIGHTNESS, *SPATIAL, *CONTRAST)
_CAMERA = (*EXPOSURE, *OPTICS, *MEDIUM, *PIPELINE)

DEGRADATIONS: dict[str, Degradation] = {item.name: item for item in (*_PUBLISHED, *_CAMERA)}
"""Every degradation by name."""

PUBLISHED_GROUPS: tuple[str, ...] = tuple(dict.fromkeys(item.group for item in _PUBLISHED))
"""The seven groups of ARNIQA (arXiv 2310.14918)."""

CAMERA_GROUPS: tuple[str, ...] = tuple(dict.fromkeys(item.group for item in _CAMERA))
"""The groups of what cameras, air and codecs do (ours)."""

GROUPS: tuple[str, ...] = (*PUBLISHED_GROUPS, *CAMERA_GROUPS)
"""All groups, the published ones first."""


def find_degradation(name: str) -> Degradation:
    """The degradation called `name`; raises InvalidInput when there is none."""
    found = DEGRADATIONS.get(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidInput(
            f"no degradation {name!r}",
            why="it is not in the registry",
            fix="use one of " + ", ".join(DEGRADATIONS),
        )
    return found


def check_seed(seed: Any) -> None:
    """Raise InvalidInput unless `seed` is a whole number from 0 on."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise InvalidInput(
            f"no degradation seed {seed!r}",
            why="seeds are whole numbers from 0 on",
            fix="pass an int such as 0",
        )


def degrade(image: Image, name: str, level: int, seed: int) -> Image:
    """The picture damaged by `name` at `level` 1..5, or an unchanged copy for level 0.

    Takes and returns float32 RGB (H, W, 3) in [0, 1]; the input is left alone. The same arguments give
    the same result, and the levels of one seed share their random draws, so that they are one series of
    growing damage. Raises InvalidInput for another kind of picture, an unknown name, level or seed.
    """
    check_image(image)
    check_level(level, lowest=0)
    check_seed(seed)
    degradation = find_degradation(name)
    if level == 0:
        return image.copy()
    entropy = [zlib.crc32(name.encode("utf-8")), int(seed)]
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
    result = degradation.apply(np.ascontiguousarray(image), degradation.strength(int(level)), rng)
    return np.ascontiguousarray(np.clip(result, 0.0, 1.0), dtype=np.float32)
