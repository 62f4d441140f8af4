"""What this machine is: system, processor, board and Python, read from files that may not be there."""

from __future__ import annotations

import platform
import re
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from edge_iqa.backends.tensorrt_engine import l4t_release
from edge_iqa.devices.proc import first_value, read_lines
from edge_iqa.doctor_jetpack import jetpack_of

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class PythonFacts:
    """This Python: version, whether it is a virtual environment, whether pip may write to it, and its libc.

    ``libc`` is such as ``glibc 2.35``, ``musl``, or empty where it is neither (Windows, macOS).
    """

    version: str
    prefix: str
    virtual: bool
    sees_system_packages: bool
    externally_managed: bool
    libc: str


@dataclass(frozen=True)
class Machine:
    """The machine; None where the system does not tell. ``l4t`` is ``none`` where this is not a Jetson."""

    system: str
    distribution: str | None
    architecture: str
    cpu_model: str | None
    cpu_flags: list[str]
    memory_mb: int | None
    board: str | None
    l4t: str
    jetpack: str | None
    nvidia_driver: str | None
    python: PythonFacts = field(default_factory=lambda: read_python())

    @property
    def is_jetson(self) -> bool:
        return self.l4t != "none" or "jetson" in (self.board or "").lower()


def read_machine(root: Path = Path("/"), python: PythonFacts | None = None, architecture: str = "") -> Machine:
    """Read the facts; ``root`` is the folder that stands for ``/``, the others replace what this Python says."""
    processor = read_lines(root / "proc" / "cpuinfo")
    flags = (first_value(processor, ("flags", "Features")) or "").split()
    memory = re.search(r"\d+", first_value(read_lines(root / "proc" / "meminfo"), ("MemTotal",)) or "")
    release = l4t_release(root / "etc" / "nv_tegra_release")
    jetpack = jetpack_of(release)
    driver = re.search(
        r"Module\s+(?:for \S+\s+)?(\d+[\d.]*)", " ".join(read_lines(root / "proc/driver/nvidia/version"))
    )
    board = " ".join(read_lines(root / "proc" / "device-tree" / "model")).strip("\0 ")
    return Machine(
        system=platform.system(),
        distribution=_distribution(root),
        architecture=architecture or platform.machine(),
        cpu_model=first_value(processor, ("model name", "Model", "Hardware")),
        cpu_flags=[flag for flag in _FLAGS if flag in flags],
        memory_mb=int(memory[0]) // 1024 if memory else None,
        board=board or None,
        l4t=release,
        jetpack=jetpack.name if jetpack else None,
        nvidia_driver=driver[1] if driver else None,
        python=python or read_python(),
    )


def read_python() -> PythonFacts:
    """Return the facts of the Python that runs this."""
    settings = read_lines(Path(sys.prefix, "pyvenv.cfg"))
    shared = (_assigned(settings, "include-system-site-packages") or "false").lower() == "true"
    virtual = sys.prefix != sys.base_prefix
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    name, version = platform.libc_ver()
    libc = f"{name} {version}".strip()
    if not libc and platform.system() == "Linux":
        libc = "musl"
    return PythonFacts(
        version=platform.python_version(),
        prefix=sys.prefix,
        virtual=virtual,
        sees_system_packages=shared or not virtual,
        externally_managed=marker.exists() and not virtual,
        libc=libc,
    )


def _distribution(root: Path) -> str | None:
    for place in (root / "etc" / "os-release", root / "usr" / "lib" / "os-release"):
        name = _assigned(read_lines(place), "PRETTY_NAME")
        if name:
            return name.strip("\"'")
    return None


def _assigned(lines: list[str], key: str) -> str | None:
    for line in lines:
        name, sign, value = line.partition("=")
        if sign and name.strip() == key:
            return value.strip()
    return None
