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
    ``distinct_levels`` counts the different scores of the target, six decimals each. ``kept_reference`` and
    ``kept`` count what each side keeps at ``threshold``; ``restoring_threshold`` is the threshold at which the
    target keeps as many as the reference does (None where no threshold can), and ``flips_restored`` are the
    flips that are left with it.
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
    kept_reference: int
    kept: int
    restoring_threshold: float | None
    flips_restored: int | None


def compare_scores(reference: str, expected: ArrayLike, found: ArrayLike, threshold: float) -> Drift:
    """Compare scores ``(N,)`` of a target with those of the reference, N >= 1."""
    a, b = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    distance = np.abs(a - b)
    restored = restoring_threshold(a, b, threshold)
    left = None if restored is None else int(np.count_nonzero((a >= threshold) != (b >= restored)))
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
        kept_reference=int(np.count_nonzero(a >= threshold)),
        kept=int(np.count_nonzero(b >= threshold)),
        restoring_threshold=restored,
        flips_restored=left,
    )


def flipped(expected: ArrayLike, found: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Return for each picture ``(N,)`` whether keep (score >= ``threshold``) and drop are exchanged."""
    return np.not_equal(np.asarray(expected) >= threshold, np.asarray(found) >= threshold)


def restoring_threshold(expected: ArrayLike, found: ArrayLike, threshold: float) -> float | None:
    """Return the threshold at which ``found`` keeps as many pictures as ``expected`` keeps at ``threshold``.

    Where ``threshold`` itself does, it is returned; else the middle between the last score kept and the first
    dropped. Both are scores ``(N,)``. None where none or all are to be kept and ``threshold`` does not do it,
    or where equal scores lie on both sides of the cut.
    """
    scores = np.sort(np.asarray(found, np.float64))[::-1]
    wanted = int(np.count_nonzero(np.asarray(expected) >= threshold))
    if int(np.count_nonzero(scores >= threshold)) == wanted:
        return threshold
    if wanted in (0, len(scores)) or scores[wanted - 1] == scores[wanted]:
        return None
    return float((scores[wanted - 1] + scores[wanted]) / 2)


def _defined(correlation: float) -> float | None:
    return None if math.isnan(correlation) else correlation
