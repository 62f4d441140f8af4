"""Read a result that ``edge-iqa bench --json`` wrote, here or on another machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_iqa.benchmarks.results import SCHEMA_VERSION, BenchResult
from edge_iqa.errors import InvalidInput, ResultRefused
from edge_iqa.spec import from_document

MAX_RESULT_BYTES = 512 * 1024**2


def read_result(path: Path) -> BenchResult:
    """Return the result in a file; raises ResultRefused."""
    if not path.is_file():
        raise ResultRefused(f"There is no result file {path}", fix="edge-iqa bench --json FILE writes one")
    if path.stat().st_size > MAX_RESULT_BYTES:
        raise ResultRefused(f"{path} is larger than {MAX_RESULT_BYTES} bytes")
    return parse_result(path.read_bytes(), str(path))


def parse_result(content: bytes, name: str) -> BenchResult:
    """Return the result in ``content``; ``name`` is for messages. Raises ResultRefused."""
    try:
        document = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ResultRefused(f"{name} is not JSON", why=str(error)) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise ResultRefused(
            f"{name} is not a result of this version of 'edge-iqa bench'",
            why=f"its schema_version is {version!r}, this version reads {SCHEMA_VERSION}",
            fix="measure again, or use the version of edge-iqa that wrote it",
        )
    try:
        return from_document(BenchResult, document, name)
    except InvalidInput as error:
        raise ResultRefused(f"{name} does not hold what a result holds", why=error.what) from error


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")
