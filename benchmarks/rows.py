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
from edge_iqa.benchmarks.layer_costs import LayerCost
from edge_iqa.benchmarks.results import (
    ColdStart,
    Row,
    RowError,
    StageMedians,
    Sustained,
    Throughput,
    Warmup,
)
from edge_iqa.benchmarks.roofline import Machine, measured_roofline
from edge_iqa.benchmarks.sampling import SamplingPlan, stability, summarize
from edge_iqa.benchmarks.targets import REFERENCE, Target, model_size_bytes
from edge_iqa.benchmarks.verdict import Bars, Evidence, judge, missed_bars
from edge_iqa.bundle import Bundle
from edge_iqa.devices.profile import DeviceProfile
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
    ran_ns: int = 0
    waited_ns: int = 0
    state: DeviceState = field(default_factory=lambda: StateRecorder().summary())
    warmup: Warmup | None = None
    throughput: Throughput | None = None
    sustained: Sustained | None = None
    sustained_reasons: list[str] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        """Add the samples of one timed round."""
        self.resize_ms += answer["resize_ms"]
        self.infer_ms += answer["infer_ms"]
        self.total_ms += answer["total_ms"]
        self.seconds += answer["seconds"]
        if answer["scheduling_ns"] is not None:
            ran_ns, waited_ns = answer["scheduling_ns"]
            self.ran_ns += ran_ns
            self.waited_ns += waited_ns

    @property
    def waited(self) -> float | None:
        """The share of its time that the process stood ready while others ran; None where not counted."""
        counted = self.ran_ns + self.waited_ns
        return self.waited_ns / counted if counted > 0 else None

    @property
    def energy_mj(self) -> float | None:
        """The board's energy per picture in millijoules while it was scored without a pause, idle power included."""
        if self.state.power_w is None or not self.total_ms:
            return None
        return round(self.state.power_w * self.seconds / len(self.total_ms) * 1e3, 3)


@dataclass(frozen=True)
class Judging:
    """What rows are judged by: the bundle, how it was measured, the bars, and what the hardware could do.

    ``threshold`` None means the median reference score; ``costs`` and ``profile`` None: no roofline.
    """

    bundle: Bundle
    threads: int
    plan: SamplingPlan
    bars: Bars
    threshold: float | None = None
    costs: Sequence[LayerCost] | None = None
    profile: DeviceProfile | None = None
    cpu_max_mhz: float | None = None


@dataclass(frozen=True)
class JudgedRows:
    """The rows, and each bar that one of them misses, as a sentence."""

    rows: list[Row]
    missed: list[str]


def finish(measurements: Sequence[Measurement], reference_scores: Sequence[float], judging: Judging) -> JudgedRows:
    """Judge every measurement against the reference's scores ``(N,)`` and the bars."""
    rows, missed = [], []
    for entry in measurements:
        evidence = Evidence(
            label=entry.target.label,
            precision=entry.target.precision,
            latency_ms=summarize(entry.total_ms),
            stability=stability(entry.infer_ms, entry.waited),
            drift=_drift(entry, reference_scores, judging.threshold),
            throttling=[*entry.state.throttle_reasons, *entry.sustained_reasons],
            error=entry.error,
            seconds=entry.seconds,
            sustained_change=None if entry.sustained is None else entry.sustained.p90_change,
        )
        rows.append(_row(entry, evidence, judging))
        missed += missed_bars(evidence, judging.bars)
    return JudgedRows(_with_precision_advice(rows), missed)


def _row(entry: Measurement, evidence: Evidence, judging: Judging) -> Row:
    judgement = judge(evidence, judging.plan, judging.bars)
    stages = _stages(entry)
    error = None if entry.error is None else RowError(**entry.error.as_dict())
    loaded = entry.loaded
    return Row(
        target=entry.target.name,
        runtime=entry.target.runtime,
        runtime_version=None if loaded is None else loaded["version"],
        precision=entry.target.precision,
        threads=judging.threads,
        size_bytes=model_size_bytes(entry.target, judging.bundle),
        latency_ms=_rounded(evidence.latency_ms, _DECIMALS_MS),
        stages_ms=stages,
        cold_ms=None if loaded is None else _rounded(ColdStart(loaded["load_ms"], loaded["first_ms"]), 2),
        peak_rss_mb=None if loaded is None or loaded["peak_rss_mb"] is None else round(loaded["peak_rss_mb"], 1),
        samples_ms=[round(value, _DECIMALS_MS) for value in entry.total_ms],
        infer_samples_ms=[round(value, _DECIMALS_MS) for value in entry.infer_ms],
        stability=_rounded(evidence.stability, 4),
        drift=None if evidence.drift is None else _rounded(evidence.drift, _DECIMALS_SCORE),
        scores=[round(value, _DECIMALS_SCORE) for value in entry.scores],
        device_state=entry.state,
        roofline=measured_roofline(
            judging.costs,
            judging.profile,
            entry.target.name,
            entry.target.precision,
            Machine(judging.threads, judging.cpu_max_mhz),
            None if stages is None else stages.infer,
        ),
        error=error,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        advice=judgement.advice,
        affinity=None if loaded is None else loaded["affinity"],
        warmup=entry.warmup,
        throughput=entry.throughput,
        energy_mj=entry.energy_mj,
        sustained=entry.sustained,
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
