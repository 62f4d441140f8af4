"""How far a target's scores are from the reference's on the same pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_iqa.benchmarks.stats_correlation import plcc, srocc


@dataclass(frozen=True)
class Drift:
    """Scores of a target against those of ``reference``, both in [0, 1]; a correlation of constants is None.

    ``flips`` counts pictures that one side keeps (score >= ``threshold``) and the other drops;
    ``distinct_levels`` counts the different scores of the target, six decimals each.
    """

    reference: str
    n: int
    srcc: float | None
    plcc: float | None
    mae: float
    max_abs: float
    flips: int
    threshold: float
    distinct_levels: int


def compare_scores(reference: str, expected: ArrayLike, found: ArrayLike, threshold: float) -> Drift:
    """Compare scores ``(N,)`` of a target with those of the reference, N >= 1."""
    a, b = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    distance = np.abs(a - b)
    return Drift(
        reference=reference,
        n=len(a),
        srcc=_defined(srocc(a, b)),
        plcc=_defined(plcc(a, b)),
        mae=float(distance.mean()),
        max_abs=float(distance.max()),
        flips=int(np.count_nonzero(flipped(a, b, threshold))),
        threshold=threshold,
        distinct_levels=len(np.unique(np.round(b, 6))),
    )


def flipped(expected: ArrayLike, found: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Return for each picture ``(N,)`` whether keep (score >= ``threshold``) and drop are exchanged."""
    return np.not_equal(np.asarray(expected) >= threshold, np.asarray(found) >= threshold)


def _defined(correlation: float) -> float | None:
    return None if math.isnan(correlation) else correlation
