"""What holds for every policy and every stream of scores, searched by hypothesis."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_iqa.camera.policy import (
    DROP_REASONS,
    KEEP_REASONS,
    Decision,
    Observation,
    PolicyState,
    finish,
    initial_state,
    step,
)
from edge_iqa.camera.policy_spec import Policy, QuantileRule, SceneChangeRule

searched = settings(deadline=None, max_examples=100, derandomize=True)

seconds = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 1.0, 3.0])
scores = st.one_of(st.none(), st.just(float("nan")), st.floats(0, 1))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    best_of_s, min_gap_s = draw(seconds), draw(seconds)
    extra_s = draw(st.none() | seconds)
    age_ms = draw(st.none() | st.sampled_from([0.0, 50.0, 500.0]))
    return Policy(
        schema_version=1,
        name="drawn",
        threshold=draw(st.floats(0, 1)),
        hysteresis=draw(st.sampled_from([0.0, 0.1])),
        best_of_s=best_of_s,
        min_gap_s=min_gap_s,
        max_gap_s=None if extra_s is None else max(best_of_s, min_gap_s) + extra_s,
        max_age_ms=None if age_ms is None else best_of_s * 1e3 + age_ms,
        warm_up_s=draw(seconds),
        unscored_may_fill_gap=draw(st.booleans()),
        quantile=draw(st.none() | st.builds(QuantileRule, st.floats(0, 1), st.just(7), st.integers(1, 7))),
        scene_change=draw(st.none() | st.just(SceneChangeRule())),
    )


@st.composite
def streams(draw: st.DrawFn, monotone: bool = False, scored: bool = False, fresh: bool = False) -> list[Observation]:
    steps = seconds if monotone else seconds | st.sampled_from([-0.3, -1000.0, 1000.0])
    ages = st.just(0.0) if fresh else st.sampled_from([0.0, 30.0, 400.0, 4000.0])
    items = draw(st.lists(st.tuples(steps, st.floats(0, 1) if scored else scores, ages, st.booleans()), max_size=40))
    time_s, stream = 5.0, []
    for number, (delta_s, score, age_ms, cut) in enumerate(items):
        time_s += delta_s
        stream.append(Observation(number, score, time_s, age_ms, scene_changed=cut))
    return stream


def run(policy: Policy, stream: list[Observation]) -> list[Decision]:
    state, decisions = initial_state(policy), []
    for observation in stream:
        state, decided = step(policy, state, observation)
        decisions += decided
    return decisions + list(finish(policy, state))


def kept(policy: Policy, stream: list[Observation]) -> list[Decision]:
    return sorted((item for item in run(policy, stream) if item.keep), key=lambda item: item.frame)


@searched
@given(policies(), streams())
def test_every_frame_is_decided_exactly_once_and_at_most_one_waits(policy: Policy, stream: list[Observation]) -> None:
    state, decided = initial_state(policy), 0
    for count, observation in enumerate(stream, start=1):
        state, decisions = step(policy, state, observation)
        decided += len(decisions)
        assert decided == count - (state.held is not None)
    assert sorted(item.frame for item in run(policy, stream)) == [item.frame for item in stream]


@searched
@given(policies(), streams())
def test_reasons_and_values_are_those_of_the_frame(policy: Policy, stream: list[Observation]) -> None:
    seen = {item.frame: item for item in stream}
    for decision in run(policy, stream):
        source = seen[decision.frame]
        assert decision.reason in (KEEP_REASONS if decision.keep else DROP_REASONS)
        assert (decision.score, decision.time_s, decision.age_ms) == (source.score, source.time_s, source.age_ms)
        assert (decision.reason == "no_score") <= (source.score is None)


@searched
@given(policies(), streams(monotone=True))
def test_kept_frames_are_at_least_the_minimum_gap_apart(policy: Policy, stream: list[Observation]) -> None:
    for earlier, later in pairwise(kept(policy, stream)):
        assert round((later.time_s - earlier.time_s) * 1e6) >= round(policy.min_gap_s * 1e6)


@searched
@given(policies(), streams(monotone=True, scored=True, fresh=True))
def test_never_starves(policy: Policy, stream: list[Observation]) -> None:
    """No scored frame is dropped after a full gap in which nothing was kept, until then or by a held frame."""
    if policy.max_gap_s is None or not stream:
        return
    policy = replace(policy, max_age_ms=None)
    times_us = [round(item.time_s * 1e6) for item in kept(policy, stream)]
    first_us = round(stream[0].time_s * 1e6) + round(policy.warm_up_s * 1e6)
    for observation in stream:
        now_us = round(observation.time_s * 1e6)
        last_us = max([time for time in times_us if time <= now_us], default=first_us)
        assert now_us - last_us < round(policy.max_gap_s * 1e6) or now_us == last_us


@searched
@given(policies(), streams())
def test_nothing_stale_or_in_the_warm_up_or_unscored_is_kept(policy: Policy, stream: list[Observation]) -> None:
    for decision in kept(policy, stream):
        assert policy.max_age_ms is None or decision.age_ms <= policy.max_age_ms
        assert decision.score is not None or (policy.unscored_may_fill_gap and decision.reason == "never_starve")
        assert decision.reason == "never_starve" or decision.score >= decision.threshold


@searched
@given(policies(), streams(), st.floats(0, 0.5))
def test_a_higher_threshold_keeps_no_frame_that_a_lower_one_drops(
    policy: Policy, stream: list[Observation], raise_by: float
) -> None:
    """For the rules that look at one frame at a time; gaps and windows make one frame depend on another."""
    low = replace(policy, threshold=policy.threshold / 2, min_gap_s=0.0, best_of_s=0.0, max_gap_s=None)
    high = replace(low, threshold=low.threshold + raise_by)
    assert {item.frame for item in kept(high, stream)} <= {item.frame for item in kept(low, stream)}


@searched
@given(policies(), streams())
def test_a_stream_cut_anywhere_goes_on_from_its_state(policy: Policy, stream: list[Observation]) -> None:
    """The state is all there is: the function gives the same for equal arguments, and changes none of them."""

    def go(state: PolicyState, part: list[Observation]) -> tuple[PolicyState, list[Decision]]:
        decisions: list[Decision] = []
        for observation in part:
            before = replace(state)
            following, decided = step(policy, state, observation)
            assert state == before
            assert step(policy, before, observation) == (following, decided)
            state = following
            decisions += decided
        return state, decisions

    middle = len(stream) // 2
    state, first = go(initial_state(policy), stream[:middle])
    state, second = go(state, stream[middle:])
    assert first + second + list(finish(policy, state)) == run(policy, stream)


@searched
@given(policies(), streams(), st.integers(-10_000, 10_000))
def test_only_differences_of_time_matter(policy: Policy, stream: list[Observation], shift_s: int) -> None:
    moved = [replace(item, time_s=item.time_s + shift_s) for item in stream]
    here = [(item.frame, item.keep, item.reason) for item in run(policy, stream)]
    assert [(item.frame, item.keep, item.reason) for item in run(policy, moved)] == here
