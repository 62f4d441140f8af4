"""A benchmark's result as JSON (everything), as CSV (a line per target), and the schema of the JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from importlib import resources
from pathlib import Path
from typing import Any

from edge_iqa.benchmarks.results import BenchResult, Row

CSV_COLUMNS = (
    "target",
    "runtime",
    "runtime_version",
    "precision",
    "threads",
    "n",
    "min_ms",
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "decode_ms",
    "resize_ms",
    "infer_ms",
    "post_ms",
    "end_to_end_ms",
    "load_ms",
    "first_ms",
    "peak_rss_mb",
    "size_bytes",
    "variation",
    "trend",
    "waited",
    "drift_n",
    "srcc",
    "plcc",
    "mae",
    "max_abs",
    "flips",
    "threshold",
    "distinct_levels",
    "kept_reference",
    "kept",
    "restoring_threshold",
    "flips_restored",
    "limit_ms",
    "limit_share",
    "energy_mj",
    "pictures_per_s",
    "verdict",
    "reasons",
)


def json_document(result: BenchResult) -> dict[str, Any]:
    """Return the result as plain data, with ``~`` wherever a message holds the user's home folder."""
    text = json.dumps(dataclasses.asdict(result), allow_nan=False)
    home = json.dumps(str(Path.home()))[1:-1]
    document: dict[str, Any] = json.loads(text.replace(home, "~") if len(home) > 1 else text)
    return document


def json_text(result: BenchResult) -> str:
    """Return the JSON file: a key a line, long series of numbers on one line."""
    document = json_document(result)
    rows = document.pop("rows")
    head = json.dumps(document, indent=1)[:-2]
    return f'{head},\n "rows": [{",".join(_row_text(row) for row in rows)}\n ]\n}}\n'


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document."""
    text = resources.files("edge_iqa.benchmarks").joinpath("bench.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def csv_text(result: BenchResult) -> str:
    """Return the CSV file: CSV_COLUMNS, a line per target, empty where a value is not known."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_values(row) for row in result.rows)
    return stream.getvalue()


def _row_text(row: dict[str, Any]) -> str:
    entries = [f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in row.items()]
    return "\n  {\n" + ",\n".join(entries) + "\n  }"


def _csv_values(row: Row) -> dict[str, object]:
    values: dict[str, object] = {
        "target": row.target,
        "runtime": row.runtime,
        "runtime_version": row.runtime_version,
        "precision": row.precision,
        "threads": row.threads,
        "peak_rss_mb": row.peak_rss_mb,
        "size_bytes": row.size_bytes,
        "limit_ms": row.roofline.limit_ms,
        "limit_share": row.roofline.share,
        "energy_mj": row.energy_mj,
        "pictures_per_s": None if row.throughput is None else row.throughput.pictures_per_s,
        "verdict": row.verdict,
        "reasons": "; ".join(row.reasons),
        **dataclasses.asdict(row.stability),
    }
    for key, value in dataclasses.asdict(row.latency_ms).items():
        values[key if key == "n" else f"{key}_ms"] = value
    for times in (row.stages_ms, row.cold_ms):
        if times is not None:
            values |= {f"{key}_ms": value for key, value in dataclasses.asdict(times).items()}
    if row.drift is not None:
        drift = dataclasses.asdict(row.drift)
        del drift["reference"]
        values["drift_n"] = drift.pop("n")
        values |= drift
    return values
