"""The training set without a human score: crops of photographs, their distorted versions, full-reference measures.

Per crop, ``VERSIONS`` pictures: the crop itself; two series, each one degradation at three rising levels from one
seed; and compositions of several degradations. The order inside a series is known for certain; across series and
crops it is given by full-reference metrics. Everything follows from one seed, and the set is stored as one memory-
mapped array, so that several trainings read it without making it again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput
from edge_iqa.models.degradations import DEGRADATIONS, Step, apply_steps, draw_steps
from edge_iqa.models.fr import full_reference

SERIES = 2
SERIES_LEVELS = 3
COMPOSITIONS = 5
VERSIONS = 1 + SERIES * SERIES_LEVELS + COMPOSITIONS
PHOTOGRAPH_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class SynthesisSpec:
    """What is made of a folder of photographs.

    ``crop_size`` is in pixels; ``crops_per_photograph`` crops are cut from each; ``metrics`` names the
    full-reference measures that are stored.
    """

    crop_size: int = 320
    crops_per_photograph: int = 1
    metrics: tuple[str, ...] = ("fsim", "mdsi", "vsi", "gmsd", "haarpsi")
    seed: int = 0


@dataclass(frozen=True)
class SyntheticSet:
    """Distorted crops and what is known of them.

    ``pictures`` uint8 RGB ``(C, VERSIONS, S, S, 3)``, ``series`` ``(C, VERSIONS)`` the series number or -1,
    ``levels`` ``(C, VERSIONS)`` the level inside a series, ``steps`` the degradations per picture, ``metrics``
    name → ``(C, VERSIONS)`` float32, each turned so that higher is better, ``photographs`` the source of each crop.
    """

    pictures: NDArray[np.uint8]
    series: NDArray[np.int64]
    levels: NDArray[np.int64]
    steps: list[list[tuple[Step, ...]]]
    metrics: dict[str, NDArray[np.float32]]
    photographs: list[str]
    spec: SynthesisSpec
    data_sha256: str


def find_photographs(folder: Path) -> list[Path]:
    """Return the photographs below ``folder`` in a fixed order.

    Raises InvalidInput where there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOGRAPH_SUFFIXES)
    if not found:
        raise InvalidInput(
            f"No photographs in {folder}",
            why=f"none ends in {', '.join(PHOTOGRAPH_SUFFIXES)}",
            fix="name a folder of undistorted photographs",
        )
    return found


def hash_files(paths: Iterable[Path]) -> str:
    """Return one sha256 over the contents of ``paths`` in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def cut_crop(photograph: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut one ``(size, size, 3)`` crop at a random scale between "shorter side = size" and the full resolution."""
    shorter = min(photograph.shape[:2])
    largest = min(1.0, 2.5 * size / shorter)
    smallest = size / shorter
    scale = float(np.exp(rng.uniform(np.log(smallest), np.log(max(largest, smallest)))))
    if scale != 1.0:
        target = tuple(max(size, round(side * scale)) for side in photograph.shape[1::-1])
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        photograph = np.asarray(cv2.resize(photograph, target, interpolation=interpolation), np.uint8)
    top = int(rng.integers(0, photograph.shape[0] - size + 1))
    left = int(rng.integers(0, photograph.shape[1] - size + 1))
    return np.ascontiguousarray(photograph[top : top + size, left : left + size])


def plan_versions(rng: np.random.Generator) -> list[tuple[Step, ...]]:
    """Draw the degradations of the ``VERSIONS`` pictures of one crop; the first is empty, the pristine crop."""
    plan: list[tuple[Step, ...]] = [()]
    for name in rng.choice(sorted(DEGRADATIONS), SERIES, replace=False):
        seed = int(rng.integers(2**31))
        levels = np.sort(rng.choice(np.arange(1, 6), SERIES_LEVELS, replace=False))
        plan += [(Step(str(name), int(level), seed),) for level in levels]
    plan += [draw_steps(rng, max_steps=3) for _ in range(COMPOSITIONS)]
    return plan


