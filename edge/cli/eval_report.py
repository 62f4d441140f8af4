"""What ``edge-iqa eval`` gives back: a JSON document, a table for people, a CSV of predictions."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any, TextIO

import edge_iqa
from edge_iqa.benchmarks.opinion import (
    BOOTSTRAP_RESAMPLES,
    BOOTSTRAP_SEED,
    Comparison,
    PairAccuracy,
    ScoredPictures,
    failure_document,
)
from edge_iqa.cli.eval_scorers import EvalScorer

SCHEMA_VERSION = 1


def report_document(scorer: EvalScorer, table: Path, scored: ScoredPictures, comparison: Comparison) -> dict[str, Any]:
    """Return the document of ``eval --json``: what was scored with what, what was measured, what failed.

    ``data`` holds the sha256 of the table and one over the names and contents of all scored pictures.
    """
    table_sha256 = hashlib.sha256(table.read_bytes()).hexdigest()
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "edge-iqa", "version": edge_iqa.__version__},
        "scorer": scorer.description,
        "data": {"table": table.name, "sha256": table_sha256, "pictures_sha256": scored.sha256},
        **comparison.document(),
        "failed": failure_document(scored.errors),
    }
    if not isinstance(comparison.total, PairAccuracy):
        document["bootstrap"] = {"resamples": BOOTSTRAP_RESAMPLES, "seed": BOOTSTRAP_SEED}
    return document


def as_json(document: dict[str, Any]) -> str:
    """Return a document as indented JSON without NaN."""
    return json.dumps(document, indent=1, allow_nan=False)


def as_table(scorer: EvalScorer, table: Path, comparison: Comparison) -> str:
    """Return the measures as aligned columns below a line that says what was compared."""
    rows = comparison.table()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{scorer.title} against {table.name}"]
    for name, *cells in rows:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([f"{name:<{widths[0]}}", *aligned]))
    if isinstance(comparison.total, PairAccuracy):
        lines.append("right: the better picture has the higher score; a tie counts as wrong")
    return "\n".join(lines)


def write_predictions(stream: TextIO, scored: ScoredPictures) -> None:
    """Write ``file,score`` of every scored picture, with all digits; pictures that failed have no line."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "score"])
    writer.writerows(scored.scores.items())
