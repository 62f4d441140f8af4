"""How far a target's scores are from the reference's on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
        srcc=rank_correlation(a, b),
        plcc=linear_correlation(a, b),
        mae=float(distance.mean()),
        max_abs=float(distance.max()),
        flips=int(np.count_nonzero(flipped(a, b, threshold))),
        threshold=threshold,
        distinct_levels=len(np.unique(np.round(b, 6))),
    )


def flipped(expected: ArrayLike, found: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Return for each picture ``(N,)`` whether keep (score >= ``threshold``) and drop are exchanged."""
    return np.not_equal(np.asarray(expected) >= threshold, np.asarray(found) >= threshold)


def linear_correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return Pearson's correlation of two series ``(N,)``, or None where one of them is constant."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return min(max(float(x @ y) / norm, -1.0), 1.0) if norm > 0 else None


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return Spearman's correlation of two series ``(N,)``, with average ranks; None for a constant."""
    return linear_correlation(average_ranks(a), average_ranks(b))


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Return ranks 1..N of a series ``(N,)``; equal values share the mean of the ranks they take."""
    _, group, sizes = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    mean_rank = last_rank - (sizes - 1) / 2
    ranks: NDArray[np.float64] = mean_rank[group]
    return ranks
