"""Meet a budget of drift: measure every runtime, and keep layers float, the costliest first, until it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.models.teacher import normalised
from edge_iqa.quantize.budget import Limit, TargetScores, measure_drift
from edge_iqa.quantize.package import Student, export_models
from edge_iqa.quantize.sensitivity import keep_float, layer_sensitivities

MOST_FLOAT_LAYERS = 6
_PICTURES_FOR_SENSITIVITY = 24


@dataclass(frozen=True)
class MetBudget:
    """The student that came out, its model files, its drift on each runtime, and what was kept float and why."""

    student: Student
    models: dict[str, bytes]
    drifts: list[TargetScores]
    kept_float: list[str]
    missed: list[str]


def meet_budget(
    student: Student,
    limits: Sequence[Limit],
    tensors: Sequence[NDArray[np.uint8]],
    note: Callable[[int, int], None] = lambda kept, most: None,
) -> MetBudget:
    """Export ``student``, measure it on ``tensors`` ``(1, H, W, 3)`` uint8, and raise its precision while it misses.

    At most ``MOST_FLOAT_LAYERS`` layers are given up; limits still missed then are in ``missed``.
    """
    whole = student
    order: list[str] | None = None
    reasons: list[str] = []
    for kept in range(MOST_FLOAT_LAYERS + 1):
        note(kept, MOST_FLOAT_LAYERS)
        models = export_models(student)
        drifts = measure_drift(models, tensors)
        missed = [f"{drift.target}: {limit}" for drift in drifts for limit in limits if not limit.holds(drift)]
        if not missed or kept == MOST_FLOAT_LAYERS:
            break
        if order is None:
            found = layer_sensitivities(whole.prepared, student.network, _spread(student, tensors))
            order = [layer.name for layer in found]
            texts = {
                layer.name: f"{layer.name} (logit error {layer.error:.4f} without its rounding)" for layer in found
            }
        if len(order) <= kept:
            break
        reasons.append(texts[order[kept]])
        prepared, signed = (keep_float(network, order[: kept + 1]) for network in (whole.prepared, whole.signed))
        student = replace(student, prepared=prepared, signed=signed)
    return MetBudget(student, models, drifts, reasons, missed)


def _spread(student: Student, tensors: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
    every = max(1, len(tensors) // _PICTURES_FOR_SENSITIVITY)
    pixels = (torch.from_numpy(tensor) for tensor in tensors[::every])
    return [normalised(one, tuple(student.mean), tuple(student.std)) for one in pixels]
