"""Contact sheet: one row for each degradation, one column for each level, to judge them by eye."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edge_iqa.models.degradations.base import LEVEL_COUNT, Image, check_image
from edge_iqa.models.degradations.registry import DEGRADATIONS, degrade

_TILE_SIDE_PX = 256
_LABEL_HEIGHT_PX = 18
_GAP_PX = 2


def contact_sheet(image: Image, names: Sequence[str] | None = None, seed: int = 0) -> npt.NDArray[np.uint8]:
    """The picture under each degradation of `names` (all when None) at level 0 (pristine) to 5.

    Takes float32 RGB (H, W, 3) in [0, 1]; returns uint8 RGB with labels above the tiles. The picture is first
    shrunk to a shorter side of 256 pixels if it is larger, and damaged at that size. Raises InvalidInput as
    `degrade` does.
    """
    check_image(image)
    height, width = image.shape[:2]
    factor = min(1.0, _TILE_SIDE_PX / min(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.clip(cv2.resize(image, size, interpolation=cv2.INTER_AREA), 0.0, 1.0).astype(np.float32)
    rows = []
    for name in DEGRADATIONS if names is None else names:
        tiles = [_labelled(degrade(small, name, level, seed), name, level) for level in range(LEVEL_COUNT + 1)]
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows, axis=0)


def _labelled(tile: Image, name: str, level: int) -> npt.NDArray[np.uint8]:
    height, width = tile.shape[:2]
    framed = np.full((height + _LABEL_HEIGHT_PX + _GAP_PX, width + _GAP_PX, 3), 255, dtype=np.uint8)
    framed[_LABEL_HEIGHT_PX : _LABEL_HEIGHT_PX + height, :width] = (tile * 255.0 + 0.5).astype(np.uint8)
    strength = f"{name} {level}: {DEGRADATIONS[name].strength(level):g}" if level else f"{name} 0"
    cv2.putText(framed, strength, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return framed
