"""The sampling rule: which percentiles may be told, and when latencies count as unsteady."""

from __future__ import annotations

import numpy as np
import pytest

from edge_iqa.benchmarks.sampling import (
    PLANS,
    SamplingPlan,
    is_warm,
    plan_for,
    samples_needed,
    stability,
    summarize,
)
from edge_iqa.errors import InvalidInput


@pytest.mark.parametrize(("percentile", "count"), [(50, 11), (90, 64), (95, 130), (99, 662)])
def test_counts_of_the_early_stopping_rule(percentile: int, count: int) -> None:
    assert samples_needed(percentile) == count


@pytest.mark.parametrize(
    ("count", "given"),
    [(10, []), (11, ["p50"]), (63, ["p50"]), (64, ["p50", "p90"]), (130, ["p50", "p90", "p95"])],
)
def test_a_percentile_without_enough_samples_is_none(count: int, given: list[str]) -> None:
    summary = summarize([1.0] * count)
    assert [name for name in ("p50", "p90", "p95", "p99") if getattr(summary, name) is not None] == given


def test_percentiles_of_known_samples() -> None:
    summary = summarize(np.random.default_rng(0).permutation(np.arange(1001.0)).tolist())
    assert (summary.n, summary.min, summary.mean) == (1001, 0.0, 500.0)
    assert (summary.p50, summary.p90, summary.p95, summary.p99) == (500.0, 900.0, 950.0, 990.0)


def test_no_samples() -> None:
    summary = summarize([])
    assert summary.n == 0
    assert summary.mean is None


def test_a_plan_is_met_by_count_and_time_or_by_the_cap() -> None:
    plan = SamplingPlan("test", min_samples=100, min_seconds=10, max_seconds=60)
    assert not plan.is_met(99, 59)
    assert not plan.is_met(1000, 9)
    assert plan.is_met(100, 10)
    assert plan.is_met(3, 60)


def test_a_portion_covers_its_share_of_count_and_time() -> None:
    plan = SamplingPlan("test", min_samples=80, min_seconds=8, rounds=8)
    assert plan.portion(latency_ms=1.0) == 1000
    assert plan.portion(latency_ms=1000.0) == 10


def test_modes() -> None:
    assert {name: (plan.min_samples, plan.min_seconds) for name, plan in PLANS.items()} == {
        "normal": (1024, 60.0),
        "quick": (128, 10.0),
        "rapid": (64, 6.0),
    }
    with pytest.raises(InvalidInput, match="thorough"):
        plan_for("thorough")


def test_steady_latencies_are_steady_despite_single_interruptions() -> None:
    samples = [10.0] * 200
    samples[50] = samples[150] = 400.0
    found = stability(samples)
    assert found.variation == pytest.approx(0.0)
    assert found.trend == pytest.approx(0.0)


def test_a_machine_that_slows_down_has_a_trend() -> None:
    found = stability(np.linspace(10, 15, 300).tolist())
    assert found.trend is not None
    assert found.trend == pytest.approx((15 - 5 / 6) / (10 + 5 / 6) - 1, rel=0.01)


def test_too_few_samples_for_stability() -> None:
    assert stability([1.0] * 10).variation is None


def test_warm_means_three_medians_close_together() -> None:
    assert not is_warm([10.0, 10.0])
    assert not is_warm([10.0, 10.6, 10.0])
    assert is_warm([30.0, 10.0, 10.2, 10.4])
