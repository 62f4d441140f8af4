"""The pictures that a method trains on: crops, their degraded versions, and what is known of them, made once.

Every version follows from the seed, the photograph and the recipe. The set is stored under the hash of all three, so
that a second run with the same data reads it back instead of making it again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations import DEGRADATIONS, GROUPS, Step, apply_steps, draw_steps
from edge_iqa.models.fr import FR_METRICS, full_reference
from edge_iqa.models.synthesis import cut_crop, hash_files, to_pixels
from edge_iqa.models.training_recipe import DataSpec

_LAYOUT = 1
_SHEET = "set.json"
_PICTURES = "pictures.npy"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainingSet:
    """``C`` crops with ``V`` versions each, version 0 undistorted.

    ``chains`` and ``levels`` are int64 ``(C, V)``: the series a version belongs to (-1 for none) and its level (0 for
    the undistorted crop). ``metrics`` name → float32 ``(C, V)``, higher is better; ``similarity`` float32
    ``(C, V, V)`` in [0, 1] or None. ``seconds`` is the time of all processes by part; empty after a read-back.
    """

    folder: Path
    chains: NDArray[np.int64]
    levels: NDArray[np.int64]
    steps: list[list[tuple[Step, ...]]]
    metrics: dict[str, NDArray[np.float32]]
    similarity: NDArray[np.float32] | None
    photographs: list[str]
    sha256: str
    seconds: dict[str, float]

    def open_pictures(self) -> NDArray[np.uint8]:
        """Return the pictures, uint8 RGB ``(C, V, S, S, 3)``, mapped from the file and read as they are used."""
        return np.asarray(np.load(self.folder / _PICTURES, mmap_mode="r"))


@dataclass(frozen=True)
class _Task:
    path: str
    index: int
    seed: int
    spec: DataSpec


@dataclass(frozen=True)
class _Made:
    pictures: NDArray[np.uint8]
    steps: list[tuple[Step, ...]]
    metrics: dict[str, NDArray[np.float32]]
    similarity: NDArray[np.float32] | None
    seconds: dict[str, float]


def draw_chain(rng: np.random.Generator, spec: DataSpec) -> list[tuple[Step, ...]]:
    """Draw one series: the same degradations with the same seeds at every level of ``spec.levels``."""
    groups = spec.groups or GROUPS
    count = min(int(rng.integers(1, spec.steps_per_chain + 1)), len(groups))
    drawn: list[tuple[str, int]] = []
    if spec.steps_per_chain == 1:
        names = [item.name for item in DEGRADATIONS.values() if item.group in groups]
        drawn.append((str(rng.choice(names)), int(rng.integers(2**31))))
    else:
        for group in rng.choice(list(groups), count, replace=False):
            names = [item.name for item in DEGRADATIONS.values() if item.group == group]
            drawn.append((str(rng.choice(names)), int(rng.integers(2**31))))
    return [tuple(Step(name, level, seed) for name, seed in drawn) for level in spec.levels]


def draw_versions(rng: np.random.Generator, spec: DataSpec) -> list[tuple[Step, ...]]:
    """Draw the steps of every version of one crop; the first is empty."""
    plan: list[tuple[Step, ...]] = [()]
    for _ in range(spec.chains):
        plan += draw_chain(rng, spec)
    return plan + [draw_steps(rng, max_steps=3, groups=spec.groups or None) for _ in range(spec.compositions)]


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _make_content(task: _Task) -> _Made:
    spec, rng = task.spec, np.random.default_rng([task.seed, task.index])
    started = time.perf_counter()
    crop = cut_crop(_at_least(read_image(task.path), spec.crop_size), spec.crop_size, rng)
    decoded = time.perf_counter()
    steps = draw_versions(rng, spec)
    pristine = np.asarray(crop, np.float32) / np.float32(255)
    pictures = np.stack([to_pixels(apply_steps(pristine, one)) if one else crop for one in steps])
    degraded = time.perf_counter()
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    metrics = {name: _metric(name, batch) for name in spec.metrics}
    similarity = _similarities(spec.similarity, batch) if spec.similarity else None
    finished = time.perf_counter()
    seconds = {"decode": decoded - started, "degrade": degraded - decoded, "measure": finished - degraded}
    return _Made(pictures, steps, metrics, similarity, seconds)


def _at_least(photograph: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Enlarge a photograph whose shorter side is below ``size``."""
    height, width = photograph.shape[:2]
    if min(height, width) >= size:
        return photograph
    scale = size / min(height, width)
    target = (max(size, round(width * scale)), max(size, round(height * scale)))
    return np.asarray(cv2.resize(photograph, target, interpolation=cv2.INTER_CUBIC), np.uint8)


def _metric(name: str, batch: torch.Tensor) -> NDArray[np.float32]:
    values = full_reference(name, batch[:1], batch).numpy()
    return np.asarray(values if FR_METRICS[name].higher_is_better else -values, np.float32)


def _similarities(name: str, batch: torch.Tensor) -> NDArray[np.float32]:
    """Return the metric between all versions ``(V, V)``, symmetric, limited to [0, 1], ones on the diagonal."""
    count = len(batch)
    table = np.eye(count, dtype=np.float32)
    for index in range(count - 1):
        values = full_reference(name, batch[index : index + 1], batch[index + 1 :]).clamp(0, 1).numpy()
        table[index, index + 1 :] = values
        table[index + 1 :, index] = values
    return table


