"""What ``edge-iqa eval`` gives back: a JSON document, a table for people, a CSV of predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
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
from edge_iqa.cli.eval_sources import EvalSource

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evaluated:
    """One scorer with its scores and what they were found to be worth."""

    scorer: EvalScorer
    scored: ScoredPictures
    comparison: Comparison

    def document(self) -> dict[str, Any]:
        """Return the scorer, its measures and its failures as they stand in ``eval --json``."""
        return {
            "scorer": self.scorer.description,
            **self.comparison.document(),
            "failed": failure_document(self.scored.errors),
        }


def report_document(source: EvalSource, results: Sequence[Evaluated]) -> dict[str, Any]:
    """Return the document of ``eval --json``: the first scorer at the top, others in a list ``baselines``.

    ``data`` holds the sha256 of the files of labels and one over the names and contents of all pictures that
    the first scorer scored.
    """
    first, *others = results
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": tool_document(),
        "data": {**source.data, "pictures_sha256": first.scored.sha256},
        **first.document(),
        "baselines": [other.document() for other in others],
    }
    if not isinstance(first.comparison.total, PairAccuracy):
        document["bootstrap"] = {"resamples": BOOTSTRAP_RESAMPLES, "seed": BOOTSTRAP_SEED}
    return document


def tool_document() -> dict[str, str]:
    """Return the name and version of this tool."""
    return {"name": "edge-iqa", "version": edge_iqa.__version__}


def as_json(document: dict[str, Any]) -> str:
    """Return a document as indented JSON without NaN."""
    return json.dumps(document, indent=1, allow_nan=False)


def as_table(source: EvalSource, results: Sequence[Evaluated]) -> str:
    """Return the measures as aligned columns below a line that says what was compared.

    Of several scorers, all lines of one subset stand together.
    """
    tables = [result.comparison.table() for result in results]
    if len(results) == 1:
        rows, titles = tables[0], [results[0].scorer.title]
    else:
        names = [result.scorer.name for result in results]
        titles = [result.scorer.title for result in results]
        rows = [["", "scorer", *tables[0][0][1:]]]
        parts = list(dict.fromkeys(row[0] for table in tables for row in table[1:]))
        for part in parts:
            for name, table in zip(names, tables, strict=True):
                rows += [[part, name, *row[1:]] for row in table[1:] if row[0] == part]
    lines = [f"{', '.join(titles)} against {source.name}", *aligned(rows, text_columns=1 + (len(results) > 1))]
    return "\n".join(lines + source.notes)


def aligned(rows: Sequence[Sequence[str]], text_columns: int) -> list[str]:
    """Return lines of cells in columns of equal width, the first ``text_columns`` to the left, others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if column < text_columns else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def write_predictions(stream: TextIO, results: Sequence[Evaluated]) -> None:
    """Write ``file,score`` of every picture that the first scorer scored, with all digits.

    Each baseline has a further column, empty where it could not score a picture.
    """
    first, *others = results
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "score", *(other.scorer.name for other in others)])
    for file, score in first.scored.scores.items():
        writer.writerow([file, score, *(other.scored.scores.get(file, "") for other in others)])
