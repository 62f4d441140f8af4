"""Batches as a pure function of the step, so that a run that goes on from a checkpoint sees what it would have seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edge_iqa.models.training_data import TrainingSet

Batch: TypeAlias = dict[str, Tensor]
"""What a method gets at a step; the keys are those that its batch source documents."""


class BatchSource(Protocol):
    """Batches by step number; the same number gives the same batch, in any process."""

    def __getitem__(self, step: int) -> Batch: ...

    def __len__(self) -> int:
        """Return the number of steps."""
        ...


def step_generator(seed: int, step: int, part: int = 0) -> torch.Generator:
    """Return the generator of one step of one process, independent of every other step and process."""
    state = np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def chosen_rows(count: int, wanted: int, step: int, seed: int) -> list[int]:
    """Return the ``wanted`` rows of ``count`` that belong to a step; every row comes once before any comes again."""
    rows: list[int] = []
    position = step * wanted
    while len(rows) < wanted:
        epoch, offset = divmod(position, count)
        order = torch.randperm(count, generator=step_generator(seed, epoch, 1_000_003))
        taken = order[offset : offset + wanted - len(rows)].tolist()
        rows += taken
        position += len(taken)
    return rows


class ContentBatches(Dataset[Batch]):
    """Crops with all their versions.

    Keys: ``pictures`` uint8 ``(B, V, S, S, 3)``, one random window and mirroring for all versions of a crop;
    ``contents`` ``(B,)``, ``chains`` and ``levels`` ``(B, V)`` int64; ``random`` ``(1,)`` int64, a seed for what the
    method draws; and where they were given ``targets`` float32 ``(B, V)``, ``similarity`` float32 ``(B, V, V)`` and
    ``prompts`` int64 ``(B, V)``. With ``processes`` > 1 each process gets its part of the step's crops.
    """

    def __init__(
        self,
        data: TrainingSet,
        *,
        steps: int,
        contents: int,
        window: int,
        seed: int,
        extra: dict[str, NDArray[Any]] | None = None,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self._data = data
        self._steps = steps
        self._contents = max(contents, processes)
        self._window = window
        self._seed = seed
        self._extra = dict(extra or {})
        if data.similarity is not None:
            self._extra["similarity"] = data.similarity
        self._process = process
        self._processes = processes
        self._pictures: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return self._steps

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped pictures behind; a worker process maps them itself."""
        return self.__dict__ | {"_pictures": None}

    def __getitem__(self, step: int) -> Batch:
        if self._pictures is None:
            self._pictures = self._data.open_pictures()
        rows = chosen_rows(len(self._data.steps), self._contents, step, self._seed)
        rows = rows[self._process :: self._processes]
        generator = step_generator(self._seed, step, self._process)
        room = self._pictures.shape[2] - self._window + 1
        corners = torch.randint(room, (len(rows), 2), generator=generator).tolist()
        mirrored = (torch.rand(len(rows), generator=generator) < 0.5).tolist()
        cut: list[NDArray[np.uint8]] = []
        for row, (top, left), mirror in zip(rows, corners, mirrored, strict=True):
            versions = self._pictures[row, :, top : top + self._window, left : left + self._window]
            cut.append(versions[:, :, ::-1] if mirror else versions)
        batch = {
            "pictures": torch.from_numpy(np.stack(cut)),
            "contents": torch.tensor(rows),
            "chains": torch.from_numpy(self._data.chains[rows]),
            "levels": torch.from_numpy(self._data.levels[rows]),
            "random": torch.randint(2**62, (1,), generator=generator),
        }
        return batch | {name: torch.from_numpy(values[rows]) for name, values in self._extra.items()}


class _Steps(Dataset[Batch]):
    """The batches of some steps, in order."""

    def __init__(self, source: BatchSource, steps: Sequence[int]) -> None:
        self._source = source
        self._wanted = steps

    def __len__(self) -> int:
        return len(self._wanted)

    def __getitem__(self, index: int) -> Batch:
        return self._source[self._wanted[index]]


def batch_loader(source: BatchSource, first_step: int, workers: int) -> DataLoader[Batch]:
    """Return a loader of the batches from ``first_step`` on; ``workers`` spawned processes read ahead (0: none)."""
    return DataLoader(
        _Steps(source, range(first_step, len(source))),
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        pin_memory=torch.cuda.is_available(),
    )


def batch_generator(batch: Batch) -> torch.Generator:
    """Return the generator for what a method draws at this step, on the CPU."""
    return torch.Generator().manual_seed(int(batch["random"][0]))
