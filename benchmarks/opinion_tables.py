"""Tables of what people think of pictures: opinion scores, and pairs of a better and a worse picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_iqa.errors import DatasetError


@dataclass(frozen=True)
class Opinion:
    """What people think of one picture; ``file`` is relative to the root of the dataset."""

    file: str
    opinion: float
    subset: str | None = None


@dataclass(frozen=True)
class Pair:
    """Two pictures of one scene, of which people prefer the first."""

    better: str
    worse: str
    kind: str | None = None


def read_opinions(
    table: Path, image_column: str = "file", score_column: str = "mos", subset_column: str | None = None
) -> list[Opinion]:
    """Read a CSV with a header and one picture per line; opinions are finite numbers, higher is better.

    Without ``subset_column``, a column named ``subset`` is used if there is one. Raises DatasetError, with
    the line, for anything that cannot be read, and for a picture that is listed twice.
    """
    wanted = [image_column, score_column] + ([] if subset_column is None else [subset_column])
    opinions: list[Opinion] = []
    first_line: dict[str, int] = {}
    for line, row in _rows(table, wanted):
        file = _text(table, line, row, image_column)
        if file in first_line:
            raise _wrong_line(table, line, f"{file!r} is listed twice, first on line {first_line[file]}")
        first_line[file] = line
        opinion = _number(table, line, row, score_column)
        opinions.append(Opinion(file, opinion, row.get(subset_column or "subset") or None))
    if not opinions:
        raise DatasetError(f"{table} has no lines below its header")
    return opinions


def read_pairs(table: Path) -> list[Pair]:
    """Read a CSV with the columns ``better``, ``worse`` and optionally ``kind``; raises DatasetError."""
    pairs = []
    for line, row in _rows(table, ["better", "worse"]):
        better, worse = _text(table, line, row, "better"), _text(table, line, row, "worse")
        if better == worse:
            raise _wrong_line(table, line, f"{better!r} stands in both columns")
        pairs.append(Pair(better, worse, row.get("kind") or None))
    if not pairs:
        raise DatasetError(f"{table} has no lines below its header")
    return pairs


def pictures_of(rows: Sequence[Opinion] | Sequence[Pair]) -> list[str]:
    """Return every file that ``rows`` name, once, in the order of the table."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys([row.file] if isinstance(row, Opinion) else [row.better, row.worse]))
    return list(names)


def _rows(table: Path, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells of every row; blank lines are skipped."""
    reader = csv.DictReader(io.StringIO(_read_text(table), newline=""), strict=True)
    try:
        header = list(reader.fieldnames or ())
        missing = [name for name in wanted if name not in header]
        if missing:
            raise DatasetError(
                f"{table} has no column {missing[0]!r}",
                why=f"line 1 has: {', '.join(header) or 'nothing'}",
                fix="name the columns with --image-column, --score-column and --subset-column",
            )
        for row in reader:
            if None in row or None in row.values():
                raise _wrong_line(
                    table, reader.line_num, f"it has more or fewer cells than the {len(header)} of the header"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise _wrong_line(table, reader.reader.line_num, f"it is not CSV: {error}") from error


def _read_text(table: Path) -> str:
    try:
        content = table.read_bytes()
    except OSError as error:
        raise DatasetError(f"{table} cannot be opened", why=error.strerror or str(error)) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _wrong_line(table, line, f"it is not UTF-8: {error.reason}") from error


def _text(table: Path, line: int, row: Mapping[str, str], column: str) -> str:
    text = row[column].strip()
    if not text:
        raise _wrong_line(table, line, f"the column {column!r} is empty")
    return text


def _number(table: Path, line: int, row: Mapping[str, str], column: str) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _wrong_line(table, line, f"the column {column!r} holds {row[column]!r}, not a finite number")
    return number


def _wrong_line(table: Path, line: int, why: str) -> DatasetError:
    return DatasetError(f"{table} cannot be read: line {line}", why=why)
