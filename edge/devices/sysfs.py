"""Clocks, heat, throttling, fans and power rails as Linux shows them in sysfs; None where it shows nothing.

Files and units: www.kernel.org/doc/Documentation/ABI/testing/sysfs-class-thermal (millidegrees),
.../cpu-freq/user-guide.rst (kHz), .../ABI/testing/sysfs-class-devfreq (Hz), .../hwmon/sysfs-interface.rst and
.../hwmon/ina3221.rst (millivolts, milliamperes). ``system`` is the root of the tree, ``/sys`` on a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_MAX_PWM = 255  # hwmon's duty cycle counts from 0 to 255
_GPU_NAMES = ("gpu", "gv11b", "ga10b", "gb10b", "mali", "v3d")


@dataclass(frozen=True)
class FanState:
    """The fastest fan: revolutions per minute and share of the full drive in percent; None where not shown."""

    rpm: float | None
    percent: float | None


def read_text(path: Path) -> str | None:
    """Return a file's text without the line's end, or None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\x00\n ")
    except OSError:
        return None


def read_number(path: Path) -> float | None:
    """Return the whole number that a file holds, or None."""
    text = read_text(path)
    return float(text) if text is not None and text.removeprefix("-").isdecimal() else None


def cpu_mhz(system: Path) -> float | None:
    """Return the mean clock of the processors that are on, in MHz."""
    clocks = _numbers(_processors(system), "cpu[0-9]*/cpufreq/scaling_cur_freq")
    return sum(clocks) / len(clocks) / 1e3 if clocks else None


def cpu_max_mhz(system: Path) -> float | None:
    """Return the highest clock that a processor may take, in MHz."""
    clocks = _numbers(_processors(system), "cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    return max(clocks) / 1e3 if clocks else None


def cpu_governor(system: Path) -> str | None:
    """Return the governors of the processors' clocks, each once."""
    texts = {read_text(path) for path in _processors(system).glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(text for text in texts if text)) or None


def gpu_mhz(system: Path) -> float | None:
    """Return the clock of the GPU in MHz: the fastest device below devfreq that is named like one."""
    clocks = []
    for device in sorted((system / "class" / "devfreq").glob("*")):
        if any(name in device.name.lower() for name in _GPU_NAMES):
            clock = read_number(device / "cur_freq")
            if clock is not None:
                clocks.append(clock)
    return max(clocks) / 1e6 if clocks else None


def temperatures_c(system: Path) -> dict[str, float]:
    """Return the temperature of each thermal zone by its type; zones that are switched off are left out.

    A Jetson gives -256 degrees for a zone without power, and its regulator's zone a constant 100.
    """
    found: dict[str, float] = {}
    for zone in _thermal_zones(system):
        name = read_text(zone / "type") or zone.name
        value = read_number(zone / "temp")
        if value is not None and value > 0 and not name.startswith("PMIC"):
            found[name] = value / 1e3
    return found


def at_passive_trip(system: Path) -> str | None:
    """Return the thermal zone that has reached a passive trip point, where the kernel lowers clocks, or None."""
    for zone in _thermal_zones(system):
        value = read_number(zone / "temp")
        for kind in sorted(zone.glob("trip_point_*_type")):
            limit = read_number(kind.with_name(kind.name.replace("_type", "_temp")))
            if read_text(kind) == "passive" and value is not None and limit is not None and 0 < limit <= value:
                return read_text(zone / "type") or zone.name
    return None


def is_cooling(system: Path) -> bool | None:
    """Return whether a cooling device lowers the clock of a processor or GPU now; None where there is none."""
    states = []
    for device in sorted((system / "class" / "thermal").glob("cooling_device*")):
        kind = (read_text(device / "type") or "").lower()
        if any(name in kind for name in ("cpufreq", "cpu-freq", "devfreq", "gpu")) or kind == "processor":
            state = read_number(device / "cur_state")
            if state is not None:
                states.append(state)
    return any(state > 0 for state in states) if states else None


def throttle_count(system: Path) -> int | None:
    """Return how often the processors were throttled since the start; it only grows."""
    counts = _numbers(_processors(system), "cpu[0-9]*/thermal_throttle/*_throttle_count")
    return int(sum(counts)) if counts else None


def fan_state(system: Path) -> FanState:
    """Return the state of the fastest fan."""
    hwmon = system / "class" / "hwmon"
    rpm = _numbers(hwmon, "hwmon*/fan[0-9]*_input") + _numbers(hwmon, "hwmon*/rpm")
    drive = _numbers(hwmon, "hwmon*/pwm[0-9]")
    return FanState(
        rpm=max(rpm) if rpm else None,
        percent=100 * max(drive) / _MAX_PWM if drive else None,
    )


def power_rails_w(system: Path) -> dict[str, float]:
    """Return the power of each rail in watts by its label, from the INA3221 and INA238 monitors of a board.

    A channel's power is its bus voltage times its current; channels without a label are not wired, and
    ``sum of shunt voltages`` is no rail.
    """
    rails: dict[str, float] = {}
    for monitor in sorted((system / "class" / "hwmon").glob("hwmon*")):
        if read_text(monitor / "name") not in ("ina3221", "ina238"):
            continue
        for channel in range(1, 4):
            label = read_text(monitor / f"in{channel}_label") or read_text(monitor / f"power{channel}_label")
            millivolts = read_number(monitor / f"in{channel}_input")
            milliamperes = read_number(monitor / f"curr{channel}_input")
            if label and label != "NC" and millivolts is not None and milliamperes is not None:
                rails[label] = millivolts * milliamperes / 1e6
    return rails


def _processors(system: Path) -> Path:
    return system / "devices" / "system" / "cpu"


def _thermal_zones(system: Path) -> list[Path]:
    return sorted((system / "class" / "thermal").glob("thermal_zone*"))


def _numbers(folder: Path, pattern: str) -> list[float]:
    values = (read_number(path) for path in sorted(folder.glob(pattern)))
    return [value for value in values if value is not None]
