"""Crops that are never twice the same: zoomed, exposed, noisy, compressed, as cameras would have it.

An earlier student, taught from random weights on fixed crops, agreed with its teacher by .83 on the embedded pictures
and by .70 on crops of this kind. A teacher that is asked about each crop as it is made
(``edge_iqa.quantize.stagewise``) needs no fixed ones. Ours.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.models.synthesis import SyntheticSet

_ZOOM = (0.6, 2.0)  # side of what is cut, in sides of the crop
_NOISE = (1.0, 14.0)  # deviation, in grey levels
_QUALITY = (25, 96)


class VariedCrops:
    """Crops of a set's pictures. Half of them come from the pictures in ``learnt`` ``(C, V)``, the rest from all."""

    def __init__(self, data: SyntheticSet, learnt: NDArray[np.bool_], seed: int) -> None:
        self._pictures = data.pictures.reshape(-1, *data.pictures.shape[2:])
        self._learnt = np.flatnonzero(learnt)
        self._seed = seed

    def batch(self, step: int, count: int, size: int) -> Tensor:
        """Return the crops of a step, uint8 ``(count, size, size, 3)``; they follow from seed and step alone."""
        rng = np.random.default_rng([self._seed, step])
        some, every = (
            self._learnt[rng.integers(0, len(self._learnt), count)],
            rng.integers(0, len(self._pictures), count),
        )
        chosen = np.where(rng.random(count) < 0.5, some, every)
        return torch.from_numpy(np.stack([vary(self._pictures[one], size, rng) for one in chosen]))


def vary(picture: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a crop ``(size, size, 3)`` of a picture ``(H, H, 3)``, both uint8 RGB, at some scale and in some state.

    Two in ten have noise from before the scaling, two in ten from after it; half are exposed and coloured otherwise, a
    quarter are JPEG of quality 25 to 95.
    """
    least, most = _ZOOM[0] * size, max(_ZOOM[0] * size, min(len(picture), _ZOOM[1] * size))
    side = min(round(_between(least, most, rng)), len(picture))
    y, x = rng.integers(0, len(picture) - side + 1, 2)
    crop = picture[y : y + side, x : x + side].astype(np.float32)
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    when = rng.random()
    if when < 0.2:
        crop = _noisy(crop, rng)
    if side != size:
        enlarged = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else enlarged)
    if rng.random() < 0.5:
        gain = rng.uniform(0.6, 1.3) * np.exp(rng.normal(0, 0.06, 3))
        crop = 255 * np.clip(crop * gain / 255, 0, 1) ** np.exp(rng.normal(0, 0.15))
    if 0.2 <= when < 0.4:
        crop = _noisy(crop.astype(np.float32), rng)
    out = np.clip(crop + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        out = _compressed(out, int(rng.integers(*_QUALITY)))
    return np.ascontiguousarray(out)


def _compressed(crop: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    data = cv2.imencode(".jpg", crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]


def _noisy(crop: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Add noise, more or less of it coloured, smoothed, and in proportion to the square root of light."""
    noise = rng.standard_normal(crop.shape, dtype=np.float32)
    coloured = np.float32(rng.random())
    noise = coloured * noise + (1 - coloured) * np.float32(3**0.5) * noise.mean(2, keepdims=True)
    width = rng.uniform(0, 1.2)
    if width > 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), width)
    noise /= noise.std() + np.float32(1e-6)
    shot = np.float32(rng.random())
    light = 1 - shot + shot * np.sqrt(np.clip(crop, 0, 255) / 128)
    return np.asarray(crop + np.float32(_between(*_NOISE, rng)) * noise * light, np.float32)


def _between(least: float, most: float, rng: np.random.Generator) -> float:
    """Draw evenly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))
