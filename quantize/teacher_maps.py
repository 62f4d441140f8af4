"""The teacher's maps of every picture, stored once: what it sees at which position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.quantize.batches import Batch

_PICTURES_FOR_SCALE = 500


@runtime_checkable
class SpatialTeacher(Protocol):
    """A teacher that also tells its maps."""

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return pooled features ``(N, F)`` and maps ``(N, C, h, w)`` of normalised pictures ``(N, 3, H, W)``."""


class TeacherMaps:
    """Stored maps by stride: float16 ``(pictures, h, w, C)`` on disk, cut and scaled to unit deviation on demand."""

    def __init__(self, maps: Mapping[int, NDArray[np.float16]]) -> None:
        self._maps = dict(maps)
        self._scale = {stride: _deviation(stored) for stride, stored in maps.items()}

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self._maps)

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(stored.shape[-1] for stored in self._maps.values())

    def cut(self, stride: int, batch: Batch) -> Tensor:
        """Return the maps ``(B, C, h, w)`` float32 that belong to the pixels of ``batch``."""
        stored = self._maps[stride]
        side = batch.pixels.shape[1] // stride
        cuts = []
        places = zip(batch.pictures.tolist(), batch.top, batch.left, batch.mirrored, strict=True)
        for picture, top, left, mirrored in places:
            y, x = top // stride, left // stride
            cut = stored[picture, y : y + side, x : x + side]
            cuts.append(np.array(cut[:, ::-1] if mirrored else cut))
        return torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2).float() / self._scale[stride]


def _deviation(stored: NDArray[np.float16]) -> Tensor:
    every = max(1, len(stored) // _PICTURES_FOR_SCALE)
    sample = torch.from_numpy(np.array(stored[::every])).float()
    return sample.std((0, 1, 2)).clamp(min=1e-3)[:, None, None]
