"""Which frames to keep: a pure function from a state and a scored frame to the next state and decisions.

Nothing here reads a clock, a file or a picture, so the same scores and times give the same decisions, live or from
a recorded ``scores.jsonl``. Rules and their order are described at ``policy_spec.Policy``. At most one frame is
undecided at a time: the best so far of ``best_of_s``, or of the end of a gap that must not grow longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge_iqa.camera.policy_spec import Policy, QuantileRule
from edge_iqa.errors import InvalidInput

GOOD, BEST, NEVER_STARVE = "good", "best_of_window", "never_starve"
KEEP_REASONS = (GOOD, BEST, NEVER_STARVE)
NO_SCORE, STALE, WARM_UP, TOO_SOON = "no_score", "stale", "warm_up", "too_soon"
BELOW, NOT_BEST = "below_threshold", "not_best"
DROP_REASONS = (NO_SCORE, STALE, WARM_UP, TOO_SOON, BELOW, NOT_BEST)


@dataclass(frozen=True, slots=True)
class Observation:
    """One frame as the policy sees it.

    ``score`` is None where the frame could not be scored; NaN and infinities become None. ``time_s`` is the
    stream's clock, ``age_ms`` the time from the grab to the score. All are rounded to what ``scores.jsonl`` holds
    (score and time to 6 digits, age to 3), so that a replay decides on the same numbers.
    """

    frame: int
    score: float | None
    time_s: float
    age_ms: float
    scene_changed: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.time_s) and math.isfinite(self.age_ms)):
            raise InvalidInput("A frame's time and age must be finite", why=f"{self.time_s} s, {self.age_ms} ms")
        usable = self.score is not None and math.isfinite(self.score)
        object.__setattr__(self, "score", round(float(self.score), 6) if usable and self.score is not None else None)
        object.__setattr__(self, "time_s", round(float(self.time_s), 6))
        object.__setattr__(self, "age_ms", round(max(0.0, float(self.age_ms)), 3))


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one frame; ``threshold`` is what its score was compared with, None where it was not.

    ``score``, ``time_s``, ``age_ms`` and ``scene_changed`` are those of its observation.
    """

    frame: int
    keep: bool
    reason: str
    score: float | None
    threshold: float | None
    time_s: float
    age_ms: float
    scene_changed: bool = False


@dataclass(frozen=True)
class Held:
    """The one undecided frame: when it was observed, whether it was good, and when the wait for a better one ends."""

    observation: Observation
    good: bool
    threshold: float
    since_us: int
    until_us: int


@dataclass(frozen=True)
class PolicyState:
    """All that the policy remembers; times are whole microseconds of its own clock, which never runs backwards."""

    clock_us: int | None = None  # None before the first frame
    stream_us: int = 0  # the stream's time at the last frame
    kept_us: int | None = None  # when the last kept frame was observed
    good: bool = False  # the last compared frame was good: the hysteresis
    recent: tuple[float, ...] = ()
    held: Held | None = None


def initial_state(policy: Policy) -> PolicyState:
    """Return the state before the first frame. A policy may be exchanged for another while its state goes on."""
    return PolicyState()


def step(policy: Policy, state: PolicyState, observation: Observation) -> tuple[PolicyState, tuple[Decision, ...]]:
    """Take in one frame; return the next state and the decisions now made, on this frame or the held one.

    A stream clock that jumps back stands still for that frame; one that jumps ahead ends gaps and waits.
    """
    state = _advance(state, observation)
    state, settled = _settle(policy, state, observation)
    if observation.scene_changed and policy.scene_change is not None:
        state = replace(state, good=False, recent=())
    state, decided = _judge(policy, state, observation)
    return state, settled + decided


def finish(policy: Policy, state: PolicyState) -> tuple[Decision, ...]:
    """Return the decision on the held frame, if there is one, at the end of the stream."""
    if state.held is None:
        return ()
    return (_decide_held(policy, state, state.held),)


def current_threshold(policy: Policy, state: PolicyState) -> float:
    """Return the score that the next frame has to reach, hysteresis included."""
    entry = policy.threshold
    if policy.quantile is not None:
        entry = max(entry, _quantile(policy.quantile, state.recent))
    return round(max(0.0, entry - policy.hysteresis) if state.good else entry, 6)


def _advance(state: PolicyState, observation: Observation) -> PolicyState:
    stream_us = round(observation.time_s * 1e6)
    if state.clock_us is None:
        return replace(state, clock_us=0, stream_us=stream_us)
    return replace(state, clock_us=state.clock_us + max(0, stream_us - state.stream_us), stream_us=stream_us)


def _settle(policy: Policy, state: PolicyState, observation: Observation) -> tuple[PolicyState, tuple[Decision, ...]]:
    """Decide the held frame where its time is over: by the clock, a starving gap, a new scene or a new policy."""
    if state.held is None:
        return state, ()
    new_scene = observation.scene_changed and policy.scene_change is not None
    over = _now(state) >= state.held.until_us or policy.best_of_s == 0
    if not (over or new_scene or _starving(policy, state)):
        return state, ()
    decision = _decide_held(policy, state, state.held)
    kept_us = state.held.since_us if decision.keep else state.kept_us
    return replace(state, held=None, kept_us=kept_us), (decision,)


