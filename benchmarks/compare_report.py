"""A comparison of two results as a table for a terminal and as JSON."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from typing import Any, TextIO

from edge_iqa.benchmarks.compare import ResultComparison, RowChange
from edge_iqa.benchmarks.report_table import WIDTH, number
from edge_iqa.benchmarks.results import BenchResult

SCHEMA_VERSION = 1
_COLUMNS = ("target", "A p50 ms", "B p50 ms", "B/A", "95 % interval", "SROCC", "MAE", "max", "flips", "verdict")
_DECIMALS = 7


def print_comparison(comparison: ResultComparison, stream: TextIO) -> None:
    """Write a line per target; drift columns are B minus A, a dash stands for what cannot be compared."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("target", "verdict") else "right", no_wrap=True)
    for row in comparison.rows:
        table.add_row(*_cells(row))
    Console(file=stream, width=WIDTH, highlight=False, markup=False, emoji=False).print(table)


def comparison_text(comparison: ResultComparison, a: BenchResult, b: BenchResult) -> str:
    """Return the JSON document; its schema is ``compare_schema()``."""
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "a": _side(a),
        "b": _side(b),
        "differences": comparison.differences,
        "rows": [_rounded(dataclasses.asdict(row)) for row in comparison.rows],
        "regressions": comparison.regressions,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def compare_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document."""
    text = resources.files("edge_iqa.benchmarks").joinpath("compare.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def _cells(row: RowChange) -> list[str]:
    latency, drift = row.latency, row.drift
    before, after = row.verdict
    return [
        row.label,
        *map(number, row.p50_ms),
        "-" if latency is None else f"{latency.ratio:.3f}",
        "-" if latency is None else f"{latency.low:.3f}-{latency.high:.3f}",
        "-" if drift is None or drift.srcc is None else f"{drift.srcc:+.4f}",
        "-" if drift is None else f"{drift.mae:+.4f}",
        "-" if drift is None else f"{drift.max_abs:+.4f}",
        "-" if drift is None else f"{drift.flips:+d}",
        (before if before == after else f"{before or '-'} > {after or '-'}") or "-",
    ]


def _side(result: BenchResult) -> dict[str, str]:
    host = result.host
    return {
        "created_utc": result.created_utc,
        "machine": host.board or host.cpu_model or host.architecture,
        "bundle_sha256": result.bundle.sha256,
        "pictures_sha256": result.images.sha256,
        "tool_version": result.tool.version,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return round(value, _DECIMALS) if isinstance(value, float) else value
