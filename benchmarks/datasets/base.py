"""What a published dataset is to ``eval``: the protocol, the facts that a result repeats, and what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, Protocol

from edge_iqa.benchmarks.opinion_tables import Opinion
from edge_iqa.errors import DatasetLayout


@dataclass(frozen=True)
class DatasetFacts:
    """What a result says of a dataset.

    ``score`` names the published number. ``negated`` tells that lower is better in it, so that it was multiplied
    by -1. ``subset`` says what the parts of the result are. ``resolution`` is a name from ``resolution.RULES``.
    ``layout`` is the folder as it is published, for messages and documents.
    """

    name: str
    title: str
    score: str
    negated: bool
    subset: str
    resolution: str
    layout: str


@dataclass(frozen=True)
class LoadedDataset:
    """Opinions, higher is better, with files relative to the root; and the files that they were read from."""

    opinions: list[Opinion]
    label_files: tuple[Path, ...]


class Dataset(Protocol):
    """One published dataset. ``load`` raises DatasetLayout where ``root`` is not its folder."""

    facts: ClassVar[DatasetFacts]

    def load(self, root: Path) -> LoadedDataset: ...


def finished(
    facts: DatasetFacts, root: Path, opinions: Sequence[Opinion], label_files: Sequence[Path]
) -> LoadedDataset:
    """Return what was read, turned so that higher is better; raises DatasetLayout for a name outside ``root``."""
    if not opinions:
        raise DatasetLayout(f"{label_files[0]} lists no picture", why=expected(facts))
    for row in opinions:
        path = PurePosixPath(row.file)
        if path.is_absolute() or ".." in path.parts:
            raise DatasetLayout(f"{label_files[0]} lists {row.file!r}", why=f"it lies outside {root}")
    turned = [replace(row, opinion=-row.opinion) if facts.negated else row for row in opinions]
    return LoadedDataset(turned, tuple(label_files))


def first_existing(facts: DatasetFacts, root: Path, *names: str) -> Path:
    """Return the first of ``names`` that exists below ``root``; raises DatasetLayout where none does."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise DatasetLayout(f"There is no {' and no '.join(names)} in {root}", why=expected(facts), fix=_FIX)


def names_on_disk(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Return lower-case file name → name on disk; some sets differ in case between their list and their files."""
    return {entry.name.lower(): entry.name for entry in folder.glob(pattern)}


def expected(facts: DatasetFacts) -> str:
    """Return the sentence about the layout that messages give as the reason."""
    return f"{facts.title} is published as: {facts.layout}"


_FIX = "name the folder that holds them with --root"
