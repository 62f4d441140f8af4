"""Device profiles: what the hardware of a known device can do at best, each number with its public source.

The rates are peaks for dense arithmetic (no structured sparsity, which doubles the figures of NVIDIA's data
sheets), in the fastest power mode. One multiply-accumulate counts as two operations.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from edge_iqa.errors import InvalidInput
from edge_iqa.spec import from_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_VERSION = 1
PROCESSOR_KINDS = ("cpu", "gpu", "dla")


@dataclass(frozen=True)
class Processor:
    """One processor of a device: peak rates in tera-operations per second; None where it cannot or is not known.

    With ``per_core_and_ghz`` the rates are of one core at 1 GHz, in giga-operations, and the machine's own
    cores and clock are to be multiplied in. ``fallback`` names the processor that takes layers of a type this
    one cannot do. ``basis`` says in words how the figures come from ``source``.
    """

    kind: str
    basis: str
    source: str
    int8_tops: float | None = None
    fp16_tops: float | None = None
    fp32_tops: float | None = None
    cores: int | None = None
    per_core_and_ghz: bool = False
    fallback: str | None = None

    def tops(self, precision: str) -> float | None:
        """Return the peak rate for ``int8``, ``fp16`` or ``fp32``; float32's where half precision has none."""
        rates = {"int8": self.int8_tops, "fp16": self.fp16_tops or self.fp32_tops, "fp32": self.fp32_tops}
        return rates[precision]


@dataclass(frozen=True)
class DeviceProfile:
    """A kind of device. ``board`` are parts of its name in the device tree, ``cpu`` parts of the CPU's name.

    ``flags`` must and ``without_flags`` must not be among the processor's. ``memory_gb_s`` is the peak
    bandwidth in 10^9 bytes per second.
    """

    schema_version: int
    name: str
    title: str
    processors: tuple[Processor, ...]
    memory_gb_s: float | None = None
    memory_source: str | None = None
    power_mode: str | None = None
    board: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    without_flags: tuple[str, ...] = ()

    def processor(self, kind: str) -> Processor | None:
        """Return the processor of a kind, or None."""
        return next((processor for processor in self.processors if processor.kind == kind), None)

    @property
    def is_generic(self) -> bool:
        """Whether the profile is of a kind of core, not of a device: it has no times of its own."""
        return any(processor.per_core_and_ghz for processor in self.processors)


@functools.cache
def load_profiles() -> tuple[DeviceProfile, ...]:
    """Return all profiles, by name; raises InvalidInput where one of them is broken."""
    folder = resources.files("edge_iqa.devices").joinpath("profiles")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return tuple(read_profile(tomllib.loads(entry.read_text(encoding="utf-8")), entry.name) for entry in files)


def read_profile(document: dict[str, Any], where: str) -> DeviceProfile:
    """Return the profile that a TOML document holds; raises InvalidInput, naming ``where``."""
    profile = from_document(DeviceProfile, document, where)
    if profile.schema_version != SCHEMA_VERSION:
        raise InvalidInput(f"{where} has schema_version {profile.schema_version}", why=f"this reads {SCHEMA_VERSION}")
    for processor in profile.processors:
        if processor.kind not in PROCESSOR_KINDS:
            raise InvalidInput(f"{where}: there is no kind of processor {processor.kind!r}")
    return profile


def detect_profile(board: str | None, cpu: str | None, flags: Sequence[str]) -> DeviceProfile | None:
    """Return the profile of a machine by the board's name, else by that of its processor, else by its flags.

    The longest fitting name wins, so that ``Jetson AGX Orin`` is not ``Jetson Orin``. None where none fits.
    """
    profiles = load_profiles()
    for names_of, name in ((_boards, board), (_cpus, cpu)):
        fitting = [
            (len(part), profile)
            for profile in profiles
            for part in names_of(profile)
            if name is not None and part.lower() in name.lower()
        ]
        if fitting:
            return max(fitting, key=lambda entry: entry[0])[1]
    if board is not None:
        return None  # a board that is not known, whatever its processor
    for profile in profiles:
        if profile.flags and set(profile.flags) <= set(flags) and not set(profile.without_flags) & set(flags):
            return profile
    return None


def _boards(profile: DeviceProfile) -> tuple[str, ...]:
    return profile.board


def _cpus(profile: DeviceProfile) -> tuple[str, ...]:
    return profile.cpu
