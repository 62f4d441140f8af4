"""What a result says about the machine it comes from: enough to compare, nothing that names its owner."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.devices import sysfs
from edge_iqa.devices.facts import board_name
from edge_iqa.devices.power_mode import read_power_mode
from edge_iqa.devices.proc import first_value, read_lines
from edge_iqa.devices.profile import detect_profile

_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class HostFacts:
    """Processor, memory and software; None where the system does not tell.

    ``cpus`` are those this process may use, ``load_average`` is that of the minute before the benchmark:
    other work on the machine shows there. ``profile`` names the device profile that fits, ``cpu_max_mhz`` is the
    highest clock that cpufreq allows, or else the one that /proc/cpuinfo shows.
    """

    cpu_model: str | None
    architecture: str
    cpus: int
    cpu_flags: list[str]
    memory_mb: int | None
    board: str | None
    os: str
    python: str
    load_average: float | None
    profile: str | None
    power_mode: str | None
    cpu_governor: str | None
    cpu_max_mhz: float | None


def read_host_facts() -> HostFacts:
    """Read the facts of this machine."""
    processor = read_lines(Path("/proc/cpuinfo"))
    flags = first_value(processor, ("flags", "Features")) or ""
    memory = first_value(read_lines(Path("/proc/meminfo")), ("MemTotal",))
    board = board_name()
    cpu_model = first_value(processor, ("model name", "Model", "Hardware")) or platform.processor() or None
    known_flags = [flag for flag in _CPU_FLAGS if flag in flags.split()]
    profile = detect_profile(board, cpu_model, known_flags)
    system = Path("/sys")
    shown_mhz = first_value(processor, ("cpu MHz",))
    return HostFacts(
        cpu_model=cpu_model,
        architecture=platform.machine(),
        cpus=usable_cpus(),
        cpu_flags=known_flags,
        memory_mb=int(memory.split()[0]) // 1024 if memory else None,
        board=board,
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        profile=None if profile is None else profile.name,
        power_mode=read_power_mode(system),
        cpu_governor=sysfs.cpu_governor(system),
        cpu_max_mhz=sysfs.cpu_max_mhz(system) or (float(shown_mhz) if shown_mhz else None),
    )


def usable_cpus() -> int:
    """Return how many processors this process may use, by affinity and the container's cgroup v2 quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = "".join(read_lines(Path("/sys/fs/cgroup/cpu.max"))[:1]).split()
    if len(quota) == 2 and quota[0].isdigit():
        count = min(count, math.ceil(int(quota[0]) / int(quota[1])))
    return max(1, count)
