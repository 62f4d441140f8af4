"""Find the threshold that keeps a wanted share of recorded frames under all the other rules of a policy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.replay import Recorded, replay
from edge_iqa.errors import InvalidInput, RecordedScoresError

_TARGET = re.compile(r"keep=(\d+(?:\.\d+)?)\s*(%?)")


@dataclass(frozen=True)
class Tuned:
    """``policy`` is the given one with another threshold; ``kept_share`` is what it keeps of the recorded frames.

    ``note`` says why the wanted share was not met where it is missed by more than ``tolerance``; else it is empty.
    """

    policy: Policy
    wanted_share: float
    kept_share: float
    frames: int
    note: str


def parse_target(text: str) -> float:
    """Read ``keep=30%`` or ``keep=0.3`` as the share 0.3; raises InvalidInput."""
    found = _TARGET.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(f"{text!r} is not something to tune for", fix="for instance keep=30%")
    share = float(found[1]) / (100 if found[2] else 1)
    if not 0 < share <= 1:
        raise InvalidInput("The share to keep must be above 0 and at most 100 %", why=f"it is {text!r}")
    return share


def tune(policy: Policy, recorded: Sequence[Recorded], wanted_share: float, tolerance: float = 0.02) -> Tuned:
    """Return the policy whose threshold keeps the share of frames nearest to ``wanted_share``.

    The whole policy is replayed for every threshold tried, by bisection over the recorded scores: a higher threshold
    keeps less, but for small effects of gaps and windows. With ``quantile``, the threshold is its floor. Frames that
    the policy never saw do not count.
    """
    seen = [item for item in recorded if item.observed]
    scores = sorted({item.observation.score for item in seen if item.observation.score is not None})
    if not scores:
        raise RecordedScoresError("None of the recorded frames has a score")

    def share(threshold: float) -> float:
        decisions = replay(replace(policy, threshold=threshold), seen)
        return sum(decision.keep for decision in decisions) / len(decisions)

    thresholds = [0.0, *(score for score in scores if 0 < score < 1), 1.0]
    tried: dict[float, float] = {}
    low, high = 0, len(thresholds) - 1
    while low <= high:
        middle = (low + high) // 2
        tried[thresholds[middle]] = share(thresholds[middle])
        if tried[thresholds[middle]] > wanted_share:
            low = middle + 1
        else:
            high = middle - 1
    best = min(tried, key=lambda threshold: (abs(tried[threshold] - wanted_share), -threshold))
    kept_share = tried[best]
    note = ""
    if abs(kept_share - wanted_share) > tolerance:
        note = _why_missed(policy, wanted_share, share(0.0), share(1.0))
    tuned = replace(policy, threshold=best, name=f"{policy.name}-tuned", purpose=_purpose(policy, wanted_share))
    return Tuned(tuned, wanted_share, kept_share, len(seen), note)


def _why_missed(policy: Policy, wanted: float, most: float, least: float) -> str:
    if most < wanted:
        limits = {
            "quantile": policy.quantile is not None,
            "best_of_s": policy.best_of_s > 0,
            "min_gap_s": policy.min_gap_s > 0,
            "max_age_ms": policy.max_age_ms is not None,
            "warm_up_s": policy.warm_up_s > 0,
        }
        names = ", ".join(name for name, limiting in limits.items() if limiting) or "frames without a score"
        return f"even with threshold 0 only {most:.1%} are kept; the other rules drop the rest ({names})"
    if least > wanted:
        return f"even with threshold 1 still {least:.1%} are kept, to never starve (max_gap_s)"
    return "the recorded scores have no threshold that comes nearer"


def _purpose(policy: Policy, wanted: float) -> str:
    tuned = f"Threshold tuned to keep {wanted:.0%} of recorded frames."
    return f"{policy.purpose} {tuned}" if policy.purpose else tuned
