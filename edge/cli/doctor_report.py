"""What ``edge-iqa doctor`` prints: tables for people, a versioned document for machines."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

import edge_iqa
from edge_iqa.doctor import Diagnosis, Target

SCHEMA_VERSION = 1
_WIDTH = 110


def diagnosis_document(found: Diagnosis, device: str | None = None) -> dict[str, Any]:
    """Return the JSON document; ``device`` is what ``--device`` asked for."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": f"edge-iqa {edge_iqa.__version__}",
        "machine": dataclasses.asdict(found.machine),
        "runtimes": {name: dataclasses.asdict(probe) for name, probe in found.probes.items()},
        "targets": [dataclasses.asdict(target) for target in found.targets],
        "tasks": [dataclasses.asdict(target) for target in found.tasks],
        "notes": list(found.notes),
        "device": None if device is None else {"name": device, "present": found.present(device)},
    }


def diagnosis_table(found: Diagnosis, device: str | None = None) -> str:
    """Return the lines for people."""
    machine, python = found.machine, found.machine.python
    place = "virtual environment" if python.virtual else "system"
    facts = {
        "edge-iqa": edge_iqa.__version__,
        "system": f"{machine.distribution or machine.system}, {machine.architecture}, {python.libc or 'own libc'}",
        "processor": machine.cpu_model or "not told",
        "int8 help": " ".join(machine.cpu_flags) or "none of the known instructions",
        "memory": "not told" if machine.memory_mb is None else f"{machine.memory_mb} MiB",
        "python": f"{python.version} ({place} {python.prefix})",
    }
    if machine.is_jetson:
        facts["jetson"] = f"{machine.board or 'board not told'}, L4T {machine.l4t}, JetPack {machine.jetpack or '?'}"
    if machine.nvidia_driver:
        facts["nvidia"] = f"driver {machine.nvidia_driver}"
    lines = [f"{name:<11} {value}" for name, value in facts.items()]
    lines += ["", "scores on", *_rows(found.targets), "", "other work", *_rows(found.tasks)]
    if found.notes:
        lines += ["", "notes"]
        for note in found.notes:
            lines += textwrap.wrap(note, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    if device is not None:
        lines += ["", f"{device}: {'can' if found.present(device) else 'cannot'} be used here"]
    return "\n".join(lines)


def _rows(targets: tuple[Target, ...]) -> list[str]:
    lines: list[str] = []
    before = ("", "")
    for target in targets:
        mark = "yes" if target.present else "no"
        lines.append(f"  {mark:<3} {target.name:<21} {target.version or ''}".rstrip())
        if target.why and (target.why, target.mend) == before:
            lines[-1] += " (as above)"
            continue
        before = (target.why, target.mend)
        for label, text in (("why", target.why), ("mend", target.mend)):
            if text:
                indent = " " * 12
                lines += textwrap.wrap(
                    f"{label}: {text}", _WIDTH, initial_indent=" " * 6, subsequent_indent=indent,
                    break_on_hyphens=False, break_long_words=False,
                )  # fmt: skip
    return lines
