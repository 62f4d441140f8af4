"""Rows of ``edge-iqa score`` and how they are written: a table for people, CSV, JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TextIO

from edge_iqa.errors import EdgeIqaError
from edge_iqa.scorer import Score


@dataclass(frozen=True)
class ScoreRow:
    """One picture: its score, or the error that it met instead."""

    path: str
    score: float | None
    width: int | None
    height: int | None
    latency_ms: float | None
    error: EdgeIqaError | None

    @classmethod
    def from_score(cls, path: str, score: Score) -> ScoreRow:
        return cls(path, score.value, score.width, score.height, score.latency_ms, None)


class RowWriter(Protocol):
    """Writes rows as they come."""

    def row(self, row: ScoreRow) -> None: ...

    def close(self) -> None: ...


class TableWriter:
    """A line per picture, score first, and a line of totals."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.scores: list[float] = []
        stream.write("score   size         ms      path   (score 0..1, higher is better)\n")

    def row(self, row: ScoreRow) -> None:
        if row.score is None or row.latency_ms is None:
            error = row.error.as_dict() if row.error else {"code": "", "message": ""}
            self.stream.write(f"{error['code']:<6}  {'-':<11} {'-':>7}  {row.path}   {error['message']}\n")
            return
        self.scores.append(row.score)
        size = f"{row.width}x{row.height}"
        self.stream.write(f"{row.score:.4f}  {size:<11} {row.latency_ms:7.1f}  {row.path}\n")

    def close(self) -> None:
        if len(self.scores) > 1:
            ordered = sorted(self.scores)
            marks = {"lowest": ordered[0], "median": median(ordered), "highest": ordered[-1]}
            text = ", ".join(f"{name} {score:.4f}" for name, score in marks.items())
            self.stream.write(f"{len(ordered)} scored: {text}\n")


class CsvWriter:
    """Columns path, score, width, height, latency_ms, error_code, error."""

    def __init__(self, stream: TextIO) -> None:
        self.writer = csv.writer(stream, lineterminator="\n")
        self.writer.writerow(["path", "score", "width", "height", "latency_ms", "error_code", "error"])

    def row(self, row: ScoreRow) -> None:
        error = row.error.as_dict() if row.error else {"code": "", "message": ""}
        score = "" if row.score is None else f"{row.score:.6f}"
        latency = "" if row.latency_ms is None else f"{row.latency_ms:.3f}"
        cells = [row.path, score, row.width, row.height, latency, error["code"], error["message"]]
        self.writer.writerow(cells)

    def close(self) -> None:
        pass


class JsonLinesWriter:
    """One JSON object per line: path, score, width, height, latency_ms, error (null or code and message)."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def row(self, row: ScoreRow) -> None:
        document = {
            "path": row.path,
            "score": None if row.score is None else round(row.score, 6),
            "width": row.width,
            "height": row.height,
            "latency_ms": None if row.latency_ms is None else round(row.latency_ms, 3),
            "error": None if row.error is None else row.error.as_dict(),
        }
        self.stream.write(json.dumps(document) + "\n")

    def close(self) -> None:
        pass


ROW_WRITERS: dict[str, Callable[[TextIO], RowWriter]] = {
    "table": TableWriter,
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
}
