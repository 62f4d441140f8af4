"""The verdict on one target: VALID, or the gravest thing that speaks against its numbers, and why."""

from __future__ import annotations

from dataclasses import dataclass

from edge_iqa.benchmarks.drift import Drift
from edge_iqa.benchmarks.sampling import LatencySummary, SamplingPlan, Stability
from edge_iqa.errors import EdgeIqaError

# gravest first
VERDICTS = ("INCOMPATIBLE", "DRIFT", "TOO_FEW_SAMPLES", "THROTTLED", "UNSTABLE", "VALID")

# Ours: a quiet desktop stays below half of these, a machine that shares its processors does not.
MAX_VARIATION = 0.15
MAX_TREND = 0.10
MAX_WAITED = 0.10


@dataclass(frozen=True)
class Bars:
    """What the user demands of every row; None where nothing is demanded. Latency in ms, scores in [0, 1]."""

    max_p90_ms: float | None = None
    min_srcc: float | None = None
    max_drift: float | None = None
    max_flips: int | None = None


# What a row must keep to be VALID where the user demands nothing else.
DRIFT_BUDGETS = {
    "int8": Bars(min_srcc=0.99, max_drift=0.05),
    "fp16": Bars(min_srcc=0.999, max_drift=0.01),
    "fp32": Bars(min_srcc=0.999, max_drift=0.01),
}


@dataclass(frozen=True)
class Evidence:
    """What a verdict is drawn from; ``throttling`` are reasons, ``sustained_change`` that of a long run's p90."""

    label: str
    precision: str
    latency_ms: LatencySummary
    stability: Stability
    drift: Drift | None
    throttling: list[str]
    error: EdgeIqaError | None
    seconds: float
    sustained_change: float | None = None


@dataclass(frozen=True)
class Judgement:
    """A verdict, every reason that was found (``VERDICT: reason``), and the one thing to do first."""

    verdict: str
    reasons: list[str]
    advice: str


def judge(evidence: Evidence, plan: SamplingPlan, bars: Bars) -> Judgement:
    """Return the verdict on one target; the gravest finding decides, all are given as reasons."""
    if evidence.error is not None:
        reason = evidence.error.as_dict()["message"]
        return Judgement("INCOMPATIBLE", [f"INCOMPATIBLE: {reason}"], evidence.error.fix or "see the reason")
    found = (
        [("DRIFT", reason) for reason in drift_reasons(evidence, bars)]
        + [("TOO_FEW_SAMPLES", reason) for reason in _count_reasons(evidence, plan)]
        + [("THROTTLED", reason) for reason in _throttle_reasons(evidence)]
        + [("UNSTABLE", reason) for reason in _stability_reasons(evidence.stability)]
        + [("UNSTABLE", reason) for reason in _sustained_reasons(evidence) if not evidence.throttling]
    )
    verdict = found[0][0] if found else "VALID"
    advice = _ADVICE[verdict]
    if verdict == "DRIFT" and evidence.precision != "int8":
        advice = "do not deploy this: the runtime does not compute the model faithfully; update it"
    return Judgement(verdict, [f"{kind}: {reason}" for kind, reason in found], advice)


def drift_reasons(evidence: Evidence, bars: Bars) -> list[str]:
    """Return what is out of the drift budget: the user's bars, and the defaults where the user set none."""
    default = DRIFT_BUDGETS[evidence.precision]
    min_srcc = default.min_srcc if bars.min_srcc is None else bars.min_srcc
    max_drift = default.max_drift if bars.max_drift is None else bars.max_drift
    drift = evidence.drift
    if drift is None:
        return ["there are no reference scores to compare with: ONNX Runtime could not score the fp32 model"]
    reasons = []
    if min_srcc is not None:
        if drift.srcc is None:
            reasons.append("SROCC is not defined: the scores of one side are all the same")
        elif drift.srcc < min_srcc:
            reasons.append(f"SROCC {drift.srcc:.4f} is below {min_srcc:g}")
    if max_drift is not None and drift.max_abs > max_drift:
        reasons.append(f"the largest difference {drift.max_abs:.4f} is above {max_drift:g}")
    if bars.max_flips is not None and drift.flips > bars.max_flips:
        flips = f"{drift.flips} of {drift.n} pictures flip"
        reasons.append(f"{flips} at threshold {drift.threshold:.3f}, above {bars.max_flips}")
    return reasons


def missed_bars(evidence: Evidence, bars: Bars) -> list[str]:
    """Return each bar or drift budget that a measured row misses, as a sentence."""
    if evidence.error is not None:
        return []
    missed = drift_reasons(evidence, bars)
    p90 = evidence.latency_ms.p90
    if bars.max_p90_ms is not None:
        if p90 is None:
            missed.append(f"{evidence.latency_ms.n} samples are too few for a p90, so its bar cannot be met")
        elif p90 > bars.max_p90_ms:
            missed.append(f"p90 {p90:.2f} ms is above {bars.max_p90_ms:g} ms")
    return [f"{evidence.label}: {reason}" for reason in missed]


def _count_reasons(evidence: Evidence, plan: SamplingPlan) -> list[str]:
    count = evidence.latency_ms.n
    if count >= plan.min_samples:
        return []
    return [f"{count} samples in {evidence.seconds:.0f} s; mode {plan.mode} needs {plan.min_samples}"]


def _throttle_reasons(evidence: Evidence) -> list[str]:
    if not evidence.throttling:
        return []
    return [*evidence.throttling, *_sustained_reasons(evidence)]


def _sustained_reasons(evidence: Evidence) -> list[str]:
    change = evidence.sustained_change
    if change is None or change <= MAX_TREND:
        return []
    return [f"p90 rose by {change:.0%} over the sustained run (limit {MAX_TREND:.0%})"]


def _stability_reasons(stability: Stability) -> list[str]:
    reasons = []
    if stability.variation is not None and stability.variation > MAX_VARIATION:
        reasons.append(f"inference time varies by {stability.variation:.0%} (limit {MAX_VARIATION:.0%})")
    if stability.trend is not None and abs(stability.trend) > MAX_TREND:
        direction = "slower" if stability.trend > 0 else "faster"
        reasons.append(f"the run ended {abs(stability.trend):.0%} {direction} than it began (limit {MAX_TREND:.0%})")
    if stability.waited is not None and stability.waited > MAX_WAITED:
        reasons.append(f"other work had the processors for {stability.waited:.0%} of the time (limit {MAX_WAITED:.0%})")
    return reasons


_ADVICE = {
    "VALID": "the numbers hold for this machine as it is now",
    "DRIFT": "do not deploy this: use fp32 on this runtime, or quantize again with a tighter --budget",
    "TOO_FEW_SAMPLES": "measure longer or in a mode that needs fewer samples (--mode rapid)",
    "THROTTLED": "cool the device, fix power mode and clocks, or quote what it keeps up: --sustained 10m",
    "UNSTABLE": "stop other work, fix the clock (governor 'performance'), measure again, longer with --mode normal",
}
