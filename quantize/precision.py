"""Meet a budget of drift: measure every runtime, and raise precision while it misses.

Weights of 7 bits are given 8 first, in all layers, for both are int8 to an engine. Layers are rebuilt for it: what was
solved and trained for 7 bits gains little from a finer step. Then layers are kept float, the costliest first,
at most ``MOST_FLOAT_LAYERS``, and only those whose rounding costs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_iqa.models.teacher import normalised
from edge_iqa.quantize.budget import Limit, TargetScores, measure_drift
from edge_iqa.quantize.package import Student, export_models
from edge_iqa.quantize.reporting import Counted
from edge_iqa.quantize.sensitivity import keep_float, layer_sensitivities, logit_error

MOST_FLOAT_LAYERS = 6
_PICTURES_FOR_SENSITIVITY = 24


@dataclass(frozen=True)
class MetBudget:
    """The student that came out, its model files, its drift on each runtime, and where precision was raised."""

    student: Student
    models: dict[str, bytes]
    drifts: list[TargetScores]
    raised: list[str]
    missed: list[str]


def meet_budget(
    student: Student,
    limits: Sequence[Limit],
    tensors: Sequence[NDArray[np.uint8]],
    progress: Counted = lambda *_: None,
    *,
    finer: Callable[[], Student] | None = None,
) -> MetBudget:
    """Export ``student``, measure it on ``tensors`` ``(1, H, W, 3)`` uint8, and raise its precision while it misses.

    ``finer`` makes it anew with more bits, where there are more to give. Limits that are missed to the end are in
    ``missed``.
    """
    most = 1 + (finer is not None) + MOST_FLOAT_LAYERS
    for tried, (candidate, raised) in enumerate(_more_and_more_precise(student, finer, tensors)):
        progress(tried, most)
        models = export_models(candidate)
        drifts = measure_drift(models, tensors)
        missed = [f"{drift.target}: {limit}" for drift in drifts for limit in limits if not limit.holds(drift)]
        met = MetBudget(candidate, models, drifts, raised, missed)
        if not missed:
            break
    return met


def _more_and_more_precise(
    student: Student, finer: Callable[[], Student] | None, tensors: Sequence[NDArray[np.uint8]]
) -> Iterator[tuple[Student, list[str]]]:
    """Yield students, each more precise than the one before, and how each is more precise than the first."""
    raised: list[str] = []
    yield student, raised
    if finer is not None:
        student = finer()
        raised = [f"weights of all layers: {student.weight_bits} bits"]
        yield student, raised
    pictures = _spread(student, tensors)
    as_it_is = logit_error(student.prepared, student.network, pictures)
    kept: list[str] = []
    for layer in layer_sensitivities(student.prepared, student.network, pictures)[:MOST_FLOAT_LAYERS]:
        if layer.error >= as_it_is:
            return
        kept.append(layer.name)
        raised = [
            *raised,
            f"{layer.name}: float (logit error {layer.error:.4f} without its rounding, {as_it_is:.4f} with)",
        ]
        prepared, signed = (keep_float(network, kept) for network in (student.prepared, student.signed))
        yield replace(student, prepared=prepared, signed=signed), raised


def _spread(student: Student, tensors: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
    every = max(1, len(tensors) // _PICTURES_FOR_SENSITIVITY)
    pixels = (torch.from_numpy(tensor) for tensor in tensors[::every])
    return [normalised(one, tuple(student.mean), tuple(student.std)) for one in pixels]
