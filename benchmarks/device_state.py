"""Clocks, temperature, governor and throttling of this machine, from sysfs; None where not known."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

_SYSTEM = Path("/sys")


@dataclass(frozen=True)
class StateSample:
    """One look at the machine; ``throttle_count`` only grows, ``cooling`` tells of a limited clock now."""

    cpu_mhz: float | None
    temperature_c: float | None
    governor: str | None
    throttle_count: int | None
    cooling: bool | None


@dataclass(frozen=True)
class DeviceState:
    """What the machine did while one target was measured; None where the system does not tell."""

    samples: int
    governor: str | None
    power_mode: str | None
    cpu_mhz_min: float | None
    cpu_mhz_max: float | None
    temperature_c_start: float | None
    temperature_c_max: float | None
    temperature_c_end: float | None
    throttled: bool | None


def is_jetson(root: Path = Path("/")) -> bool:
    """Return whether this is an NVIDIA Jetson: L4T's release file, or the board's name in the device tree."""
    if (root / "etc" / "nv_tegra_release").is_file():
        return True
    return "jetson" in (_read(root / "proc" / "device-tree" / "model") or "").lower()


def read_state(system: Path = _SYSTEM) -> StateSample:
    """Read the state once: mean clock of the processors, hottest thermal zone, governor, throttling."""
    processors = system / "devices" / "system" / "cpu"
    clocks = _numbers(processors, "cpu[0-9]*/cpufreq/scaling_cur_freq")
    temperatures = [value for value in _numbers(system / "class" / "thermal", "thermal_zone*/temp") if value > 0]
    counts = _numbers(processors, "cpu[0-9]*/thermal_throttle/*_throttle_count")
    return StateSample(
        cpu_mhz=sum(clocks) / len(clocks) / 1e3 if clocks else None,
        temperature_c=max(temperatures) / 1e3 if temperatures else None,
        governor=_read(processors / "cpu0" / "cpufreq" / "scaling_governor"),
        throttle_count=int(sum(counts)) if counts else None,
        cooling=_is_cooling(system / "class" / "thermal"),
    )


@dataclass
class StateRecorder:
    """Collects samples while a target is measured, at most about one a second."""

    system: Path = _SYSTEM
    interval_s: float = 1.0
    taken: list[StateSample] = field(default_factory=list)
    _last_s: float = float("-inf")

    def sample(self, now_s: float | None = None) -> None:
        """Take a sample unless the last one is more recent than the interval; ``now_s`` is for tests."""
        now_s = time.monotonic() if now_s is None else now_s
        if now_s - self._last_s >= self.interval_s:
            self._last_s = now_s
            self.taken.append(read_state(self.system))

    def summary(self) -> DeviceState:
        """Return what the samples say together."""
        clocks = [sample.cpu_mhz for sample in self.taken if sample.cpu_mhz is not None]
        temperatures = [sample.temperature_c for sample in self.taken if sample.temperature_c is not None]
        governors = sorted({sample.governor for sample in self.taken if sample.governor is not None})
        return DeviceState(
            samples=len(self.taken),
            governor=", ".join(governors) or None,
            power_mode=None,
            cpu_mhz_min=min(clocks, default=None),
            cpu_mhz_max=max(clocks, default=None),
            temperature_c_start=temperatures[0] if temperatures else None,
            temperature_c_max=max(temperatures, default=None),
            temperature_c_end=temperatures[-1] if temperatures else None,
            throttled=self._throttled(),
        )

    def _throttled(self) -> bool | None:
        counts = [sample.throttle_count for sample in self.taken if sample.throttle_count is not None]
        cooling = [sample.cooling for sample in self.taken if sample.cooling is not None]
        if not counts and not cooling:
            return None
        return bool(counts and counts[-1] > counts[0]) or any(cooling)


def _is_cooling(thermal: Path) -> bool | None:
    """Return whether a cooling device lowers the processor's clock now; None where there is none."""
    states = []
    for device in sorted(thermal.glob("cooling_device*")):
        kind = (_read(device / "type") or "").lower()
        if "cpufreq" in kind or "cpu-freq" in kind or kind == "processor":
            states.append(_read(device / "cur_state"))
    known = [state for state in states if state is not None and state.isdigit()]
    return any(int(state) > 0 for state in known) if known else None


def _numbers(folder: Path, pattern: str) -> list[float]:
    values = []
    for path in sorted(folder.glob(pattern)):
        text = _read(path)
        if text is not None and text.lstrip("-").isdigit():
            values.append(float(text))
    return values


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\x00\n ")
    except OSError:
        return None
