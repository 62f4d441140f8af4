"""A benchmark's result as a table for a terminal: plain ASCII, at most 120 columns, and advice below it."""

from __future__ import annotations

from typing import TextIO

from edge_iqa.benchmarks.results import BenchResult, Row
from edge_iqa.benchmarks.sampling import samples_needed

WIDTH = 120
_COLUMNS = (
    ("target", "left"),
    ("", "left"),
    ("p50 ms", "right"),
    ("p90", "right"),
    ("p99", "right"),
    ("decode/resize/infer", "right"),
    ("MB", "right"),
    ("SROCC", "right"),
    ("MAE", "right"),
    ("max", "right"),
    ("flips", "right"),
    ("verdict", "left"),
)


def print_table(result: BenchResult, stream: TextIO) -> None:
    """Write the table, a line per target; a dash stands for what is not known or has too few samples."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name, side in _COLUMNS:
        table.add_column(name, justify="left" if side == "left" else "right", no_wrap=True)
    for row in result.rows:
        table.add_row(*cells(row))
    console = Console(file=stream, width=WIDTH, highlight=False, markup=False, emoji=False)
    console.print(table)


def cells(row: Row) -> list[str]:
    """Return the cells of one row."""
    stages, drift = row.stages_ms, row.drift
    return [
        row.target,
        row.precision,
        number(row.latency_ms.p50),
        number(row.latency_ms.p90),
        number(row.latency_ms.p99),
        "-" if stages is None else "/".join(number(ms) for ms in (stages.decode, stages.resize, stages.infer)),
        "-" if row.size_bytes is None else f"{row.size_bytes / 1e6:.1f}",
        "-" if drift is None or drift.srcc is None else f"{drift.srcc:.4f}",
        "-" if drift is None else f"{drift.mae:.4f}",
        "-" if drift is None else f"{drift.max_abs:.4f}",
        "-" if drift is None else f"{drift.flips}/{drift.n}",
        row.verdict,
    ]


def advice_lines(result: BenchResult) -> list[str]:
    """Return what a person should know besides the table: a line of reasons and advice per row, and notes."""
    lines = []
    for row in result.rows:
        reasons = " ".join("; ".join(row.reasons).split())
        lines.append(f"{row.label}: {reasons + ' -> ' if reasons else ''}{row.advice}")
    drifts = [row.drift for row in result.rows if row.drift is not None]
    if drifts:
        lines.append(
            f"drift is against {drifts[0].reference} on {drifts[0].n} pictures; "
            f"a flip is keep/drop exchanged at threshold {drifts[0].threshold:.4f}"
        )
    if any(row.latency_ms.n and row.latency_ms.p99 is None for row in result.rows):
        lines.append(f"p99 needs {samples_needed(99)} samples (MLPerf's rule): --mode normal takes them")
    load, cpus = result.host.load_average, result.host.cpus
    if load is not None and load > 0.5 * cpus:
        lines.append(f"other work was running: load average {load:.1f} on {cpus} CPUs before the start")
    return lines


def number(value: float | None) -> str:
    """Return a time with about three digits, or a dash."""
    if value is None:
        return "-"
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
