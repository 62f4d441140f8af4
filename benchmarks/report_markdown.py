"""A benchmark's result as Markdown: the table, reasons, the waterfall, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from edge_iqa.benchmarks.report_table import number
from edge_iqa.benchmarks.report_waterfall import HEAD as WATERFALL_HEAD
from edge_iqa.benchmarks.report_waterfall import waterfall_cells
from edge_iqa.benchmarks.results import BenchResult, Row

ROW_HEAD = (
    "target",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "cold ms",
    "RSS MB",
    "SROCC",
    "max drift",
    "flips",
    "restoring threshold",
    "verdict",
)


def markdown_text(result: BenchResult) -> str:
    """Return the report; a dash stands for what is not known or has too few samples."""
    title = f"{result.bundle.name} on {machine(result)}" if result.rows else f"{result.bundle.name}: estimates"
    parts = [f"# {escaped(title)}"]
    if result.rows:
        parts += [
            facts_line(result),
            "## Rows",
            markdown_table(ROW_HEAD, [row_cells(row) for row in result.rows]),
            *_reasons(result.rows),
        ]
    done = [step for step in result.waterfall if step.not_run is None]
    if done:
        cells = [waterfall_cells(step) for step in done]
        parts += ["## Where the score changes", markdown_table(WATERFALL_HEAD, cells)]
        parts += _not_run(result)
    if result.estimates:
        parts += ["## Estimates: nothing here was measured", _estimates(result)]
    return "\n\n".join(parts) + "\n"


def row_cells(row: Row) -> list[str]:
    """Return the cells of one row under ROW_HEAD."""
    latency, drift = row.latency_ms, row.drift
    restored = None if drift is None else drift.restoring_threshold
    return [
        row.label,
        *map(number, (latency.p50, latency.p90, latency.p99)),
        "-" if row.cold_ms is None else number(row.cold_ms.load + row.cold_ms.first),
        number(row.peak_rss_mb),
        "-" if drift is None or drift.srcc is None else f"{drift.srcc:.4f}",
        "-" if drift is None else f"{drift.max_abs:.4f}",
        "-" if drift is None else f"{drift.flips}/{drift.n}",
        "-" if restored is None else f"{restored:.4f}",
        row.verdict,
    ]


def machine(result: BenchResult) -> str:
    """Return what the machine is called."""
    host = result.host
    name = host.board or host.cpu_model or host.architecture
    return name if result.remote is None else f"{result.remote.name} ({name})"


def facts_line(result: BenchResult) -> str:
    """Return one paragraph on how the numbers came about."""
    settings, runtimes = result.settings, {row.runtime: row.runtime_version for row in result.rows}
    cpus = f"{result.host.cpus} CPUs" + (f" ({', '.join(result.host.cpu_flags)})" if result.host.cpu_flags else "")
    facts = [
        f"{result.created_utc[:10]}",
        f"edge-iqa {result.tool.version}",
        f"bundle {result.bundle.sha256[:12]}",
        f"{result.images.n} pictures ({result.images.source}, {result.images.sha256[:12]})",
        f"mode {settings.plan.mode}",
        f"{settings.threads} thread{'' if settings.threads == 1 else 's'} of {cpus}",
        *(f"{name} {version}" for name, version in runtimes.items() if version is not None),
    ]
    if result.host.load_average is not None:
        facts.append(f"load average {result.host.load_average:.2f} before the start")
    return escaped("; ".join(facts) + ".")


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; what is in a cell is shown as it is."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Return text in which nothing is markup: on one line, with the marks that begin any escaped."""
    flat = " ".join(text.split())
    for mark in "\\|<>*`[]":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def _not_run(result: BenchResult) -> list[str]:
    lines = [f"- not run: {step.title} ({step.not_run})" for step in result.waterfall if step.not_run is not None]
    return ["\n".join(map(escaped, lines))] if lines else []


def _reasons(rows: Sequence[Row]) -> list[str]:
    lines = [f"- {row.label}: {reason}" for row in rows for reason in row.reasons]
    return ["\n".join(map(escaped, lines))] if lines else []


def _estimates(result: BenchResult) -> str:
    head = ("", "device", "target", "precision", "limit ms")
    rows = [
        (entry.mark, entry.title, entry.target, entry.precision, number(entry.limit_ms)) for entry in result.estimates
    ]
    return markdown_table(head, rows)
