"""Budgets: what drift a quantized student may have, as ``srcc>=0.998,max_abs<=0.02``, and the measuring of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import CPU_BACKENDS, backend_class
from edge_iqa.benchmarks.drift import compare_scores
from edge_iqa.errors import InvalidInput

_LIMIT = re.compile(r"(srcc|max_abs|mae|flips@[0-9.]+)(>=|<=)([0-9.]+)")


@dataclass(frozen=True)
class Limit:
    """One bar: ``measure`` (srcc, max_abs, mae, flips@T) must be ``>=`` or ``<=`` ``value``."""

    measure: str
    direction: str
    value: float

    def holds(self, drift: TargetScores) -> bool:
        """Return whether ``drift`` keeps the bar."""
        found = drift.value(self.measure)
        return found >= self.value if self.direction == ">=" else found <= self.value

    def __str__(self) -> str:
        return f"{self.measure}{self.direction}{self.value:g}"


@dataclass(frozen=True)
class TargetScores:
    """Scores of one target ``(N,)`` beside the float student's ``(N,)`` on the same pictures."""

    target: str
    reference: NDArray[np.float64]
    scores: NDArray[np.float64]

    def value(self, measure: str) -> float:
        """Return srcc, max_abs, mae, or the number of pictures whose decision at T flips (``flips@T``)."""
        name, _, threshold = measure.partition("@")
        drift = compare_scores("fp32 onnxruntime", self.reference, self.scores, float(threshold or 0.5))
        found = getattr(drift, name)
        return math.nan if found is None else float(found)


def parse_budget(text: str) -> tuple[Limit, ...]:
    """Parse a comma-separated budget.

    Raises InvalidInput for a measure, direction or number that is not known.
    """
    limits = []
    for part in filter(None, text.replace(" ", "").split(",")):
        match = _LIMIT.fullmatch(part)
        wanted = ">=" if part.startswith("srcc") else "<="
        if match is None or match[2] != wanted:
            raise InvalidInput(
                f"The budget {part!r} cannot be read",
                fix="for instance srcc>=0.998,max_abs<=0.02,mae<=0.005,flips@0.5<=3",
            )
        limits.append(Limit(match[1], match[2], float(match[3])))
    return tuple(limits)


def measure_drift(files: Mapping[str, bytes], tensors: Sequence[NDArray[np.uint8]]) -> list[TargetScores]:
    """Score ``tensors`` ``(1, H, W, 3)`` uint8 with the float student and with int8 on every runtime present."""
    reference = _scores(files, "onnxruntime", "fp32", tensors)
    return [
        TargetScores(f"{name} int8", reference, _scores(files, name, "int8", tensors))
        for name in CPU_BACKENDS
        if backend_class(name).unavailable() is None
    ]


def _scores(
    files: Mapping[str, bytes], name: str, precision: str, tensors: Sequence[NDArray[np.uint8]]
) -> NDArray[np.float64]:
    found = backend_class(name)
    backend = found({file: files[file] for file in found.artefacts[precision]})
    try:
        return np.array([backend.infer(tensor) for tensor in tensors])
    finally:
        backend.close()