def to_pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round a picture in [0, 1] to uint8."""
    return np.asarray(np.round(image * 255), np.uint8)


def _make_crop(
    task: tuple[str, int, SynthesisSpec],
) -> tuple[NDArray[np.uint8], list[tuple[Step, ...]], dict[str, NDArray[np.float32]]]:
    path, index, spec = task
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng([spec.seed, index])
    crop = cut_crop(read_image(path), spec.crop_size, rng)
    plan = plan_versions(rng)
    pristine = np.asarray(crop, np.float32) / np.float32(255)
    pictures = np.stack([to_pixels(apply_steps(pristine, steps)) if steps else crop for steps in plan])
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    metrics = {name: full_reference(name, batch[:1], batch).numpy() for name in spec.metrics}
    return pictures, plan, metrics


def synthesize(
    photographs: Sequence[Path],
    spec: SynthesisSpec,
    cache: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SyntheticSet:
    """Make the set in the folder ``cache``, or read it back if the same photographs and spec made it before."""
    from edge_iqa.models.fr import FR_METRICS

    data_sha256 = hash_files(photographs)
    key = {"spec": asdict(spec) | {"metrics": list(spec.metrics)}, "data_sha256": data_sha256, "layout": 1}
    sheet = cache / "set.json"
    if sheet.exists() and json.loads(sheet.read_text())["key"] == key:
        return load_set(cache)
    cache.mkdir(parents=True, exist_ok=True)
    sheet.unlink(missing_ok=True)
    tasks = [
        (str(path), index * spec.crops_per_photograph + crop, spec)
        for index, path in enumerate(photographs)
        for crop in range(spec.crops_per_photograph)
    ]
    shape = (len(tasks), VERSIONS, spec.crop_size, spec.crop_size, 3)
    pictures = np.lib.format.open_memmap(cache / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape)
    plans: list[list[tuple[Step, ...]]] = []
    metrics = {name: np.zeros(shape[:2], np.float32) for name in spec.metrics}
    # Spawned, not forked: a fork of a process whose OpenMP threads have run may never return from the next one.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for index, (made, plan, values) in enumerate(pool.map(_make_crop, tasks, chunksize=2)):
            pictures[index] = made
            plans.append(plan)
            for name, value in values.items():
                metrics[name][index] = value if FR_METRICS[name].higher_is_better else -value
            progress(index + 1, len(tasks))
    pictures.flush()
    document = {
        "key": key,
        "photographs": [task[0] for task in tasks],
        "steps": [[[asdict(step) for step in steps] for steps in plan] for plan in plans],
        "metrics": {name: value.tolist() for name, value in metrics.items()},
    }
    sheet.write_text(json.dumps(document))
    return load_set(cache)


def load_set(cache: Path) -> SyntheticSet:
    """Read back the set that ``synthesize`` stored in ``cache``."""
    document = json.loads((cache / "set.json").read_text())
    spec = document["key"]["spec"]
    steps = [[tuple(Step(**step) for step in one) for one in plan] for plan in document["steps"]]
    series = np.full(VERSIONS, -1)
    series[1 : 1 + SERIES * SERIES_LEVELS] = np.repeat(np.arange(SERIES), SERIES_LEVELS)
    levels = [[one[0].level if series[v] >= 0 else 0 for v, one in enumerate(plan)] for plan in steps]
    return SyntheticSet(
        pictures=np.load(cache / "pictures.npy", mmap_mode="r"),
        series=np.tile(series, (len(steps), 1)),
        levels=np.array(levels),
        steps=steps,
        metrics={name: np.array(value, np.float32) for name, value in document["metrics"].items()},
        photographs=document["photographs"],
        spec=SynthesisSpec(**(spec | {"metrics": tuple(spec["metrics"])})),
        data_sha256=document["key"]["data_sha256"],
    )
