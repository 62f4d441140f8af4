"""Agreement of a scorer with people: correlations with opinion scores, and the share of pairs ranked right.

A scorer here is any function from a picture's path to a number, higher for better. A picture that cannot be
scored is set aside with its error, and the measures are those of the others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_iqa.benchmarks.opinion_tables import Opinion, Pair
from edge_iqa.benchmarks.stats_correlation import krocc, plcc, plcc_logistic, srocc, srocc_interval
from edge_iqa.errors import DatasetError, ImageError

BOOTSTRAP_RESAMPLES = 1000
BOOTSTRAP_SEED = 0

ScorePicture = Callable[[Path], float]


@dataclass(frozen=True)
class ScoredPictures:
    """Scores and errors by file name, and the sha256 over the names and contents of the scored files."""

    scores: dict[str, float] = field(default_factory=dict)
    errors: dict[str, ImageError] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True)
class Agreement:
    """Correlations of scores with opinions; ``nan`` where undefined (see stats_correlation)."""

    n: int
    srcc: float
    srcc_interval_95: tuple[float, float]
    plcc: float
    plcc_logistic: float
    krcc: float


@dataclass(frozen=True)
class PairAccuracy:
    """How many of ``n`` pairs are ranked right; a tie counts as wrong. The interval is Wilson's."""

    n: int
    right: int
    ties: int
    accuracy: float
    accuracy_interval_95: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """What was measured over all and over each part; ``parts_name`` is ``per_subset`` or ``per_kind``."""

    total: Agreement | PairAccuracy
    parts_name: str
    parts: Mapping[str, Agreement | PairAccuracy]

    def document(self) -> dict[str, Any]:
        """Return the measured part of ``eval --json``; undefined values are null."""
        parts = {name: _plain(part) for name, part in self.parts.items()}
        return {**_plain(self.total), self.parts_name: parts}

    def table(self) -> list[list[str]]:
        """Return the same as cells of text: a line of headings, one for all pictures, one for each part."""
        rows = {"all": self.total, **self.parts}
        headings = ["", *asdict(self.total)]
        return [headings, *([name, *map(_cell, asdict(row).values())] for name, row in rows.items())]


def score_pictures(files: Iterable[str], root: Path, score: ScorePicture) -> ScoredPictures:
    """Score each file once; a picture that raises ImageError is set aside.

    Raises DatasetError where there is no folder ``root``.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}", fix="name the folder of the pictures with --root")
    scores: dict[str, float] = {}
    errors: dict[str, ImageError] = {}
    digest = hashlib.sha256()
    for file in files:
        path = root / file
        try:
            scores[file] = score(path)
        except ImageError as error:
            errors[file] = error
            continue
        digest.update(file.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return ScoredPictures(scores, errors, digest.hexdigest())


def agreement(scores: Sequence[float], opinions: Sequence[float]) -> Agreement:
    """Return every correlation of ``scores`` with ``opinions``, series of the same length."""
    interval = srocc_interval(scores, opinions, 0.95, BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED)
    return Agreement(
        len(scores),
        srocc(scores, opinions),
        (interval.low, interval.high),
        plcc(scores, opinions),
        plcc_logistic(scores, opinions),
        krocc(scores, opinions),
    )


def compare_opinions(opinions: Sequence[Opinion], scores: Mapping[str, float]) -> Comparison:
    """Correlate scores with opinions, over all pictures that were scored and in each subset."""
    scored = [row for row in opinions if row.file in scores]

    def over(rows: list[Opinion]) -> Agreement:
        return agreement([scores[row.file] for row in rows], [row.opinion for row in rows])

    names = sorted({row.subset for row in scored if row.subset is not None})
    parts = {name: over([row for row in scored if row.subset == name]) for name in names}
    return Comparison(over(scored), "per_subset", parts)


def compare_pairs(pairs: Sequence[Pair], scores: Mapping[str, float]) -> Comparison:
    """Count the pairs ranked right, over all of which both pictures were scored and in each kind."""
    scored = [pair for pair in pairs if pair.better in scores and pair.worse in scores]

    def over(chosen: list[Pair]) -> PairAccuracy:
        right = sum(scores[pair.better] > scores[pair.worse] for pair in chosen)
        ties = sum(scores[pair.better] == scores[pair.worse] for pair in chosen)
        share = right / len(chosen) if chosen else math.nan
        return PairAccuracy(len(chosen), right, ties, share, wilson_interval(right, len(chosen)))

    kinds = sorted({pair.kind for pair in scored if pair.kind is not None})
    parts = {kind: over([pair for pair in scored if pair.kind == kind]) for kind in kinds}
    return Comparison(over(scored), "per_kind", parts)


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share ``right / n`` (Wilson, J. Amer. Statist. Assoc. 22, 1927)."""
    if n == 0:
        return math.nan, math.nan
    z = 1.959964
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def failure_document(errors: Mapping[str, ImageError]) -> dict[str, Any]:
    """Return ``{"n", "codes", "files"}`` of the pictures that were set aside."""
    codes: dict[str, int] = {}
    for error in errors.values():
        codes[error.code] = codes.get(error.code, 0) + 1
    files = [{"file": file, **error.as_dict()} for file, error in errors.items()]
    return {"n": len(errors), "codes": codes, "files": files}


def _plain(measured: Agreement | PairAccuracy) -> dict[str, Any]:
    return {name: _without_nan(value) for name, value in asdict(measured).items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{_cell(value[0])}..{_cell(value[1])}"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4f}"
    return str(value)
