"""Batches of cut and mirrored pictures from a synthetic set, for distillation and quantization-aware training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import normalised
from edge_iqa.quantize.recipe import CUT_GRID


@dataclass(frozen=True)
class Batch:
    """Cut and mirrored pictures: ``pixels`` uint8 ``(B, S, S, 3)``, and where each of the B comes from.

    ``pictures`` ``(B,)`` counts through the set's crops and their versions.
    """

    pixels: Tensor
    pictures: Tensor
    top: list[int]
    left: list[int]
    mirrored: list[bool]


@dataclass(frozen=True)
class Normalisation:
    """What a network wants of pixels: uint8 ``(N, H, W, 3)`` → float32 ``(N, 3, H, W)``, as ``normalised`` does it."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, pictures: Tensor) -> Tensor:
        return normalised(pictures, self.mean, self.std)


def batches(
    data: SyntheticSet, batch: int, crop_size: int, steps: int, seed: int, *, first_step: int = 0
) -> Iterator[Batch]:
    """Yield the batches of the steps from ``first_step`` to ``steps``; each follows from ``seed`` and its step alone.

    Every picture of the set comes once before any comes again. Cuts begin at multiples of ``CUT_GRID`` pixels, so that
    a cut of the teacher's maps belongs to each.
    """
    versions, size = data.pictures.shape[1:3]
    total = len(data.pictures) * versions
    room = (size - crop_size) // CUT_GRID + 1
    orders: dict[int, Tensor] = {}
    for step in range(first_step, steps):
        places = range(step * batch, (step + 1) * batch)
        for epoch in {place // total for place in places} - orders.keys():
            orders = {known: order for known, order in orders.items() if known >= epoch - 1}
            orders[epoch] = torch.randperm(total, generator=_generator(seed, 0, epoch))
        chosen = torch.stack([orders[place // total][place % total] for place in places])
        generator = _generator(seed, 1, step)
        top, left = (CUT_GRID * torch.randint(room, (2, batch), generator=generator)).tolist()
        mirrored = (torch.rand(batch, generator=generator) < 0.5).tolist()
        pictures = []
        for flat, y, x, mirror in zip(chosen.tolist(), top, left, mirrored, strict=True):
            picture = data.pictures[flat // versions, flat % versions, y : y + crop_size, x : x + crop_size]
            pictures.append(np.array(picture[:, ::-1] if mirror else picture))
        yield Batch(torch.from_numpy(np.stack(pictures)), chosen, top, left, mirrored)


def _generator(*numbers: int) -> torch.Generator:
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
