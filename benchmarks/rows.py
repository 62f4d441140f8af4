"""Turn what the workers measured into rows: summaries, drift, verdict, advice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from edge_iqa.benchmarks.device_state import DeviceState, StateRecorder
from edge_iqa.benchmarks.drift import Drift, compare_scores
from edge_iqa.benchmarks.results import ColdStart, Roofline, Row, RowError, StageMedians
from edge_iqa.benchmarks.sampling import SamplingPlan, stability, summarize
from edge_iqa.benchmarks.targets import REFERENCE, Target, model_size_bytes
from edge_iqa.benchmarks.verdict import Bars, Evidence, judge, missed_bars
from edge_iqa.bundle import Bundle
from edge_iqa.errors import EdgeIqaError

_DECIMALS_MS = 4
_DECIMALS_SCORE = 7
RecordT = TypeVar("RecordT")


@dataclass
class Measurement:
    """What was measured of one target so far; times in milliseconds, ``seconds`` of timed running."""

    target: Target
    error: EdgeIqaError | None = None
    loaded: dict[str, Any] | None = None
    scores: list[float] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)
    resize_ms: list[float] = field(default_factory=list)
    infer_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    state: DeviceState = field(default_factory=lambda: StateRecorder().summary())

    def add(self, answer: dict[str, Any]) -> None:
        """Add the samples of one timed round."""
        self.resize_ms += answer["resize_ms"]
        self.infer_ms += answer["infer_ms"]
        self.total_ms += answer["total_ms"]
        self.seconds += answer["seconds"]


@dataclass(frozen=True)
class JudgedRows:
    """The rows, and each bar that one of them misses, as a sentence."""

    rows: list[Row]
    missed: list[str]


def finish(
    measurements: Sequence[Measurement],
    reference_scores: Sequence[float],
    bundle: Bundle,
    threshold: float | None,
    threads: int,
    plan: SamplingPlan,
    bars: Bars,
) -> JudgedRows:
    """Judge every measurement against the reference's scores ``(N,)`` and the bars."""
    rows, missed = [], []
    for entry in measurements:
        drift = _drift(entry, reference_scores, threshold)
        evidence = Evidence(
            label=entry.target.label,
            precision=entry.target.precision,
            latency_ms=summarize(entry.total_ms),
            stability=stability(entry.infer_ms),
            drift=drift,
            throttled=entry.state.throttled,
            error=entry.error,
            seconds=entry.seconds,
        )
        rows.append(_row(entry, evidence, bundle, threads, plan, bars))
        missed += missed_bars(evidence, bars)
    return JudgedRows(_with_precision_advice(rows), missed)


def _row(entry: Measurement, evidence: Evidence, bundle: Bundle, threads: int, plan: SamplingPlan, bars: Bars) -> Row:
    judgement = judge(evidence, plan, bars)
    error = None if entry.error is None else RowError(**entry.error.as_dict())
    loaded = entry.loaded
    return Row(
        target=entry.target.name,
        runtime=entry.target.backend,
        runtime_version=None if loaded is None else loaded["version"],
        precision=entry.target.precision,
        threads=threads,
        size_bytes=model_size_bytes(entry.target, bundle),
        latency_ms=_rounded(evidence.latency_ms, _DECIMALS_MS),
        stages_ms=_stages(entry),
        cold_ms=None if loaded is None else _rounded(ColdStart(loaded["load_ms"], loaded["first_ms"]), 2),
        peak_rss_mb=None if loaded is None or loaded["peak_rss_mb"] is None else round(loaded["peak_rss_mb"], 1),
        samples_ms=[round(value, _DECIMALS_MS) for value in entry.total_ms],
        infer_samples_ms=[round(value, _DECIMALS_MS) for value in entry.infer_ms],
        stability=_rounded(evidence.stability, 4),
        drift=None if evidence.drift is None else _rounded(evidence.drift, _DECIMALS_SCORE),
        scores=[round(value, _DECIMALS_SCORE) for value in entry.scores],
        device_state=entry.state,
        roofline=Roofline(),
        error=error,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        advice=judgement.advice,
    )


def _stages(entry: Measurement) -> StageMedians | None:
    if not entry.total_ms or not entry.decode_ms:
        return None
    resize, infer, total = (np.asarray(times) for times in (entry.resize_ms, entry.infer_ms, entry.total_ms))
    decode = float(np.median(entry.decode_ms))
    return _rounded(
        StageMedians(
            decode=decode,
            resize=float(np.median(resize)),
            infer=float(np.median(infer)),
            post=float(np.median(total - resize - infer)),
            end_to_end=decode + float(np.median(total)),
        ),
        _DECIMALS_MS,
    )


def _drift(entry: Measurement, reference_scores: Sequence[float], threshold: float | None) -> Drift | None:
    if entry.error is not None or not reference_scores or len(entry.scores) != len(reference_scores):
        return None
    at = float(np.median(reference_scores)) if threshold is None else threshold
    return compare_scores(REFERENCE.label, reference_scores, entry.scores, at)


def _with_precision_advice(rows: list[Row]) -> list[Row]:
    """Tell, on an int8 row that is otherwise fine, where fp32 on the same runtime is as fast."""
    fp32_ms = {row.target: row.latency_ms.p50 for row in rows if row.precision == "fp32"}
    advised = []
    for row in rows:
        own, other = row.latency_ms.p50, fp32_ms.get(row.target)
        if row.precision == "int8" and row.verdict == "VALID" and own and other and own >= other:
            text = f"int8 gains no time here ({own:.2f} ms against {other:.2f} ms): use --precision fp32"
            row = dataclasses.replace(row, advice=text)
        advised.append(row)
    return advised


def _rounded(record: RecordT, decimals: int) -> RecordT:
    """Return a copy of a frozen dataclass with its floats rounded."""
    values = dataclasses.asdict(record)  # type: ignore[call-overload]
    floats = {key: round(value, decimals) for key, value in values.items() if isinstance(value, float)}
    assert all(math.isfinite(value) for value in floats.values())
    return dataclasses.replace(record, **floats)  # type: ignore[type-var]
