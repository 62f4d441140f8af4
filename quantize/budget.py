"""Budgets: what drift a quantized student may have, as ``srcc>=0.998,max_abs<=0.02``, and the measuring of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import CPU_BACKENDS, Backend, backend_class
from edge_iqa.benchmarks.drift import compare_scores
from edge_iqa.benchmarks.plain_graph import SIGNED, TENSORRT_GRAPH, TENSORRT_NOTE, PlainGraph
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
    """Scores of one target ``(N,)`` beside the float student's ``(N,)`` on the same pictures.

    ``note`` tells people what the target's name does not.
    """

    target: str
    reference: NDArray[np.float64]
    scores: NDArray[np.float64]
    note: str = ""

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
    """Score ``tensors`` ``(1, H, W, 3)`` uint8 with the float student and with int8 on every runtime present.

    TensorRT's graph comes last: ONNX Runtime computes it node by node, for what it means is known without a device.
    """
    reference = _scores(_load(files, "onnxruntime", "fp32"), tensors)
    drifts = [
        TargetScores(f"{name} int8", reference, _scores(_load(files, name, "int8"), tensors))
        for name in CPU_BACKENDS
        if backend_class(name).unavailable() is None
    ]
    signed = _scores(PlainGraph(files, SIGNED), tensors)
    return [*drifts, TargetScores(TENSORRT_GRAPH, reference, signed, TENSORRT_NOTE)]


def _load(files: Mapping[str, bytes], name: str, precision: str) -> Backend:
    found = backend_class(name)
    return found({file: files[file] for file in found.artefacts[precision]})


def _scores(model: Backend | PlainGraph, tensors: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    with closing(model):
        return np.array([model.infer(tensor) for tensor in tensors])
