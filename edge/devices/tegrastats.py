"""NVIDIA's ``tegrastats``: its lines read, and the program run beside a measurement on a Jetson.

The format is documented per release, with more fields on newer boards:
docs.nvidia.com/jetson/archives/r38.4/DeveloperGuide/AT/JetsonLinuxDevelopmentTools/TegrastatsUtility.html (Thor;
r36.4 in the same place for Orin) and docs.nvidia.com/jetson/archives/l4t-archived/l4t-325 (AppendixTegraStats,
for Xavier). Fields this module does not know are passed over; a line that is not one of tegrastats gives None.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from types import TracebackType

_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
# 'CPU [3%@1904,off]', or one clock for all behind the bracket
_CPUS = re.compile(r"\bCPU \[([^\]]*)\](?:@(\d+))?")
_CPU = re.compile(r"(\d+)%(?:@(\d+))?")
# '0%', '99%@1300', '99%@[1300]', a clock for each cluster, and on Thor no load: '@[314,314,314]'
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+(?:,\d+)*)\]?)?")
_MEMORY = re.compile(r"\bEMC_FREQ (?:\d+%)?@(\d+)")
# 'tj@53.5C', since L4T 39 with the peak: 'tj@53.5C/60.1C'
_TEMPERATURE = re.compile(r"(?<!\S)([A-Za-z]\w*)@(-?\d+(?:\.\d+)?)C(?=[/\s]|$)")
# 'VDD_IN 5079mW/5079mW' (now/mean), without the unit on Xavier, with the peak as third since L4T 39
_RAIL = re.compile(r"(?<!\S)(V(?:DD|IN)\w*|POM_\w+) (-?\d+)(?:mW)?(?=[/\s]|$)")
_OFF_C = -200.0  # a zone without power reads -256


@dataclass(frozen=True)
class TegrastatsReading:
    """One line: MB, percent, MHz, degrees Celsius by zone, watts by rail; None where the line does not tell."""

    ram_used_mb: int
    ram_total_mb: int
    cpu_load_percent: float | None
    cpu_mhz: float | None
    gpu_load_percent: float | None
    gpu_mhz: float | None
    memory_mhz: float | None
    temperatures_c: dict[str, float]
    rails_w: dict[str, float]


def parse_line(line: str) -> TegrastatsReading | None:
    """Return what a line of tegrastats says, or None where it is another kind of line."""
    memory = _RAM.search(line)
    if memory is None:
        return None
    listed = _CPUS.search(line)
    processors = _CPU.findall(listed[1]) if listed else []
    clocks = [clock or listed[2] for _, clock in processors] if listed else []
    gpu = _GPU.search(line)
    controller = _MEMORY.search(line)
    clusters = [float(clock) for clock in gpu[2].split(",")] if gpu and gpu[2] else []
    temperatures = {name: float(value) for name, value in _TEMPERATURE.findall(line)}
    return TegrastatsReading(
        ram_used_mb=int(memory[1]),
        ram_total_mb=int(memory[2]),
        cpu_load_percent=_mean([float(load) for load, _ in processors]),
        cpu_mhz=_mean([float(clock) for clock in clocks if clock]),
        gpu_load_percent=float(gpu[1]) if gpu and gpu[1] else None,
        gpu_mhz=max(clusters, default=None),
        memory_mhz=float(controller[1]) if controller else None,
        temperatures_c={
            name: value
            for name, value in temperatures.items()
            if value > _OFF_C and name != "PMIC"  # the regulator's zone is a constant 100 or 50
        },
        rails_w={name: float(now) / 1e3 for name, now in _RAIL.findall(line)},
    )


class TegrastatsStream:
    """``tegrastats`` run beside a measurement; ``latest`` is its last line, None without the program."""

    def __init__(self, interval_ms: int = 1000) -> None:
        self.latest: TegrastatsReading | None = None
        self._interval_ms = interval_ms
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> TegrastatsStream:
        program = shutil.which("tegrastats")
        if program is not None:
            with contextlib.suppress(OSError):  # then there are no readings, which is no reason to stop
                self._process = subprocess.Popen(
                    [program, "--interval", str(self._interval_ms)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    errors="replace",
                )
                self._reader = threading.Thread(target=self._read, daemon=True)
                self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None or self._reader is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.latest = parse_line(line) or self.latest


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