def _decide_held(policy: Policy, state: PolicyState, held: Held) -> Decision:
    age_ms = held.observation.age_ms + (_now(state) - held.since_us) / 1e3
    if policy.max_age_ms is not None and age_ms > policy.max_age_ms:
        return _decision(held.observation, False, STALE, held.threshold)
    if held.good:
        return _decision(held.observation, True, BEST, held.threshold)
    if _starving(policy, state):
        return _decision(held.observation, True, NEVER_STARVE, held.threshold)
    return _decision(held.observation, False, BELOW, held.threshold)


def _judge(policy: Policy, state: PolicyState, seen: Observation) -> tuple[PolicyState, tuple[Decision, ...]]:
    """Apply the rules to the new frame, in the order in which they win over one another."""
    now = _now(state)
    stale = policy.max_age_ms is not None and seen.age_ms > policy.max_age_ms
    too_soon = state.kept_us is not None and now - state.kept_us < _us(policy.min_gap_s)
    warming_up = now < _us(policy.warm_up_s)
    starving = _starving(policy, state) and not (stale or too_soon or warming_up)
    if seen.score is None:
        if starving and policy.unscored_may_fill_gap:
            return _keep_now(state, seen, NEVER_STARVE, None)
        return state, (_decision(seen, False, NO_SCORE, None),)
    threshold = current_threshold(policy, state)
    good = seen.score >= threshold
    state = replace(state, good=good, recent=_remember(policy.quantile, state.recent, seen.score))
    if stale:
        return state, (_decision(seen, False, STALE, threshold),)
    if warming_up:
        return state, (_decision(seen, False, WARM_UP, threshold),)
    if too_soon:
        return state, (_decision(seen, False, TOO_SOON if good else BELOW, threshold),)
    if starving:
        return _keep_now(state, seen, GOOD if good else NEVER_STARVE, threshold)
    if policy.best_of_s == 0:
        if good:
            return _keep_now(state, seen, GOOD, threshold)
        return state, (_decision(seen, False, BELOW, threshold),)
    return _hold_best(policy, state, seen, good, threshold)


def _hold_best(
    policy: Policy, state: PolicyState, seen: Observation, good: bool, threshold: float
) -> tuple[PolicyState, tuple[Decision, ...]]:
    """Hold the new frame where it is better than the held one; the other of the two is dropped."""
    now, held = _now(state), state.held
    rejected = _decision(seen, False, NOT_BEST if good else BELOW, threshold)
    if not good and not _gap_ends_soon(policy, state):
        return state, (rejected,)
    if held is not None and (good, seen.score or 0.0) <= (held.good, held.observation.score or 0.0):
        return state, (rejected,)
    goes_on = held is not None and held.good == good
    until_us = held.until_us if held is not None and goes_on else now + _us(policy.best_of_s)
    state = replace(state, held=Held(seen, good, threshold, now, until_us))
    if held is None:
        return state, ()
    return state, (_decision(held.observation, False, NOT_BEST if held.good else BELOW, held.threshold),)


def _keep_now(
    state: PolicyState, seen: Observation, reason: str, threshold: float | None
) -> tuple[PolicyState, tuple[Decision, ...]]:
    return replace(state, kept_us=_now(state)), (_decision(seen, True, reason, threshold),)


def _starving(policy: Policy, state: PolicyState) -> bool:
    return policy.max_gap_s is not None and _now(state) - _gap_start(policy, state) >= _us(policy.max_gap_s)


def _gap_ends_soon(policy: Policy, state: PolicyState) -> bool:
    if policy.max_gap_s is None:
        return False
    return _now(state) - _gap_start(policy, state) >= _us(policy.max_gap_s) - _us(policy.best_of_s)


def _gap_start(policy: Policy, state: PolicyState) -> int:
    return _us(policy.warm_up_s) if state.kept_us is None else state.kept_us


def _remember(rule: QuantileRule | None, recent: tuple[float, ...], score: float) -> tuple[float, ...]:
    return () if rule is None else (*recent, score)[-rule.window_frames :]


def _quantile(rule: QuantileRule, scores: tuple[float, ...]) -> float:
    """Return the lower ``level`` quantile: a score that was seen; 0 while there are too few."""
    if len(scores) < rule.min_frames:
        return 0.0
    return sorted(scores)[min(len(scores) - 1, math.floor(rule.level * len(scores)))]


def _now(state: PolicyState) -> int:
    return state.clock_us or 0


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _decision(seen: Observation, keep: bool, reason: str, threshold: float | None) -> Decision:
    return Decision(
        seen.frame, keep, reason, seen.score, threshold, seen.time_s, seen.age_ms, scene_changed=seen.scene_changed
    )
