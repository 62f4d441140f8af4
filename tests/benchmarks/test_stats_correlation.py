"""Correlations agree with scipy's and known cases; the logistic and the interval do what they say."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_iqa.benchmarks.stats_correlation import (
    fit_logistic,
    krocc,
    plcc,
    plcc_logistic,
    rank_average,
    srocc,
    srocc_interval,
)
from edge_iqa.errors import InvalidInput

CORRELATIONS = [srocc, krocc, plcc, plcc_logistic]


def test_tied_values_share_the_mean_of_their_ranks() -> None:
    assert rank_average([10, 30, 20, 30, 30]).tolist() == [1, 4, 2, 4, 4]
    assert rank_average([]).tolist() == []


def test_known_values_with_ties() -> None:
    a, b = [1, 2, 2, 3], [1, 3, 2, 4]
    assert srocc(a, b) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert krocc(a, b) == pytest.approx(5 / math.sqrt(5 * 6))  # of 6 pairs, 5 agree and 1 is tied in a
    assert plcc([0, 1, 2], [0, 1, 4]) == pytest.approx(4 / math.sqrt(2 * 26 / 3))


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.integers(-4, 4), st.floats(-1e6, 1e6).map(lambda x: round(x, 1))),
        min_size=2,
        max_size=60,
    )
)
def test_agrees_with_scipy(pairs: list[tuple[int, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.array(pairs, float).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [stats.spearmanr(a, b)[0], stats.kendalltau(a, b)[0], stats.pearsonr(a, b)[0]]
    assert [srocc(a, b), krocc(a, b), plcc(a, b)] == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_undefined_is_nan(correlation: object) -> None:
    assert callable(correlation)
    for a, b in (([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])):
        assert math.isnan(correlation(a, b))


@pytest.mark.parametrize("correlation", [*CORRELATIONS, srocc_interval])
def test_wrong_series_are_refused(correlation: object) -> None:
    assert callable(correlation)
    for a, b in (([1, 2], [1, 2, 3]), ([1, math.nan], [1, 2]), ([1, 2], [1, math.inf]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(InvalidInput):
            correlation(a, b)


def test_tiny_and_huge_values_do_not_break_pearson() -> None:
    a = np.array([1.0, 2.0, 3.0, 5.0])
    for scale in (1e-300, 1e-150, 1e150, 1e300):
        assert plcc(a * scale, a * scale) == pytest.approx(1.0)


def test_logistic_straightens_a_logistic() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(3, 2, 200)
    opinions = 20 + 60 / (1 + np.exp(-(scores - 2.5) / 0.4))
    assert plcc(scores, opinions) < 0.95
    assert plcc_logistic(scores, opinions) == pytest.approx(1, abs=1e-6)
    assert fit_logistic(scores, opinions) == pytest.approx(opinions, abs=0.05)
    assert plcc_logistic(-scores, opinions) == pytest.approx(1, abs=1e-6)  # falling is a mapping too


@pytest.mark.parametrize("tail", [0.3, 1.0, 2.0, 3.0])
def test_logistic_is_monotonic_and_never_worse_than_a_line(tail: float) -> None:
    """Scores without an upper bound, such as a variance, have a few very large values."""
    random = np.random.default_rng(1)
    opinions = random.random(300)
    scores = np.exp(tail * (opinions + random.normal(0, 0.7, 300)))
    mapped = fit_logistic(scores, opinions)
    assert (np.diff(mapped[np.argsort(scores)]) >= 0).all()
    assert plcc_logistic(scores, opinions) >= plcc(scores, opinions) - 1e-3


def test_logistic_is_the_least_squares_fit() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(2)
    scores = random.normal(0, 1, 150)
    opinions = np.tanh(scores) + random.normal(0, 0.3, 150)

    def residual(b: NDArray[np.float64]) -> NDArray[np.float64]:
        mapped = b[1] + (b[0] - b[1]) / (1 + np.exp(-(scores - b[2]) / abs(b[3])))
        return np.asarray(mapped - opinions)

    best = optimize.least_squares(residual, [1, -1, 0, 1]).cost * 2
    assert np.sum((fit_logistic(scores, opinions) - opinions) ** 2) == pytest.approx(best, rel=1e-6)


def test_interval_is_seeded_and_narrows_with_more_pictures() -> None:
    random = np.random.default_rng(3)
    a = random.random(400)
    b = a + random.normal(0, 0.3, 400)
    interval = srocc_interval(a, b, seed=5)
    assert interval == srocc_interval(a, b, seed=5)
    assert interval != srocc_interval(a, b, seed=6)
    assert interval.low < srocc(a, b) < interval.high
    few = srocc_interval(a[:40], b[:40], seed=5)
    assert few.high - few.low > 2 * (interval.high - interval.low)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """For a bivariate normal, Spearman's correlation is 6/pi asin(r/2)."""
    random = np.random.default_rng(4)
    truth = 6 / math.pi * math.asin(0.6 / 2)
    hits = 0
    for _ in range(40):
        a = random.normal(size=80)
        b = 0.6 * a + 0.8 * random.normal(size=80)
        interval = srocc_interval(a, b, resamples=100)
        hits += interval.low <= truth <= interval.high
    assert 33 <= hits <= 40


def test_interval_of_constants_is_undefined() -> None:
    interval = srocc_interval([1, 1, 1], [1, 2, 3])
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
