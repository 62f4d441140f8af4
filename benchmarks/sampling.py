"""How many latencies are taken, which percentiles they allow, and whether they held still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import InvalidInput

PERCENTILES = (50, 90, 95, 99)
CONFIDENCE = 0.99


@dataclass(frozen=True)
class SamplingPlan:
    """How long one target is measured: ``min_samples`` and ``min_seconds`` at least, ``max_seconds`` at most.

    The samples are taken in about ``rounds`` portions, the targets taking turns, so that a machine that slows
    down slows all targets. Before each portion ``settle_samples`` go untimed.
    """

    mode: str
    min_samples: int
    min_seconds: float
    max_seconds: float = 600.0
    rounds: int = 8
    settle_samples: int = 3
    warmup_min_seconds: float = 1.0
    warmup_max_seconds: float = 15.0
    timing_pictures: int = 16

    def is_met(self, samples: int, seconds: float) -> bool:
        """Return whether a target with so many samples, taken in so many seconds, is finished."""
        return (samples >= self.min_samples and seconds >= self.min_seconds) or seconds >= self.max_seconds

    def portion(self, latency_ms: float) -> int:
        """Return how many samples one round takes at a latency in milliseconds."""
        for_count = self.min_samples / self.rounds
        for_time = self.min_seconds / self.rounds / max(latency_ms * 1e-3, 1e-6)
        return max(1, math.ceil(max(for_count, for_time)))


# Counts and durations of MLPerf Mobile's three run modes.
PLANS = {
    "normal": SamplingPlan("normal", min_samples=1024, min_seconds=60.0, rounds=12),
    "quick": SamplingPlan("quick", min_samples=128, min_seconds=10.0),
    "rapid": SamplingPlan("rapid", min_samples=64, min_seconds=6.0, rounds=6),
}


def plan_for(mode: str) -> SamplingPlan:
    """Return the plan of a mode; raises InvalidInput for a mode that does not exist."""
    if mode not in PLANS:
        raise InvalidInput(f"There is no mode {mode!r}", fix=f"one of: {', '.join(PLANS)}")
    return PLANS[mode]


def samples_needed(percentile: int) -> int:
    """Return the smallest number of samples that supports a percentile in 1..99.

    MLPerf Inference's early-stopping rule with confidence 0.99 and tolerance 0: the smallest n for which at
    most one of n samples above the true percentile has a probability of at most 0.01. 11, 64, 130 and 662 for
    50, 90, 95, 99.
    """
    below = percentile / 100
    count = 1
    while below**count + count * (1 - below) * below ** (count - 1) > 1 - CONFIDENCE:
        count += 1
    return count


@dataclass(frozen=True)
class LatencySummary:
    """Latency per picture in milliseconds; a percentile is None where there are too few samples for it."""

    n: int
    min: float | None
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


def summarize(samples_ms: Sequence[float]) -> LatencySummary:
    """Summarize latencies in milliseconds; percentiles are interpolated between the two nearest samples."""
    count = len(samples_ms)
    if count == 0:
        return LatencySummary(0, None, None, None, None, None, None)
    values = np.asarray(samples_ms, np.float64)
    p50, p90, p95, p99 = (
        float(np.percentile(values, percentile)) if count >= samples_needed(percentile) else None
        for percentile in PERCENTILES
    )
    return LatencySummary(count, float(values.min()), float(values.mean()), p50, p90, p95, p99)


@dataclass(frozen=True)
class Stability:
    """How much the time of the network alone moved; None where there are too few samples to tell.

    ``variation`` is the coefficient of variation of the middle nine tenths, so that single interruptions by
    the system do not count; ``trend`` is the median of the last third against that of the first third, minus
    1. The network's time is taken because its input has one size, whatever the size of the picture.
    ``waited`` is the share of its time that the process stood ready without a processor, because other work
    had them: the kernel's run-queue time (www.kernel.org/doc/html/latest/scheduler/sched-stats.html), but no
    more than other processes ran (/proc/stat), None where it is not counted. The three measures are ours.
    """

    variation: float | None
    trend: float | None
    waited: float | None = None


def stability(infer_ms: Sequence[float], waited: float | None = None) -> Stability:
    """Return the stability of latencies in milliseconds, in the order in which they were taken."""
    if len(infer_ms) < samples_needed(50):
        return Stability(None, None, waited)
    values = np.asarray(infer_ms, np.float64)
    middle = _without_tails(values)
    third = len(values) // 3
    first, last = float(np.median(values[:third])), float(np.median(values[-third:]))
    return Stability(float(middle.std() / middle.mean()), last / first - 1, waited)


def is_warm(windows_ms: Sequence[float], tolerance: float = 0.05) -> bool:
    """Return whether the last three medians of a window of samples lie within ``tolerance``."""
    last = windows_ms[-3:]
    return len(last) == 3 and max(last) <= min(last) * (1 + tolerance)


def _without_tails(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(values)
    cut = len(ordered) // 20
    return ordered[cut : len(ordered) - cut]
