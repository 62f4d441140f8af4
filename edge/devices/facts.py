"""One look at the device: clocks, heat, throttling, fan and power, whatever source has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_iqa.devices import sysfs
from edge_iqa.devices.raspberry_pi import read_throttled
from edge_iqa.devices.sysfs import read_text
from edge_iqa.devices.tegrastats import TegrastatsReading

# Rails that carry all of a board's power; where there is none of them, the rails stand side by side.
_INPUT_RAILS = ("VDD_IN", "VIN", "POM_5V_IN")
_FED_BY_ANOTHER = ("VDDQ_VDD2_1V8AO",)  # AGX Orin's memory, which VIN_SYS_5V0 feeds


@dataclass(frozen=True)
class DeviceReading:
    """One look; None or empty where nothing tells. Clocks in MHz, degrees Celsius, watts.

    ``temperature_c`` is the hottest zone, ``power_w`` the whole board's. ``throttle_count`` only grows;
    ``throttling`` says what limits the clock now.
    """

    cpu_mhz: float | None
    gpu_mhz: float | None
    temperature_c: float | None
    governor: str | None
    throttle_count: int | None
    throttling: tuple[str, ...] | None
    fan_rpm: float | None
    fan_percent: float | None
    rails_w: dict[str, float]

    @property
    def power_w(self) -> float | None:
        return board_power_w(self.rails_w)


def read_device(root: Path = Path("/"), tegrastats: TegrastatsReading | None = None) -> DeviceReading:
    """Read the device below ``root``; what sysfs does not show is taken from a line of tegrastats."""
    system = root / "sys"
    temperatures = sysfs.temperatures_c(system)
    cpu, gpu, rails = sysfs.cpu_mhz(system), sysfs.gpu_mhz(system), sysfs.power_rails_w(system)
    if tegrastats is not None:
        temperatures = temperatures or tegrastats.temperatures_c
        cpu = tegrastats.cpu_mhz if cpu is None else cpu
        gpu = tegrastats.gpu_mhz if gpu is None else gpu
        rails = rails or tegrastats.rails_w
    fan = sysfs.fan_state(system)
    return DeviceReading(
        cpu_mhz=cpu,
        gpu_mhz=gpu,
        temperature_c=max(temperatures.values(), default=None),
        governor=sysfs.cpu_governor(system),
        throttle_count=sysfs.throttle_count(system),
        throttling=_throttling(system),
        fan_rpm=fan.rpm,
        fan_percent=fan.percent,
        rails_w=rails,
    )


def board_power_w(rails_w: dict[str, float]) -> float | None:
    """Return the power of the whole board: that of its input rail, else the sum of all; None without rails.

    Orin Nano, Orin NX, Xavier NX and (for root) Thor show an input rail, of which the others are parts. AGX
    Orin does not: its module takes VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0. NVIDIA's guide, see ``power_mode``.
    """
    for name in _INPUT_RAILS:
        if name in rails_w:
            return rails_w[name]
    own = [watts for name, watts in rails_w.items() if name not in _FED_BY_ANOTHER]
    return sum(own) if own else None


def board_name(root: Path = Path("/")) -> str | None:
    """Return the board's name from the device tree; PCs have none."""
    return read_text(root / "proc" / "device-tree" / "model") or None


def is_jetson(root: Path = Path("/")) -> bool:
    """Return whether this is an NVIDIA Jetson: L4T's release file, or the board's name in the device tree."""
    return (root / "etc" / "nv_tegra_release").is_file() or "jetson" in (board_name(root) or "").lower()


def _throttling(system: Path) -> tuple[str, ...] | None:
    """Return what limits the clock now, as sentences; None where no source would tell."""
    cooling = sysfs.is_cooling(system)
    firmware = read_throttled(system)
    trip = sysfs.at_passive_trip(system)
    if cooling is None and firmware is None and trip is None:
        return None
    reasons = list(firmware.now) if firmware is not None else []
    if cooling:
        reasons.append("the system lowered a clock to cool the device")
    if trip is not None:
        reasons.append(f"the zone {trip} reached its passive trip point")
    return tuple(reasons)
