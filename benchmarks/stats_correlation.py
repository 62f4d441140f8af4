"""Agreement of two series of scores: rank and linear correlation, the logistic mapping, a bootstrap interval.

The measures are those of the VQEG reports on quality assessment (VQEG, Final report on the validation of
objective models of video quality assessment, 2000 and 2003). Every function takes one-dimensional series of
finite numbers and of the same length, and raises InvalidInput for others. A correlation is ``nan`` where it
is undefined: fewer than two values, or all values of a series equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_iqa.errors import InvalidInput

FloatArray = NDArray[np.float64]


def rank_average(values: ArrayLike) -> FloatArray:
    """Return the ranks of ``values`` from 1 to n; equal values share the mean of the ranks they take up."""
    series = _series(values)
    _, group, counts = np.unique(series, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    mean_rank: FloatArray = last_rank - (counts - 1) / 2.0
    return mean_rank[group]


def plcc(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's linear correlation of the raw values, in [-1, 1]."""
    first, second = _pair(a, b)
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    first, second = _standardized(first), _standardized(second)
    return float(np.clip(first @ second / first.size, -1.0, 1.0))


def srocc(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation, in [-1, 1]: Pearson's of the ranks, ties at their mean rank."""
    first, second = _pair(a, b)
    return plcc(rank_average(first), rank_average(second))


def krocc(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's rank correlation tau-b, in [-1, 1], which corrects for ties in both series."""
    first, second = _pair(a, b)
    agreement = untied_first = untied_second = 0
    for index in range(first.size - 1):
        order_first = np.sign(first[index + 1 :] - first[index])
        order_second = np.sign(second[index + 1 :] - second[index])
        agreement += int(order_first @ order_second)
        untied_first += int(np.count_nonzero(order_first))
        untied_second += int(np.count_nonzero(order_second))
    if untied_first == 0 or untied_second == 0:
        return math.nan
    return agreement / math.sqrt(untied_first) / math.sqrt(untied_second)


@dataclass(frozen=True)
class Interval:
    """A confidence interval; both ends ``nan`` where it cannot be given."""

    low: float
    high: float


def srocc_interval(a: ArrayLike, b: ArrayLike, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of :func:`srocc` over the pictures; one seed always gives one interval.

    Resamples in which one series is constant have no correlation and are left out.
    """
    first, second = _pair(a, b)
    if math.isnan(srocc(first, second)):
        return Interval(math.nan, math.nan)
    random = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for index in range(resamples):
        chosen = random.integers(0, first.size, first.size)
        draws[index] = srocc(first[chosen], second[chosen])
    tail = (1.0 - level) / 2.0
    low, high = np.nanquantile(draws, (tail, 1.0 - tail))
    return Interval(float(low), float(high))


def plcc_logistic(scores: ArrayLike, opinions: ArrayLike) -> float:
    """Pearson's correlation of ``opinions`` with ``scores`` mapped by :func:`fit_logistic`.

    The mapping may fall as well as rise, so this value is not negative for a score of the wrong direction;
    the sign is seen in :func:`plcc` and :func:`srocc`.
    """
    if math.isnan(plcc(scores, opinions)):
        return math.nan
    return plcc(fit_logistic(scores, opinions), opinions)


def fit_logistic(scores: ArrayLike, opinions: ArrayLike, steps: int = 200) -> FloatArray:
    """Return ``scores`` on the scale of ``opinions``, by the monotonic logistic with four parameters of VQEG.

    ``f(s) = b2 + (b1 - b2) / (1 + exp(-(s - b3) / |b4|))``, fitted by least squares. The start is VQEG's: the
    extremes of the opinions, the mean and the spread of the scores. A second start, ours, takes the scores'
    median and quartiles, for scores with few very large values; the better fit is returned. Raises
    InvalidInput where all scores are equal.
    """
    raw, target = _pair(scores, opinions)
    if raw.size < 2 or np.ptp(raw) == 0:
        raise InvalidInput("A logistic needs scores that differ", why=f"got {raw.size} scores without spread")
    unit = _standardized(raw)
    top, bottom = (target.max(), target.min()) if srocc(raw, target) >= 0 else (target.min(), target.max())
    lower, median, upper = np.quantile(unit, (0.25, 0.5, 0.75))
    starts = [np.array([top, bottom, 0.0, 1.0])]
    if upper > lower:
        starts.append(np.array([top, bottom, median, upper - lower]))
    fits = [_least_squares_logistic(unit, target, start, steps) for start in starts]
    return min(fits, key=lambda mapped: float(np.sum((target - mapped) ** 2)))


def _least_squares_logistic(unit: FloatArray, target: FloatArray, parameters: FloatArray, steps: int) -> FloatArray:
    """Return the logistic fitted from a start by Levenberg-Marquardt (Marquardt, J. SIAM 11(2), 1963)."""
    mapped, slopes = _logistic(unit, parameters)
    damping = 1e-3
    for _ in range(steps):
        residual = target - mapped
        curvature = slopes.T @ slopes
        step = np.linalg.lstsq(
            curvature + damping * np.diag(curvature.diagonal() + 1e-12), slopes.T @ residual, rcond=None
        )[0]
        tried, tried_slopes = _logistic(unit, parameters + step)
        gain = float(residual @ residual - (target - tried) @ (target - tried))
        if gain <= 0:
            damping *= 10.0
            if damping > 1e12:
                break
            continue
        parameters, mapped, slopes = parameters + step, tried, tried_slopes
        damping = max(damping / 10.0, 1e-12)
        if gain <= 1e-12 * float(residual @ residual):
            break
    return mapped


def _logistic(unit: FloatArray, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the logistic's values ``(n,)`` and its derivatives by the four parameters ``(n, 4)``."""
    top, bottom, centre = (float(value) for value in parameters[:3])
    width = max(abs(float(parameters[3])), 1e-6)
    distance = (unit - centre) / width
    share = 0.5 * (1.0 + np.tanh(distance / 2.0))
    bend = (top - bottom) * share * (1.0 - share) / width
    sign = 1.0 if parameters[3] >= 0 else -1.0
    slopes = np.stack([share, 1.0 - share, -bend, -bend * distance * sign], axis=1)
    return bottom + (top - bottom) * share, slopes


def _standardized(series: FloatArray) -> FloatArray:
    """Return ``series`` with mean 0 and standard deviation 1; its values must not all be equal."""
    spread = (series - series.min()) / np.ptp(series)  # first to 0..1, so that no tiny value underflows
    unit: FloatArray = (spread - spread.mean()) / spread.std()
    return unit


def _series(values: ArrayLike) -> FloatArray:
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise InvalidInput("A series of scores must have one dimension", why=f"its shape is {series.shape}")
    if not np.isfinite(series).all():
        raise InvalidInput("A series of scores holds values that are not finite")
    return series


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = _series(a), _series(b)
    if first.size != second.size:
        raise InvalidInput("Two series to correlate differ in length", why=f"{first.size} and {second.size}")
    return first, second
