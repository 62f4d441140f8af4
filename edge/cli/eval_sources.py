"""What ``edge-iqa eval`` compares scores with: a table of opinions, a table of pairs, or a published dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_iqa.benchmarks.datasets.resolution import Resolution
    from edge_iqa.benchmarks.opinion import Comparison


@dataclass(frozen=True)
class EvalSource:
    """Pictures, relative to a root, and how their scores are compared.

    ``name`` is for the table's title, ``data`` for the JSON, ``notes`` are lines below the table. ``resolution`` is
    the size at which the pictures are scored; None means each scorer's own way with the file as it is.
    """

    name: str
    files: list[str]
    compare: Callable[[Mapping[str, float]], Comparison]
    data: dict[str, Any]
    resolution: Resolution | None = None
    notes: list[str] = field(default_factory=list)


def opinions_source(table: Path, image_column: str, score_column: str, subset_column: str | None) -> EvalSource:
    """Return a CSV of human scores, higher is better; raises DatasetError."""
    from edge_iqa.benchmarks.opinion import compare_opinions
    from edge_iqa.benchmarks.opinion_tables import pictures_of, read_opinions

    opinions = read_opinions(table, image_column, score_column, subset_column)
    return EvalSource(table.name, pictures_of(opinions), partial(compare_opinions, opinions), _table(table))


def pairs_source(table: Path) -> EvalSource:
    """Return a CSV of better and worse pictures; raises DatasetError."""
    from edge_iqa.benchmarks.opinion import compare_pairs
    from edge_iqa.benchmarks.opinion_tables import pictures_of, read_pairs

    pairs = read_pairs(table)
    notes = ["right: the better picture has the higher score; a tie counts as wrong"]
    return EvalSource(table.name, pictures_of(pairs), partial(compare_pairs, pairs), _table(table), notes=notes)


def dataset_source(name: str, root: Path) -> EvalSource:
    """Return a published dataset in the folder ``root``; raises InvalidInput or DatasetError."""
    from edge_iqa.benchmarks.datasets.registry import find_dataset
    from edge_iqa.benchmarks.datasets.resolution import RULES
    from edge_iqa.benchmarks.opinion import compare_opinions
    from edge_iqa.benchmarks.opinion_tables import pictures_of
    from edge_iqa.errors import DatasetError

    dataset = find_dataset(name)
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}", fix="name the folder of the dataset with --root")
    facts, loaded = dataset.facts, dataset.load(root)
    resolution = RULES[facts.resolution]
    direction = "multiplied by -1, so that higher is better" if facts.negated else "as published, higher is better"
    data = {
        "dataset": facts.name,
        "listed": len(loaded.opinions),
        "opinion": facts.score,
        "opinion_direction": direction,
        "subset": facts.subset,
        "resolution": resolution.text,
        "label_files": [
            {"name": path.relative_to(root).as_posix(), "sha256": _sha256(path)} for path in loaded.label_files
        ],
    }
    notes = [f"opinion: {facts.score}; {direction}", f"pictures: {resolution.text}; whole set, no split"]
    files = pictures_of(loaded.opinions)
    return EvalSource(facts.title, files, partial(compare_opinions, loaded.opinions), data, resolution, notes)


def _table(table: Path) -> dict[str, Any]:
    return {"table": table.name, "sha256": _sha256(table)}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
