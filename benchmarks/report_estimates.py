"""Estimates as a table and as CSV; each line carries the word ESTIMATE, for nothing in it was measured."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import TextIO

from edge_iqa.benchmarks.report_table import WIDTH, number
from edge_iqa.benchmarks.results import BenchResult, Estimate

_COLUMNS = ("", "device", "target", "precision", "limit ms", "set by", "power mode")
CSV_COLUMNS = tuple(field.name for field in dataclasses.fields(Estimate))


def print_estimates(result: BenchResult, stream: TextIO) -> None:
    """Write the table, a line per device, processor and precision; a dash stands for what is not known."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name == "limit ms" else "left", no_wrap=True)
    for entry in result.estimates:
        table.add_row(
            entry.mark,
            entry.title,
            entry.target,
            entry.precision,
            number(entry.limit_ms),
            _bound(entry),
            entry.power_mode or "-",
        )
    Console(file=stream, width=WIDTH, highlight=False, markup=False, emoji=False).print(table)


def estimate_lines(result: BenchResult) -> list[str]:
    """Return what a person should know besides the table."""
    if not result.estimates:
        return ["ESTIMATE: no known device has such a processor and precision"]
    macs = result.estimates[0].macs
    return [
        f"ESTIMATE: nothing was measured. {result.bundle.name} takes {macs / 1e6:.0f} million multiply-accumulates; "
        "the limit is the time of its layers at the device's peak rates, their data moved once: runtimes take longer",
        "where the peak rates come from: --json FILE, keys basis and source of each estimate",
    ]


def estimate_csv(estimates: Sequence[Estimate]) -> str:
    """Return the CSV file: CSV_COLUMNS, a line per estimate, empty where a value is not known."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(entry) for entry in estimates)
    return stream.getvalue()


def _bound(entry: Estimate) -> str:
    if entry.compute_bound is None:
        return "-"
    return f"arithmetic {entry.compute_bound:.0%}, memory {1 - entry.compute_bound:.0%}"
