"""Ask the teacher about every picture of a set: scores, features and, where it tells them, maps; kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.models.teacher import TeacherNetwork, normalised
from edge_iqa.quantize.distill import TeacherTargets, teacher_targets
from edge_iqa.quantize.teacher_maps import SpatialTeacher, TeacherMaps
from edge_iqa.quantize.teacher_source import TeacherSource

_SHEET = "teacher.json"


@torch.no_grad()
def collect_targets(
    teacher: TeacherSource,
    data: SyntheticSet,
    folder: Path,
    key: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    asked: NDArray[np.bool_] | None = None,
    with_maps: bool = True,
) -> TeacherTargets:
    """Return what ``teacher`` says of every picture; read back from ``folder`` if the same ``key`` made it before.

    Where ``asked`` ``(C, V)`` is given, the teacher sees only those pictures; of the others it says NaN. Maps take
    gigabytes, and are left out without ``with_maps``.
    """
    asked = np.ones(data.pictures.shape[:2], bool) if asked is None else asked
    with_maps = with_maps and isinstance(teacher.network, SpatialTeacher)
    key = f"{key} {hashlib.sha256(np.packbits(asked).tobytes()).hexdigest()}{' and maps' if with_maps else ''}"
    if not _made_from(folder, key):
        _ask(teacher.network, data, asked, folder, progress, with_maps=with_maps)
        (folder / _SHEET).write_text(json.dumps({"made_from": key}))
    features = torch.from_numpy(np.load(folder / "features.npy"))
    teacher.calibrate(features[torch.from_numpy(asked)])
    found = teacher_targets(teacher.network, features)
    stored = {int(path.stem.removeprefix("maps")): np.load(path, mmap_mode="r") for path in folder.glob("maps*.npy")}
    maps = TeacherMaps(dict(sorted(stored.items()))) if stored else None
    return TeacherTargets(found.logits, found.components, maps)


def _made_from(folder: Path, key: str) -> bool:
    sheet = folder / _SHEET
    return sheet.exists() and json.loads(sheet.read_text()).get("made_from") == key


def _ask(
    teacher: TeacherNetwork,
    data: SyntheticSet,
    asked: NDArray[np.bool_],
    folder: Path,
    progress: Callable[[int, int], None],
    *,
    with_maps: bool,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _SHEET).unlink(missing_ok=True)
    for stale in folder.glob("maps*.npy"):
        stale.unlink()
    crops, versions, side = data.pictures.shape[:3]
    features: Tensor | None = None
    stored: dict[int, np.memmap[Any, np.dtype[np.float16]]] = {}
    for index, pictures in enumerate(data.pictures):
        rows = np.flatnonzero(asked[index])
        progress(index + 1, crops)
        if not len(rows):
            continue
        batch = normalised(torch.from_numpy(pictures[rows]), teacher.mean, teacher.std)
        batch = batch.contiguous(memory_format=torch.channels_last)
        if with_maps and isinstance(teacher, SpatialTeacher):
            pooled, maps = teacher.features_and_maps(batch)
        else:
            pooled, maps = teacher.features(batch), []
        if features is None:
            features = torch.full((crops, versions, pooled.shape[1]), torch.nan)
        features[index, rows] = pooled
        for one in maps:
            stride = side // one.shape[-1]
            if stride not in stored:
                shape = (crops * versions, *one.shape[2:], one.shape[1])
                stored[stride] = np.lib.format.open_memmap(
                    folder / f"maps{stride}.npy", mode="w+", dtype=np.float16, shape=shape
                )
            stored[stride][index * versions + rows] = one.permute(0, 2, 3, 1).numpy()
    assert features is not None
    np.save(folder / "features.npy", features.numpy())
    for array in stored.values():
        array.flush()
