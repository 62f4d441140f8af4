"""Drift of scores: flips, levels, correlations where they are defined."""

from __future__ import annotations

import numpy as np
import pytest

from edge_iqa.benchmarks.drift import compare_scores, flipped


def test_a_constant_has_no_correlation() -> None:
    drift = compare_scores("reference", [0.5, 0.5, 0.5], [0.1, 0.2, 0.3], 0.5)
    assert (drift.srcc, drift.plcc) == (None, None)


def test_correlations_are_of_the_two_series() -> None:
    a = np.linspace(0, 1, 20)
    assert compare_scores("reference", a, a**5, 0.5).srcc == pytest.approx(1.0)
    assert compare_scores("reference", a, 1 - a, 0.5).plcc == pytest.approx(-1.0)


def test_flips_count_exchanged_decisions_at_the_threshold() -> None:
    expected, found = [0.4, 0.5, 0.5, 0.6, 0.49], [0.4, 0.5, 0.49, 0.4, 0.51]
    assert flipped(expected, found, 0.5).tolist() == [False, False, True, True, True]
    drift = compare_scores("reference", expected, found, 0.5)
    assert (drift.flips, drift.n, drift.threshold) == (3, 5, 0.5)
    assert drift.max_abs == pytest.approx(0.2)
    assert drift.mae == pytest.approx((0 + 0 + 0.01 + 0.2 + 0.02) / 5)


def test_collapsed_scores_show_as_few_levels() -> None:
    reference = np.linspace(0.1, 0.9, 50)
    assert compare_scores("reference", reference, np.round(reference, 1), 0.5).distinct_levels == 9
    assert compare_scores("reference", reference, reference, 0.5).distinct_levels == 50


def test_the_restoring_threshold_keeps_as_many_as_the_reference() -> None:
    reference = np.array([0.1, 0.2, 0.6, 0.7, 0.8])
    drift = compare_scores("reference", reference, reference - 0.2, 0.55)
    assert (drift.kept_reference, drift.kept, drift.flips) == (3, 1, 2)
    assert drift.restoring_threshold == pytest.approx(0.2)
    assert drift.flips_restored == 0


def test_a_threshold_that_still_keeps_as_many_stays() -> None:
    drift = compare_scores("reference", [0.4, 0.6], [0.6, 0.4], 0.5)
    assert (drift.restoring_threshold, drift.flips, drift.flips_restored) == (0.5, 2, 2)


@pytest.mark.parametrize(
    ("expected", "found"), [([0.6, 0.7], [0.1, 0.2]), ([0.1, 0.2], [0.6, 0.7]), ([0.1, 0.6], [0.2, 0.2])]
)
def test_where_no_threshold_restores_the_rate_there_is_none(expected: list[float], found: list[float]) -> None:
    drift = compare_scores("reference", expected, found, 0.5)
    assert (drift.restoring_threshold, drift.flips_restored) == (None, None)
