"""Candidates of the post-training comparison: our models and the tools' ones, measured on the same inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import CPU_BACKENDS, Backend, backend_class
from edge_iqa.benchmarks.drift import Drift, compare_scores
from edge_iqa.benchmarks.ptq_methods import PtqMethod
from edge_iqa.benchmarks.timing_in_turns import SAMPLES_PER_TURN, TimedModel, medians_ms
from edge_iqa.bundle import Bundle
from edge_iqa.errors import EdgeIqaError, InvalidInput
from edge_iqa.progress import track

TIMED_INPUTS = 4
Tensor = NDArray[np.uint8]


@dataclass
class Candidate:
    """One model to measure: where its files come from, and what was found."""

    name: str
    runtime: str
    precision: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    made_s: float = 0.0
    error: EdgeIqaError | None = None
    drift: Drift | None = None
    p50_ms: float | None = None
    n_timed: int = 0

    def document(self) -> dict[str, Any]:
        """Return the row of the JSON; without the files."""
        return {
            "name": self.name,
            "runtime": self.runtime,
            "precision": self.precision,
            "size_bytes": sum(len(content) for content in self.files.values()),
            "made_s": round(self.made_s, 2),
            "drift": None if self.drift is None else asdict(self.drift),
            "p50_ms": self.p50_ms,
            "n_timed": self.n_timed,
            "error": None if self.error is None else self.error.as_dict(),
        }


def own_candidates(bundle: Bundle) -> list[Candidate]:
    """Return the bundle's own float and int8 models for every CPU runtime that is installed."""
    found = []
    for precision in ("fp32", "int8"):
        for runtime in CPU_BACKENDS:
            backend = backend_class(runtime)
            if backend.unavailable() is None:
                files = bundle.take(backend.artefacts[precision], f"{runtime} {precision}")
                name = "float student" if precision == "fp32" else "ours"
                found.append(Candidate(name, runtime, precision, files))
    return found


def make_candidate(method: PtqMethod, bundle: Bundle, inputs: Sequence[Tensor]) -> Candidate:
    """Run one method; what it lacks or refuses becomes the candidate's error."""
    candidate = Candidate(method.name, method.runtime, "int8")
    start = time.perf_counter()
    try:
        candidate.files = method.make(bundle, inputs)
    except EdgeIqaError as error:
        candidate.error = error
    except Exception as error:  # a tool that fails is a row, whatever it raises
        candidate.error = InvalidInput(f"{method.name} failed", why=f"{type(error).__name__}: {error}"[:300])
    candidate.made_s = time.perf_counter() - start
    return candidate


def measure(
    candidates: Sequence[Candidate], inputs: Sequence[Tensor], threads: int, rounds: int, seed: int = 0
) -> None:
    """Fill in drift from the first candidate, and the times.

    A model that a runtime refuses, or that gives no score in [0, 1], gets its error; the first one must not.
    """
    scores: dict[int, list[float]] = {}
    for index, candidate in enumerate(candidates):
        if candidate.error is not None:
            continue
        try:
            with closing(_load(candidate, threads)) as backend:
                scoring = track(inputs, f"{candidate.name}, {candidate.runtime}")
                scores[index] = [backend.infer(tensor) for tensor in scoring]
        except EdgeIqaError as error:  # a file that is refused, or a score that is none
            candidate.error = error
    if 0 not in scores:
        raise candidates[0].error or InvalidInput("There is no float student to compare with")
    threshold = float(np.median(scores[0]))
    reference = f"{candidates[0].name}, {candidates[0].runtime}"
    timed = {index: TimedModel(partial(_load, candidates[index], threads), inputs[:TIMED_INPUTS]) for index in scores}
    times = medians_ms(timed, rounds, seed)
    for index, found in scores.items():
        candidates[index].drift = compare_scores(reference, scores[0], found, threshold)
        candidates[index].p50_ms = times[index]
        candidates[index].n_timed = rounds * SAMPLES_PER_TURN


def _load(candidate: Candidate, threads: int) -> Backend:
    return backend_class(candidate.runtime)(candidate.files, threads=threads)
