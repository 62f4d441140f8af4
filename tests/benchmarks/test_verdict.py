"""Verdicts: each from its cause, the gravest first, bars as sentences."""

from __future__ import annotations

import dataclasses

import pytest

from edge_iqa.benchmarks.drift import Drift
from edge_iqa.benchmarks.sampling import SamplingPlan, Stability, summarize
from edge_iqa.benchmarks.verdict import VERDICTS, Bars, Evidence, judge, missed_bars
from edge_iqa.errors import BundleRefused

PLAN = SamplingPlan("quick", min_samples=128, min_seconds=10)
GOOD_DRIFT = Drift("onnxruntime fp32", 100, 0.999, 0.999, 0.002, 0.01, 1, 0.5, 100, 50, 49, 0.499, 0)
GOOD = Evidence(
    label="openvino int8",
    precision="int8",
    latency_ms=summarize([10.0] * 128),
    stability=Stability(0.02, 0.01),
    drift=GOOD_DRIFT,
    throttling=[],
    error=None,
    seconds=12.0,
)


def with_drift(**values: float | None) -> Evidence:
    return dataclasses.replace(GOOD, drift=dataclasses.replace(GOOD_DRIFT, **values))


CASES = {
    "VALID": GOOD,
    "UNSTABLE": dataclasses.replace(GOOD, stability=Stability(0.5, 0.0)),
    "THROTTLED": dataclasses.replace(GOOD, throttling=["the clock fell"]),
    "TOO_FEW_SAMPLES": dataclasses.replace(GOOD, latency_ms=summarize([10.0] * 20)),
    "DRIFT": with_drift(srcc=0.9),
    "INCOMPATIBLE": dataclasses.replace(GOOD, error=BundleRefused("no file", fix="rebuild it")),
}


@pytest.mark.parametrize("verdict", CASES)
def test_every_verdict_has_its_cause_a_reason_and_advice(verdict: str) -> None:
    found = judge(CASES[verdict], PLAN, Bars())
    assert found.verdict == verdict
    assert found.advice
    assert bool(found.reasons) == (verdict != "VALID")
    assert all(reason.startswith(f"{verdict}: ") for reason in found.reasons)


def test_the_cases_cover_all_verdicts() -> None:
    assert set(CASES) == set(VERDICTS)


@pytest.mark.parametrize("trend", [0.4, -0.4])
def test_a_run_that_slows_down_or_speeds_up_is_unstable(trend: float) -> None:
    found = judge(dataclasses.replace(GOOD, stability=Stability(0.01, trend)), PLAN, Bars())
    assert found.verdict == "UNSTABLE"
    assert ("slower" if trend > 0 else "faster") in found.reasons[0]


def test_waiting_for_a_processor_is_unstable() -> None:
    found = judge(dataclasses.replace(GOOD, stability=Stability(0.01, 0.0, waited=0.4)), PLAN, Bars())
    assert found.verdict == "UNSTABLE"
    assert "40%" in found.reasons[0]
    rarely = dataclasses.replace(GOOD, stability=Stability(0.01, 0.0, waited=0.05))
    assert judge(rarely, PLAN, Bars()).verdict == "VALID"


def test_a_sustained_run_that_slows_down_is_throttled_with_a_cause_and_unstable_without() -> None:
    slower = dataclasses.replace(GOOD, sustained_change=0.3)
    assert judge(slower, PLAN, Bars()).verdict == "UNSTABLE"
    found = judge(dataclasses.replace(slower, throttling=["the clock fell"]), PLAN, Bars())
    assert found.verdict == "THROTTLED"
    assert found.reasons[0] == "THROTTLED: the clock fell"
    assert found.reasons[1] == "THROTTLED: p90 rose by 30% over the sustained run (limit 10%)"
    assert judge(dataclasses.replace(GOOD, sustained_change=-0.3), PLAN, Bars()).verdict == "VALID"


def test_the_gravest_finding_decides_and_all_are_told() -> None:
    evidence = dataclasses.replace(
        with_drift(max_abs=0.5),
        throttling=["the clock fell"],
        stability=Stability(0.5, 0.5),
        latency_ms=summarize([1.0] * 20),
    )
    found = judge(evidence, PLAN, Bars())
    assert found.verdict == "DRIFT"
    kinds = [reason.split(":")[0] for reason in found.reasons]
    assert kinds == ["DRIFT", "TOO_FEW_SAMPLES", "THROTTLED", "UNSTABLE", "UNSTABLE"]


def test_fp32_is_held_to_a_tighter_budget_than_int8() -> None:
    evidence = with_drift(max_abs=0.03)
    assert judge(evidence, PLAN, Bars()).verdict == "VALID"
    assert judge(dataclasses.replace(evidence, precision="fp32"), PLAN, Bars()).verdict == "DRIFT"


def test_advice_on_drift_depends_on_the_precision() -> None:
    evidence = with_drift(srcc=0.5)
    assert "use fp32" in judge(evidence, PLAN, Bars()).advice
    assert "use fp32" not in judge(dataclasses.replace(evidence, precision="fp32"), PLAN, Bars()).advice


def test_constant_scores_are_drift() -> None:
    found = judge(with_drift(srcc=None), PLAN, Bars())
    assert found.verdict == "DRIFT"
    assert "not defined" in found.reasons[0]


def test_scores_that_could_not_be_compared_are_drift() -> None:
    assert judge(dataclasses.replace(GOOD, drift=None), PLAN, Bars()).verdict == "DRIFT"


def test_bars_replace_the_default_budget() -> None:
    evidence = with_drift(srcc=0.95, max_abs=0.2)
    assert missed_bars(evidence, Bars(min_srcc=0.9, max_drift=0.3)) == []
    assert judge(evidence, PLAN, Bars(min_srcc=0.9, max_drift=0.3)).verdict == "VALID"
    assert len(missed_bars(GOOD, Bars(min_srcc=0.9995, max_drift=0.001, max_flips=0))) == 3


def test_latency_bar() -> None:
    assert missed_bars(GOOD, Bars(max_p90_ms=10.0)) == []
    assert missed_bars(GOOD, Bars(max_p90_ms=9.9)) == ["openvino int8: p90 10.00 ms is above 9.9 ms"]
    few = dataclasses.replace(GOOD, latency_ms=summarize([1.0] * 20))
    assert "too few" in missed_bars(few, Bars(max_p90_ms=9.9))[0]


def test_a_target_without_measurement_misses_no_bar() -> None:
    assert missed_bars(CASES["INCOMPATIBLE"], Bars(max_p90_ms=0.1, max_flips=0)) == []
