"""What ``edge-iqa verify`` prints: a table for people, a versioned document for machines."""

from __future__ import annotations

import dataclasses
from typing import Any

import edge_iqa
from edge_iqa.bundle import Bundle
from edge_iqa.verify import TargetRow, TensorRow, Verification

SCHEMA_VERSION = 1


def verification_document(bundle: Bundle, found: Verification) -> dict[str, Any]:
    """Return the JSON document: bundle, verdict, a row per tensor and per runtime."""
    recommended = found.recommended()
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": f"edge-iqa {edge_iqa.__version__}",
        "bundle": {"name": bundle.manifest.name, "file": bundle.path.name, "sha256": bundle.sha256},
        "passed": found.passed,
        "fault": found.fault() or None,
        "recommended": None if recommended is None else f"{recommended.backend} {recommended.precision}",
        "tensors": [{"picture": row.picture, **dataclasses.asdict(row.check)} for row in found.tensors],
        "targets": [dataclasses.asdict(row) for row in found.targets],
    }


def verification_table(bundle: Bundle, found: Verification) -> str:
    """Return the lines for people."""
    lines = [f"{bundle.path.name}: {len(bundle.manifest.files)} files, all as the manifest says"]
    lines += ["", "input tensors      status     max levels   mean off by"]
    lines += [_tensor_line(row) for row in found.tensors]
    lines += ["", "runtime        precision  status   max off   allowed   load ms   score ms  version"]
    lines += [_target_line(row) for row in found.targets if row.status != "absent"]
    absent: dict[tuple[str, str | None], list[str]] = {}
    for row in found.targets:
        if row.status == "absent":
            absent.setdefault((row.backend, row.reason), []).append(row.precision)
    lines += [f"{name:<14} {','.join(kinds)}: absent, {reason}" for (name, reason), kinds in absent.items()]
    recommended = found.recommended()
    lines.append("")
    if recommended is not None:
        lines.append(f"fastest that passes: {recommended.backend} {recommended.precision} (edge-iqa bench measures)")
    lines.append("PASS" if found.passed else f"MISS - {found.fault()}")
    return "\n".join(lines)


def _tensor_line(row: TensorRow) -> str:
    levels = "-" if row.check.max_levels is None else str(row.check.max_levels)
    return f"{row.picture:<18} {row.check.status:<10} {levels:>10} {row.check.mean_difference:>13.4f}"


def _target_line(row: TargetRow) -> str:
    start = f"{row.backend:<14} {row.precision:<10} {row.status:<7}"
    if row.max_difference is None:
        return f"{start}  {row.reason}"
    numbers = f"{row.max_difference:>8.4f} {row.tolerance:>9.4f} {row.load_ms:>9.0f} {row.median_ms:>10.1f}"
    return f"{start} {numbers}  {row.version}"