def make_training_set(
    photographs: Sequence[Path],
    spec: DataSpec,
    seed: int,
    cache: Path,
    *,
    workers: int = 1,
    progress: Progress = lambda done, total: None,
) -> TrainingSet:
    """Make the set in a folder below ``cache``, or read it back where the same photographs and spec made it before."""
    data_sha256 = hash_files(photographs)
    key = json.dumps({"spec": asdict(spec), "seed": seed, "data": data_sha256, "layout": _LAYOUT}, sort_keys=True)
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:16]
    if (folder / _SHEET).exists():
        return _read_set(folder, spec, data_sha256)
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        _Task(str(path), index * spec.crops_per_photograph + crop, seed, spec)
        for index, path in enumerate(photographs)
        for crop in range(spec.crops_per_photograph)
    ]
    shape = (len(tasks), spec.versions, spec.crop_size, spec.crop_size, 3)
    pictures = np.lib.format.open_memmap(folder / _PICTURES, mode="w+", dtype=np.uint8, shape=shape)
    made: list[_Made] = []
    seconds: dict[str, float] = {"decode": 0.0, "degrade": 0.0, "measure": 0.0}
    started = time.perf_counter()
    for index, one in enumerate(_made_in_order(tasks, workers)):
        pictures[index] = one.pictures
        made.append(replace(one, pictures=one.pictures[:0]))
        for part, value in one.seconds.items():
            seconds[part] += value
        progress(index + 1, len(tasks))
    pictures.flush()
    seconds["wall"] = time.perf_counter() - started
    document = {
        "photographs": [task.path for task in tasks],
        "steps": [[[asdict(step) for step in steps] for steps in one.steps] for one in made],
        "metrics": {name: [one.metrics[name].tolist() for one in made] for name in spec.metrics},
        "similarity": [one.similarity.tolist() for one in made if one.similarity is not None],
    }
    unfinished = folder / f"{_SHEET}.part"  # last and at once: a set without its sheet is made again
    unfinished.write_text(json.dumps(document))
    unfinished.replace(folder / _SHEET)
    return _read_set(folder, spec, data_sha256, seconds)


def _made_in_order(tasks: Sequence[_Task], workers: int) -> Iterator[_Made]:
    """Yield what the tasks make: in this process for one worker, else in spawned ones.

    Spawned, not forked: a fork of a process whose OpenMP threads have run may never return from the next one.
    """
    if workers <= 1:
        yield from map(_make_content, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        yield from pool.map(_make_content, tasks, chunksize=2)


def _read_set(folder: Path, spec: DataSpec, data_sha256: str, seconds: dict[str, float] | None = None) -> TrainingSet:
    document = json.loads((folder / _SHEET).read_text())
    steps = [[tuple(Step(**step) for step in one) for one in content] for content in document["steps"]]
    chain = np.concatenate(
        ([-1], np.repeat(np.arange(spec.chains), len(spec.levels)), np.full(spec.compositions, -1, np.int64))
    )
    level = [[max((step.level for step in one), default=0) for one in content] for content in steps]
    return TrainingSet(
        folder=folder,
        chains=np.tile(chain, (len(steps), 1)).astype(np.int64),
        levels=np.array(level, np.int64),
        steps=steps,
        metrics={name: np.array(value, np.float32) for name, value in document["metrics"].items()},
        similarity=np.array(document["similarity"], np.float32) if document["similarity"] else None,
        photographs=document["photographs"],
        sha256=data_sha256,
        seconds=seconds or {},
    )


def rank_targets(data: TrainingSet, metrics: Sequence[str]) -> NDArray[np.float32]:
    """Return a target in [0, 1] for every picture ``(C, V)``: its mean rank under ``metrics``, higher is better.

    Where a series is known to get worse, a rank that rises all the same is lowered to that of the level before.
    """
    from scipy.stats import rankdata

    ranks = [(rankdata(data.metrics[name].ravel()) - 1) / max(data.metrics[name].size - 1, 1) for name in metrics]
    target = np.mean(ranks, axis=0).reshape(data.chains.shape)
    for chain in range(int(data.chains.max()) + 1):
        members = np.flatnonzero(data.chains[0] == chain)  # in order of rising level, the same in every crop
        target[:, members] = np.minimum.accumulate(target[:, members], axis=1)
    return np.asarray(target, np.float32)


def split_photographs(paths: Sequence[Path], share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Split photographs by file into those to train on and those held out, at least one of each.

    Raises InvalidInput where there are fewer than two.
    """
    if len(paths) < 2:
        raise InvalidInput("One photograph cannot be split", fix="give at least two; one is held out")
    count = min(max(1, round(share * len(paths))), len(paths) - 1)
    order = np.random.default_rng([seed, len(paths)]).permutation(len(paths))
    held_out = set(order[:count].tolist())
    return (
        [path for index, path in enumerate(paths) if index not in held_out],
        [path for index, path in enumerate(paths) if index in held_out],
    )
