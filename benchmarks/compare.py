"""Compare two results of ``edge-iqa bench``: latency with confidence, drift, verdicts, and what got worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_iqa.benchmarks.drift import Drift
from edge_iqa.benchmarks.results import BenchResult, Row
from edge_iqa.benchmarks.stats_bootstrap import RatioInterval, median_ratio
from edge_iqa.errors import ResultsDiffer

# Ours: what a second run of the same thing on a quiet machine stays within.
LATENCY_TOLERANCE = 0.05
SRCC_TOLERANCE = 0.002
MAX_ABS_TOLERANCE = 0.005
_GRAVE = ("DRIFT", "INCOMPATIBLE")
_SHAKY = ("UNSTABLE", "THROTTLED", "TOO_FEW_SAMPLES")


@dataclass(frozen=True)
class DriftChange:
    """What became of drift, B minus A; None where one side has no value."""

    srcc: float | None
    mae: float
    max_abs: float
    flips: int


@dataclass(frozen=True)
class RowChange:
    """One target in both results; ``p50_ms`` and ``verdict`` are of A and B, None where it is missing.

    ``latency`` is B's median over A's; ``regressions`` are sentences, empty where nothing got worse.
    """

    label: str
    p50_ms: tuple[float | None, float | None]
    latency: RatioInterval | None
    drift: DriftChange | None
    verdict: tuple[str | None, str | None]
    regressions: list[str]
    notes: list[str]


@dataclass(frozen=True)
class ResultComparison:
    """Every target of A or B, and what besides the targets differs between the two runs."""

    differences: list[str]
    rows: list[RowChange]

    @property
    def regressions(self) -> list[str]:
        """Every regression as ``label: sentence``."""
        return [f"{row.label}: {sentence}" for row in self.rows for sentence in row.regressions]


def compare_results(
    a: BenchResult, b: BenchResult, allow_different: bool = False, tolerance: float = LATENCY_TOLERANCE
) -> ResultComparison:
    """Compare B with A, the older; latency counts as worse where its whole interval is above 1 + ``tolerance``.

    Raises ResultsDiffer where bundles or pictures differ, unless ``allow_different``; drift is compared only on
    the same pictures.
    """
    grave = list(_grave_differences(a, b))
    if grave and not allow_different:
        raise ResultsDiffer(
            "The two results cannot be compared as they are",
            why="; ".join(grave),
            fix="measure the same bundle on the same pictures, or say --allow-different",
        )
    same_pictures = a.images.sha256 == b.images.sha256 and a.images.names == b.images.names
    before, after = {row.label: row for row in a.rows}, {row.label: row for row in b.rows}
    rows = [_change(label, before.get(label), after.get(label), same_pictures, tolerance) for label in before | after]
    return ResultComparison(grave + list(_mild_differences(a, b)), rows)


def _grave_differences(a: BenchResult, b: BenchResult) -> Iterator[str]:
    if a.bundle.sha256 != b.bundle.sha256:
        names = (f"{result.bundle.name} {result.bundle.sha256[:12]}" for result in (a, b))
        yield f"different bundles: {' and '.join(names)}"
    if a.images.sha256 != b.images.sha256 or a.images.names != b.images.names:
        counts = (f"{result.images.n} ({result.images.source}, {result.images.sha256[:12]})" for result in (a, b))
        yield f"different pictures: {' and '.join(counts)}; drift is not compared"


def _mild_differences(a: BenchResult, b: BenchResult) -> Iterator[str]:
    facts: dict[str, Callable[[BenchResult], object]] = {
        "machines": lambda result: result.host.board or result.host.cpu_model or result.host.architecture,
        "numbers of CPUs": lambda result: result.host.cpus,
        "threads": lambda result: result.settings.threads,
        "modes": lambda result: result.settings.plan.mode,
        "thresholds": lambda result: next((row.drift.threshold for row in result.rows if row.drift), None),
        "versions of edge-iqa": lambda result: result.tool.version,
    }
    for name, fact in facts.items():
        if fact(a) != fact(b):
            yield f"different {name}: {fact(a)} and {fact(b)}"
    versions = [{row.runtime: row.runtime_version for row in result.rows} for result in (a, b)]
    for runtime in versions[0].keys() & versions[1].keys():
        if versions[0][runtime] != versions[1][runtime]:
            yield f"different versions of {runtime}: {versions[0][runtime]} and {versions[1][runtime]}"


def _change(label: str, a: Row | None, b: Row | None, same_pictures: bool, tolerance: float) -> RowChange:
    p50 = (None if a is None else a.latency_ms.p50, None if b is None else b.latency_ms.p50)
    verdicts = (None if a is None else a.verdict, None if b is None else b.verdict)
    if a is None or b is None:
        gone = ["it is missing in B"] if b is None and a is not None and a.error is None else []
        return RowChange(label, p50, None, None, verdicts, gone, ["only in A" if b is None else "only in B"])
    latency = median_ratio(a.samples_ms, b.samples_ms)
    drift = _drift_change(a.drift, b.drift) if same_pictures else None
    regressions, notes = [], []
    if b.verdict in _GRAVE and a.verdict not in _GRAVE:
        regressions.append(f"the verdict was {a.verdict} and is {b.verdict}")
    if latency is not None and latency.low > 1 + tolerance:
        slower = f"{latency.ratio - 1:.1%} slower (95 % interval {latency.low - 1:+.1%} to {latency.high - 1:+.1%})"
        shaky = [row.verdict for row in (a, b) if row.verdict in _SHAKY]
        if shaky:
            notes.append(f"{slower}, but a side is {shaky[0]}: measure again")
        else:
            regressions.append(slower)
    regressions += _drift_regressions(drift)
    return RowChange(label, p50, latency, drift, verdicts, regressions, notes)


def _drift_change(a: Drift | None, b: Drift | None) -> DriftChange | None:
    if a is None or b is None:
        return None
    srcc = None if a.srcc is None or b.srcc is None else b.srcc - a.srcc
    return DriftChange(srcc, b.mae - a.mae, b.max_abs - a.max_abs, b.flips - a.flips)


def _drift_regressions(drift: DriftChange | None) -> Iterator[str]:
    if drift is None:
        return
    if drift.srcc is not None and drift.srcc < -SRCC_TOLERANCE:
        yield f"SROCC fell by {-drift.srcc:.4f}"
    if drift.max_abs > MAX_ABS_TOLERANCE:
        yield f"the largest difference grew by {drift.max_abs:.4f}"
