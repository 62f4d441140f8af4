"""Ask the teacher about every picture of a set: scores, features and, where it tells them, maps; kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
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
) -> TeacherTargets:
    """Return what ``teacher`` says of every picture; read back from ``folder`` if the same ``key`` made it before."""
    if not _made_from(folder, key):
        _ask(teacher.network, data, folder, progress)
        (folder / _SHEET).write_text(json.dumps({"made_from": key}))
    features = torch.from_numpy(np.load(folder / "features.npy"))
    teacher.calibrate(features)
    found = teacher_targets(teacher.network, features.reshape(*data.pictures.shape[:2], -1))
    stored = {int(path.stem.removeprefix("maps")): np.load(path, mmap_mode="r") for path in folder.glob("maps*.npy")}
    maps = TeacherMaps(dict(sorted(stored.items()))) if stored else None
    return TeacherTargets(found.logits, found.components, maps)


def _made_from(folder: Path, key: str) -> bool:
    sheet = folder / _SHEET
    return sheet.exists() and json.loads(sheet.read_text()).get("made_from") == key


def _ask(teacher: TeacherNetwork, data: SyntheticSet, folder: Path, progress: Callable[[int, int], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _SHEET).unlink(missing_ok=True)
    for stale in folder.glob("maps*.npy"):
        stale.unlink()
    crops, versions, side = data.pictures.shape[:3]
    features: list[Tensor] = []
    stored: dict[int, np.memmap[Any, np.dtype[np.float16]]] = {}
    for index, pictures in enumerate(data.pictures):
        batch = normalised(torch.from_numpy(np.array(pictures)), teacher.mean, teacher.std)
        batch = batch.contiguous(memory_format=torch.channels_last)
        if not isinstance(teacher, SpatialTeacher):
            features.append(teacher.features(batch))
            progress(index + 1, crops)
            continue
        pooled, maps = teacher.features_and_maps(batch)
        features.append(pooled)
        for one in maps:
            stride = side // one.shape[-1]
            if stride not in stored:
                shape = (crops * versions, *one.shape[2:], one.shape[1])
                stored[stride] = np.lib.format.open_memmap(
                    folder / f"maps{stride}.npy", mode="w+", dtype=np.float16, shape=shape
                )
            stored[stride][index * versions : (index + 1) * versions] = one.permute(0, 2, 3, 1).numpy()
        progress(index + 1, crops)
    np.save(folder / "features.npy", torch.cat(features).numpy())
    for array in stored.values():
        array.flush()
