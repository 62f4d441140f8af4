"""Which frames are kept: examples of every rule, in simple numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from edge_iqa.camera.policy import Decision, Observation, current_threshold, finish, initial_state, step
from edge_iqa.camera.policy_spec import Policy, QuantileRule, SceneChangeRule
from edge_iqa.errors import InvalidInput

Seen = tuple[float, float | None]  # time in seconds, score


def policy(**rules: Any) -> Policy:
    return Policy(**{"schema_version": 1, "name": "test", "threshold": 0.5} | rules)


def run(rules: Policy, seen: Sequence[Seen | Observation]) -> dict[int, Decision]:
    """Return frame -> decision after the whole stream; fails where a frame is decided twice."""
    state, decisions = initial_state(rules), []
    for number, item in enumerate(seen):
        observation = item if isinstance(item, Observation) else Observation(number, item[1], item[0], 10.0)
        state, decided = step(rules, state, observation)
        decisions += decided
    decisions += finish(rules, state)
    assert sorted(decision.frame for decision in decisions) == list(range(len(seen)))
    return {decision.frame: decision for decision in decisions}


def kept(rules: Policy, seen: Sequence[Seen | Observation]) -> list[int]:
    return [frame for frame, decision in sorted(run(rules, seen).items()) if decision.keep]


def reasons(rules: Policy, seen: Sequence[Seen | Observation]) -> list[str]:
    return [decision.reason for _, decision in sorted(run(rules, seen).items())]


def test_threshold_keeps_what_reaches_it() -> None:
    assert reasons(policy(), [(0, 0.49), (1, 0.5), (2, 0.51)]) == ["below_threshold", "good", "good"]


def test_hysteresis_goes_on_until_a_frame_is_below_the_lower_edge() -> None:
    rules = policy(hysteresis=0.1)
    assert kept(rules, [(0, 0.45), (1, 0.5), (2, 0.45), (3, 0.39), (4, 0.45), (5, 0.6)]) == [1, 2, 5]


def test_decision_carries_the_threshold_it_was_made_with() -> None:
    found = run(policy(hysteresis=0.1), [(0, 0.6), (1, 0.45), (2, None)])
    assert [found[number].threshold for number in range(3)] == [0.5, 0.4, None]


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_frame_without_a_score_is_dropped_and_said_to_have_none(score: float | None) -> None:
    found = run(policy(threshold=0.0), [(0, score)])
    assert (found[0].keep, found[0].reason, found[0].score) == (False, "no_score", None)


def test_minimum_gap() -> None:
    seen = [(number / 10, 0.9) for number in range(7)]
    assert kept(policy(min_gap_s=0.3), seen) == [0, 3, 6]
    assert reasons(policy(min_gap_s=0.3), seen)[1] == "too_soon"


def test_never_starve_keeps_the_next_frame_after_the_gap() -> None:
    seen = [(number / 10, 0.1) for number in range(10)]
    found = run(policy(max_gap_s=0.4), seen)
    assert [number for number in found if found[number].keep] == [4, 8]
    assert found[4].reason == "never_starve"


def test_never_starve_with_best_of_keeps_the_best_of_the_end_of_the_gap() -> None:
    scores = [0.9, 0.4, 0.1, 0.1, 0.3, 0.2, 0.1, 0.1]
    rules = policy(max_gap_s=0.6, best_of_s=0.2)
    found = run(rules, [(number / 10, score) for number, score in enumerate(scores)])
    assert [number for number, decision in sorted(found.items()) if decision.keep] == [0, 4]
    assert found[4].reason == "never_starve"


def test_never_starve_does_not_keep_what_has_no_score_unless_told() -> None:
    seen: list[Seen] = [(0, 0.9), (1, None), (2, None), (3, 0.1)]
    assert kept(policy(max_gap_s=2.0), seen) == [0, 3]
    assert kept(policy(max_gap_s=2.0, unscored_may_fill_gap=True), seen) == [0, 2]


def test_best_of_window_keeps_one_frame_per_window() -> None:
    seen = [(0.0, 0.6), (0.1, 0.9), (0.2, 0.7), (0.3, 0.2), (0.5, 0.6), (0.6, 0.55)]
    assert reasons(policy(best_of_s=0.4), seen) == [
        "not_best", "best_of_window", "not_best", "below_threshold", "best_of_window", "not_best",
    ]  # fmt: skip


def test_held_frame_is_decided_by_the_frame_after_its_window() -> None:
    rules = policy(best_of_s=0.4)
    state, first = step(rules, initial_state(rules), Observation(0, 0.8, 0.0, 5.0))
    state, second = step(rules, state, Observation(1, 0.1, 0.39, 5.0))
    _, third = step(rules, state, Observation(2, 0.1, 0.4, 5.0))
    assert (first, [item.frame for item in second]) == ((), [1])
    assert [(item.frame, item.keep) for item in third] == [(0, True), (2, False)]


def test_minimum_gap_is_between_the_kept_frames_not_between_the_decisions() -> None:
    seen = [(number / 10, 0.6 + number / 100) for number in range(20)]
    times = [seen[number][0] for number in kept(policy(best_of_s=0.3, min_gap_s=0.5), seen)]
    assert len(times) >= 2
    assert all(later - earlier >= 0.5 - 1e-9 for earlier, later in pairwise(times))


def test_old_frame_is_dropped() -> None:
    seen = [Observation(0, 0.9, 0.0, 99.0), Observation(1, 0.9, 0.1, 101.0)]
    assert reasons(policy(max_age_ms=100.0), seen) == ["good", "stale"]


def test_held_frame_that_grew_old_is_dropped() -> None:
    seen = [Observation(0, 0.9, 0.0, 50.0), Observation(1, 0.1, 30.0, 50.0)]
    assert reasons(policy(max_age_ms=1000.0, best_of_s=0.5), seen) == ["stale", "below_threshold"]


def test_warm_up_keeps_nothing() -> None:
    assert reasons(policy(warm_up_s=0.2), [(7.0, 0.9), (7.1, 0.9), (7.2, 0.9)]) == ["warm_up", "warm_up", "good"]


def test_quantile_raises_the_threshold_once_it_knows_enough() -> None:
    rules = policy(threshold=0.1, quantile=QuantileRule(level=0.75, window_frames=4, min_frames=4))
    seen: list[Seen] = [(0, 0.2), (1, 0.3), (2, 0.4), (3, 0.6), (4, 0.5), (5, 0.6), (6, 0.6)]
    assert kept(rules, seen) == [0, 1, 2, 3, 5, 6]


def test_quantile_forgets_scores_outside_its_window() -> None:
    rules = policy(threshold=0.1, quantile=QuantileRule(level=0.5, window_frames=3, min_frames=1))
    state = initial_state(rules)
    for number, score in enumerate([0.9, 0.9, 0.9, 0.2, 0.2, 0.2]):
        state, _ = step(rules, state, Observation(number, score, float(number), 0.0))
    assert current_threshold(rules, state) == 0.2


def test_threshold_is_the_floor_of_the_quantile() -> None:
    rules = policy(threshold=0.5, quantile=QuantileRule(level=0.5, window_frames=3, min_frames=1))
    assert kept(rules, [(number, 0.3) for number in range(5)]) == []


def test_new_scene_forgets_the_old_scores_and_decides_the_held_frame() -> None:
    rules = policy(
        threshold=0.1,
        best_of_s=10.0,
        quantile=QuantileRule(level=0.5, window_frames=9, min_frames=2),
        scene_change=SceneChangeRule(),
    )
    seen = [Observation(number, 0.8, number / 10, 0.0) for number in range(4)]
    seen.append(Observation(4, 0.3, 0.4, 0.0, scene_changed=True))
    found = run(rules, seen)
    assert [number for number in range(5) if found[number].keep] == [0, 4]
    assert found[4].threshold == 0.1
    unaware = run(replace(rules, scene_change=None), seen)
    assert not unaware[4].keep


def test_clock_that_jumps_back_stands_still() -> None:
    seen = [(100.0, 0.9), (0.0, 0.9), (0.5, 0.9), (1.0, 0.9)]
    assert kept(policy(min_gap_s=1.0), seen) == [0, 3]


def test_clock_that_jumps_ahead_does_not_keep_bad_frames_for_ever() -> None:
    seen = [(0.0, 0.9), (1e9, 0.1), (1e9 + 0.1, 0.1), (0.0, 0.1), (0.1, 0.1)]
    assert kept(policy(max_gap_s=1.0), seen) == [0, 1]


@pytest.mark.parametrize(("time_s", "age_ms"), [(math.nan, 0.0), (0.0, math.inf)])
def test_time_that_is_none_is_refused(time_s: float, age_ms: float) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        Observation(0, 0.5, time_s, age_ms)


def test_policy_may_change_while_a_frame_is_held() -> None:
    holding, plain = policy(best_of_s=5.0), policy()
    state, _ = step(holding, initial_state(holding), Observation(0, 0.8, 0.0, 0.0))
    _, decided = step(plain, state, Observation(1, 0.1, 0.1, 0.0))
    assert [(item.frame, item.keep) for item in decided] == [(0, True), (1, False)]
