"""Reading the files that datasets keep their scores in: MATLAB matrices, workbooks, tables, lines of text.

MATLAB files are read by scipy and workbooks by openpyxl (values only, formulas are not evaluated); neither runs
anything that the file holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.datasets.base import DatasetFacts, expected
from edge_iqa.benchmarks.opinion_tables import Opinion, read_opinions
from edge_iqa.errors import DatasetError, DatasetLayout
from edge_iqa.lazy import need

EXTRA = "datasets"


def read_matrix(facts: DatasetFacts, path: Path, variable: str) -> NDArray[Any]:
    """Return one variable of a ``.mat`` file (version 5, as these sets are published), flattened."""
    need("scipy", EXTRA)
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # scipy's errors for broken files have no common base
        raise DatasetLayout(f"{path} cannot be read as a MATLAB file", why=str(error), fix=expected(facts)) from error
    if variable not in content:
        found = ", ".join(name for name in content if not name.startswith("__"))
        raise DatasetLayout(f"{path} has no variable {variable!r}", why=f"it holds {found or 'nothing'}")
    return np.asarray(content[variable]).reshape(-1)


def finite(path: Path, what: str, value: Any) -> float:
    """Return a number of a label file; raises DatasetLayout for anything that is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise DatasetLayout(f"{path} has {value!r} as the score of {what}", why="it is not a finite number")
    return number


def read_workbook(
    facts: DatasetFacts, path: Path, sheet: str | None, columns: tuple[str, ...]
) -> Iterator[Mapping[str, Any]]:
    """Yield a row per picture of an ``.xlsx`` file, below the line that holds all ``columns``.

    ``sheet`` None means the first. A row whose first column is empty is none.
    """
    need("openpyxl", EXTRA)
    import openpyxl

    try:
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list((workbook.worksheets[0] if sheet is None else workbook[sheet]).iter_rows(values_only=True))
        workbook.close()
    except Exception as error:  # openpyxl passes on whatever its parts raise
        raise DatasetLayout(f"{path} cannot be read as a workbook", why=str(error), fix=expected(facts)) from error
    start = next((index for index, row in enumerate(rows) if set(columns) <= set(row)), None)
    if start is None:
        raise DatasetLayout(f"{path} has no line with the columns {', '.join(columns)}", why=expected(facts))
    positions = {column: rows[start].index(column) for column in columns}
    for row in rows[start + 1 :]:
        if row[positions[columns[0]]] is not None:
            yield {column: row[position] for column, position in positions.items()}


def read_table(facts: DatasetFacts, path: Path, image: str, score: str, subset: str | None = None) -> list[Opinion]:
    """Read a CSV of a dataset; raises DatasetLayout where its columns are others."""
    try:
        return read_opinions(path, image, score, subset)
    except DatasetError as error:
        raise DatasetLayout(error.what, why=error.why, fix=expected(facts)) from error


def header(path: Path) -> list[str]:
    """Return the column names of a CSV."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return next(csv.reader(stream), [])


def read_lines(path: Path) -> Iterator[list[str]]:
    """Yield the words of every line of a text file that is not empty."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.strip():
            yield line.split()
