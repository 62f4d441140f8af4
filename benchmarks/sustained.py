"""A long run without a pause: percentiles over time, with the device's state beside them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from edge_iqa.benchmarks.device_state import DeviceState, StateRecorder, throttle_reasons
from edge_iqa.benchmarks.results import Sustained, SustainedInterval
from edge_iqa.benchmarks.sampling import samples_needed, summarize
from edge_iqa.errors import InvalidInput

_INTERVALS = 60
_MAX_SECONDS = 24 * 3600.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Return the seconds of ``10m``, ``90s``, ``1h`` or ``600``; raises InvalidInput for other text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if not 0 < seconds <= _MAX_SECONDS:
        raise InvalidInput(f"{text!r} is not a duration", fix="write it as 90s, 10m or 1h, up to 24h")
    return seconds


def interval_seconds(seconds: float, latency_ms: float) -> float:
    """Return how long one interval lasts: a sixtieth of the run, a second and a p90's samples at least."""
    for_p90 = 1.1 * samples_needed(90) * latency_ms * 1e-3
    return min(seconds, max(seconds / _INTERVALS, 1.0, for_p90))


class SustainedRun:
    """Collects the intervals of one target's long run."""

    def __init__(self, recorder: StateRecorder, interval_s: float) -> None:
        self.recorder = recorder
        self.interval_s = interval_s
        self.seconds = 0.0
        self._seen = 0
        self._intervals: list[SustainedInterval] = []

    def add(self, total_ms: Sequence[float], seconds: float) -> None:
        """Add the latencies in milliseconds of one interval, and the readings taken since the last."""
        state = self.recorder.summary(first=self._seen)
        self._seen = len(self.recorder.taken)
        self._intervals.append(_interval(self.seconds, total_ms, state))
        self.seconds += seconds

    def summary(self) -> tuple[Sustained, list[str]]:
        """Return the run, and what limited the clocks during it; heat alone is no fault of a long run."""
        reasons = throttle_reasons([reading for _, reading in self.recorder.taken], heating=False)
        return (
            Sustained(
                seconds=round(self.seconds, 3),
                interval_s=round(self.interval_s, 3),
                p90_change=p90_change([interval.p90_ms for interval in self._intervals]),
                intervals=self._intervals,
            ),
            reasons,
        )


def p90_change(p90_ms: Sequence[float | None]) -> float | None:
    """Return the median p90 of the last fifth of the intervals against that of the first, minus 1.

    None where fewer than five intervals have a p90.
    """
    known = [value for value in p90_ms if value is not None]
    if len(known) < 5:
        return None
    fifth = len(known) // 5
    return round(statistics.median(known[-fifth:]) / statistics.median(known[:fifth]) - 1, 4)


def _interval(start_s: float, total_ms: Sequence[float], state: DeviceState) -> SustainedInterval:
    latency = summarize(total_ms)
    last = state.trace[-1] if state.trace else None
    return SustainedInterval(
        start_s=round(start_s, 3),
        n=latency.n,
        p50_ms=None if latency.p50 is None else round(latency.p50, 4),
        p90_ms=None if latency.p90 is None else round(latency.p90, 4),
        cpu_mhz=last.cpu_mhz if last else None,
        gpu_mhz=last.gpu_mhz if last else None,
        temperature_c=state.temperature_c_max,
        power_w=state.power_w,
    )
