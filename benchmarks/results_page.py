"""The page docs/results.md, generated from result files of ``edge-iqa bench --json``.

    python -m edge_iqa.benchmarks.results_page FILE... -o docs/results.md [--store benchmarks/results]

``--store`` keeps a copy of each file without its raw samples; the page is the same from the copies.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from edge_iqa.benchmarks.report_files import json_text
from edge_iqa.benchmarks.report_markdown import (
    ROW_HEAD,
    escaped,
    facts_line,
    machine,
    markdown_table,
    row_cells,
)
from edge_iqa.benchmarks.report_waterfall import HEAD as WATERFALL_HEAD
from edge_iqa.benchmarks.report_waterfall import waterfall_cells
from edge_iqa.benchmarks.result_files import read_result
from edge_iqa.benchmarks.results import BenchResult, Row

_INTRO = """# Results

Generated from the files in `benchmarks/results`: do not edit it by hand. `scripts/results` measures and writes it anew.

Latency is milliseconds from a decoded picture to its score. A percentile is left out where MLPerf's early-stopping rule
asks for more samples. Drift is against the float model on ONNX Runtime; a flip is a picture whose keep and drop are
exchanged at the threshold, and the restoring threshold is the one that keeps as many pictures as the reference does.
A verdict other than VALID has its reasons below the table."""


def results_page(results: Mapping[str, BenchResult]) -> str:
    """Return the page for results by file name, in the order of the names."""
    parts = [_INTRO]
    for name, result in sorted(results.items()):
        parts += _section(name, result)
    return "\n\n".join(parts) + "\n"


def without_samples(result: BenchResult) -> BenchResult:
    """Return the result without the series that make a file large: raw samples and the device's trace."""
    return dataclasses.replace(result, rows=[_without_samples(row) for row in result.rows])


def _without_samples(row: Row) -> Row:
    state = dataclasses.replace(row.device_state, trace=[])
    return dataclasses.replace(row, samples_ms=[], infer_samples_ms=[], device_state=state)


def _section(name: str, result: BenchResult) -> list[str]:
    parts = [
        f"## {escaped(result.bundle.name)} on {escaped(machine(result))}",
        f"{facts_line(result)} File: `{name}`.",
        markdown_table(ROW_HEAD, [row_cells(row) for row in result.rows]),
    ]
    reasons = [f"- {row.label}: {reason}" for row in result.rows for reason in row.reasons]
    if reasons:
        parts.append("\n".join(map(escaped, reasons)))
    throughput = _throughput(result)
    if throughput:
        parts.append(throughput)
    steps = [step for step in result.waterfall if step.not_run is None]
    if steps:
        parts += ["What each step changes:", markdown_table(WATERFALL_HEAD, [waterfall_cells(step) for step in steps])]
    return parts


def _throughput(result: BenchResult) -> str:
    rows = [(row.label, row.throughput) for row in result.rows if row.throughput is not None]
    if not rows:
        return ""
    cells = [
        (label, str(found.streams), str(found.threads_per_stream), f"{found.pictures_per_s:.1f}")
        for label, found in rows
    ]
    return markdown_table(("target", "streams", "threads each", "pictures per second"), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/results.md from result files.")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="a folder for copies without raw samples")
    options = parser.parse_args()
    results = {path.name: read_result(path) for path in options.files}
    if options.store is not None:
        options.store.mkdir(parents=True, exist_ok=True)
        for name, result in results.items():
            (options.store / name).write_text(json_text(without_samples(result)), encoding="utf-8")
    options.output.write_text(results_page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
