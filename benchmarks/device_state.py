"""What the machine did while a target was measured: readings once a second, and what they say together."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.devices.facts import DeviceReading, read_device
from edge_iqa.devices.power_mode import read_power_mode
from edge_iqa.devices.tegrastats import TegrastatsStream

# Ours: a clock that fell by more than this, or heat that rose by more, is another machine than at the start.
MAX_CLOCK_FALL = 0.10
MAX_WARMING_C = 15.0
_FEW = 6  # readings, below which the first and last third tell nothing
_SETTLE_S = 0.2  # the first reading of a round waits for the load to show in clocks and power


@dataclass(frozen=True)
class TracePoint:
    """One reading; ``time_s`` since the timing of all targets began."""

    time_s: float
    cpu_mhz: float | None
    gpu_mhz: float | None
    temperature_c: float | None
    power_w: float | None
    fan_percent: float | None


@dataclass(frozen=True)
class DeviceState:
    """What the machine did while one target was measured; None or empty where the system does not tell.

    ``power_w`` is the mean power of the whole board, ``rails_w`` that of each rail; ``throttled`` is None
    where nothing could tell, else ``throttle_reasons`` say what limited clocks, or that clocks or heat moved.
    """

    samples: int
    governor: str | None
    power_mode: str | None
    cpu_mhz_min: float | None
    cpu_mhz_max: float | None
    gpu_mhz_min: float | None
    gpu_mhz_max: float | None
    temperature_c_start: float | None
    temperature_c_max: float | None
    temperature_c_end: float | None
    fan_percent_max: float | None
    fan_rpm_max: float | None
    power_w: float | None
    rails_w: dict[str, float]
    throttled: bool | None
    throttle_reasons: list[str]
    trace: list[TracePoint]


class DeviceWatch:
    """The sources of readings for one benchmark: sysfs, firmware, and tegrastats where it is there.

    A context manager; ``time_s`` of readings counts from its making.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._stream = TegrastatsStream()
        self._start_s = time.monotonic()

    def __enter__(self) -> DeviceWatch:
        self._stream.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.__exit__(None, None, None)

    def read(self) -> DeviceReading:
        return read_device(self._root, self._stream.latest)

    def power_mode(self) -> str | None:
        """Return the power mode the device is in."""
        return read_power_mode(self._root / "sys")

    def recorder(self) -> StateRecorder:
        """Return a recorder for one target."""
        return StateRecorder(self.read, start_s=self._start_s)


class StateRecorder:
    """Collects readings of one target's rounds, at most one each ``interval_s`` seconds."""

    def __init__(
        self,
        read: Callable[[], DeviceReading] = read_device,
        interval_s: float = 1.0,
        start_s: float | None = None,
    ) -> None:
        self.taken: list[tuple[float, DeviceReading]] = []
        self._read = read
        self._interval_s = interval_s
        self._start_s = time.monotonic() if start_s is None else start_s
        self._last_s = float("-inf")

    def sample(self, now_s: float | None = None) -> None:
        """Take a reading unless the last one is more recent than the interval; ``now_s`` is for tests."""
        now_s = time.monotonic() if now_s is None else now_s
        if now_s - self._last_s >= self._interval_s:
            self._last_s = now_s
            self.taken.append((now_s - self._start_s, self._read()))

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Take readings in a thread until the block ends, and one at its end if none is recent."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.sample()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(max(_SETTLE_S, self._last_s + self._interval_s - time.monotonic())):
            self.sample()

    def summary(self, power_mode: str | None = None, first: int = 0) -> DeviceState:
        """Return what the readings from number ``first`` on say together."""
        taken = self.taken[first:]
        readings = [reading for _, reading in taken]
        cpu, gpu = _known(readings, "cpu_mhz"), _known(readings, "gpu_mhz")
        heat, power = _known(readings, "temperature_c"), _known(readings, "power_w")
        governors = sorted({reading.governor for reading in readings if reading.governor is not None})
        names = {name for reading in readings for name in reading.rails_w}
        rails = {name: [r.rails_w[name] for r in readings if name in r.rails_w] for name in sorted(names)}
        reasons = throttle_reasons(readings)
        can_tell = cpu or gpu or heat or any(r.throttling is not None or r.throttle_count is not None for r in readings)
        return DeviceState(
            samples=len(readings),
            governor=", ".join(governors) or None,
            power_mode=power_mode,
            cpu_mhz_min=min(cpu, default=None),
            cpu_mhz_max=max(cpu, default=None),
            gpu_mhz_min=min(gpu, default=None),
            gpu_mhz_max=max(gpu, default=None),
            temperature_c_start=heat[0] if heat else None,
            temperature_c_max=max(heat, default=None),
            temperature_c_end=heat[-1] if heat else None,
            fan_percent_max=max(_known(readings, "fan_percent"), default=None),
            fan_rpm_max=max(_known(readings, "fan_rpm"), default=None),
            power_w=round(statistics.fmean(power), 4) if power else None,
            rails_w={name: round(statistics.fmean(values), 4) for name, values in rails.items()},
            throttled=bool(reasons) if can_tell else None,
            throttle_reasons=reasons,
            trace=[_point(time_s, reading) for time_s, reading in taken],
        )


def throttle_reasons(readings: Sequence[DeviceReading], heating: bool = True) -> list[str]:
    """Return what limited the clocks during the readings, and whether clocks or (``heating``) heat moved."""
    told: dict[str, int] = {}
    for reading in readings:
        for reason in reading.throttling or ():
            told[reason] = told.get(reason, 0) + 1
    reasons = [f"{reason} ({count} of {len(readings)} readings)" for reason, count in told.items()]
    counts = [reading.throttle_count for reading in readings if reading.throttle_count is not None]
    if counts and counts[-1] > counts[0]:
        reasons.append(f"the processor was throttled {counts[-1] - counts[0]} times during the run")
    for name, attribute in (("CPU", "cpu_mhz"), ("GPU", "gpu_mhz")):
        clocks = _known(readings, attribute)
        if len(clocks) >= _FEW:
            third = len(clocks) // 3
            first, last = statistics.median(clocks[:third]), statistics.median(clocks[-third:])
            if last < first * (1 - MAX_CLOCK_FALL):
                reasons.append(f"the {name} clock fell from {first:.0f} to {last:.0f} MHz during the run")
    heat = _known(readings, "temperature_c")
    if heating and heat and heat[-1] - heat[0] > MAX_WARMING_C:
        reasons.append(f"the device was still heating up, from {heat[0]:.0f} to {heat[-1]:.0f} degrees Celsius")
    return reasons


def _known(readings: Sequence[DeviceReading], attribute: str) -> list[float]:
    values = (getattr(reading, attribute) for reading in readings)
    return [value for value in values if value is not None]


def _point(time_s: float, reading: DeviceReading) -> TracePoint:
    values = (reading.cpu_mhz, reading.gpu_mhz, reading.temperature_c, reading.power_w, reading.fan_percent)
    return TracePoint(round(time_s, 2), *(None if value is None else round(value, 3) for value in values))
