"""Replaying recorded scores: the same policy gives the same decisions; broken files are refused."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from decided import frame

from edge_iqa.camera.decision_plot import decision_plot
from edge_iqa.camera.policy import Decision, Observation, finish, initial_state, step
from edge_iqa.camera.policy_spec import Policy, QuantileRule, load_policy, policy_text, preset_names, read_policy
from edge_iqa.camera.replay import read_scores, replay, summarize
from edge_iqa.camera.scores_log import ScoresLog
from edge_iqa.camera.tune import parse_target, tune
from edge_iqa.errors import InvalidInput, RecordedScoresError


def record(policy: Policy, path: Path, frames: int = 600, seed: int = 0) -> list[Decision]:
    """Run ``policy`` over random scores and write what the loop writes; return the decisions in order."""
    chance = random.Random(seed)
    log, state, decisions = ScoresLog(path), initial_state(policy), list[Decision]()
    time_s = 1000.0
    for number in range(frames):
        time_s += chance.choice([1 / 30, 1 / 30, 0.1, 0.7]) if number != 300 else -500.0
        score = None if chance.random() < 0.05 else chance.betavariate(2, 2) / 3 + 0.3 + 0.2 * math.sin(number / 40)
        seen = Observation(number, score, time_s, chance.uniform(5, 500), scene_changed=chance.random() < 0.01)
        state, decided = step(policy, state, seen)
        decisions += decided
    decisions += finish(policy, state)
    for decision in decisions:
        log.handle(frame(0, (1, 1)), decision)
    log.close()
    return decisions


@pytest.mark.parametrize("name", preset_names())
def test_replay_gives_what_the_live_run_gave(name: str, tmp_path: Path) -> None:
    policy = load_policy(name)
    live = record(policy, tmp_path / "scores.jsonl")
    recorded = read_scores(tmp_path / "scores.jsonl")
    assert replay(policy, recorded) == live
    summary = summarize(recorded, live)
    assert (summary.frames, summary.changed) == (600, 0)
    assert 0 < summary.kept == sum(decision.keep for decision in live)


def test_another_policy_gives_other_decisions_and_says_how_many(tmp_path: Path) -> None:
    record(Policy(1, "all", 0.0), tmp_path / "scores.jsonl")
    recorded = read_scores(tmp_path / "scores.jsonl")
    decisions = replay(Policy(1, "none", 1.0), recorded)
    summary = summarize(recorded, decisions)
    assert summary.kept == 0
    assert summary.changed == sum(item.keep for item in recorded) > 500
    assert summary.reasons["below_threshold"] == summary.changed


def test_frames_that_the_policy_never_saw_keep_their_reason(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    lines = [
        line(0, score=0.9, decision="keep", reason="good"),
        line(1, reason="frozen"),
        line(2, score=0.9, decision="keep", reason="good"),
    ]
    path.write_text("\n".join(lines) + "\n")
    decisions = replay(Policy(1, "test", 1.0), read_scores(path))
    assert [decision.reason for decision in decisions] == ["below_threshold", "frozen", "below_threshold"]


def test_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(line(0) + "\n" + line(1) + "\n" + line(2)[:20])
    assert [item.observation.frame for item in read_scores(path)] == [0, 1]


def line(number: int, **changes: Any) -> str:
    values = {"frame": number, "time_s": number / 10, "score": None, "decision": "drop", "reason": "no_score"}
    return json.dumps(values | {"age_ms": 1.0} | changes)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no scores"),
        ("hello\n", "line 1 is not JSON"),
        ("[1]\n", "not a JSON object"),
        ("[" * 4000 + "\n", "line 1 is not"),
        (line(0, score="high") + "\n", "score must be a number"),
        (line(0, time_s=None) + "\n", "time_s must be a number"),
        (line(0, age_ms=math.nan) + "\n", "finite"),
        (line(0, decision="maybe") + "\n", "keep or drop"),
        (line(0, frame=1.5) + "\n", "whole number"),
        (line(0) + "\n" + line(0) + "\n", "frame 0 twice"),
        (line(0, padding="x" * 5000) + "\n", "not JSON"),
    ],
)
def test_what_watch_did_not_write_is_refused(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(text)
    with pytest.raises(RecordedScoresError, match=match):
        read_scores(path)


def test_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(RecordedScoresError, match="cannot be read"):
        read_scores(tmp_path / "none.jsonl")


@pytest.mark.parametrize("wanted", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("rules", [{}, {"hysteresis": 0.05}, {"max_gap_s": 30.0}])
def test_tuning_keeps_the_wanted_share(wanted: float, rules: dict[str, Any], tmp_path: Path) -> None:
    record(Policy(1, "all", 0.0), tmp_path / "scores.jsonl")
    recorded = read_scores(tmp_path / "scores.jsonl")
    tuned = tune(Policy(1, "mine", 0.5, **rules), recorded, wanted)
    assert tuned.kept_share == pytest.approx(wanted, abs=0.02)
    assert tuned.note == ""
    kept = sum(decision.keep for decision in replay(tuned.policy, recorded))
    assert kept / len(recorded) == tuned.kept_share


def test_tuned_policy_can_be_written_and_used(tmp_path: Path) -> None:
    record(load_policy("surveillance"), tmp_path / "scores.jsonl")
    tuned = tune(load_policy("surveillance"), read_scores(tmp_path / "scores.jsonl"), 0.2)
    (tmp_path / "mine.toml").write_text(policy_text(tuned.policy))
    assert read_policy(tmp_path / "mine.toml") == tuned.policy
    assert tuned.policy.name == "surveillance-tuned"


def test_share_that_cannot_be_reached_is_explained(tmp_path: Path) -> None:
    record(Policy(1, "all", 0.0), tmp_path / "scores.jsonl")
    recorded = read_scores(tmp_path / "scores.jsonl")
    assert "min_gap_s" in tune(Policy(1, "mine", 0.5, min_gap_s=5.0), recorded, 0.9).note
    assert "max_gap_s" in tune(Policy(1, "mine", 0.5, max_gap_s=0.05), recorded, 0.01).note


def test_target_is_a_share() -> None:
    assert [parse_target(text) for text in ("keep=30%", "keep=0.3", " keep=100% ")] == [0.3, 0.3, 1.0]
    for text in ("30%", "keep=0%", "keep=30", "keep=101%", "keep=-1%", "drop=3%"):
        with pytest.raises(InvalidInput):
            parse_target(text)


@pytest.mark.parametrize("frames", [0, 1, 600, 5000])
def test_plot_shows_every_reason_and_stays_small(frames: int, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    policy = Policy(1, "test", 0.5, min_gap_s=0.1, quantile=QuantileRule(0.5, 50, 5))
    decisions = record(policy, tmp_path / "scores.jsonl", frames)
    svg = decision_plot(decisions, "run <1> & co")
    root = ElementTree.fromstring(svg)
    words = " ".join(item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "run <1> & co" in words
    for reason in {decision.reason for decision in decisions}:
        assert f"{reason} {sum(item.reason == reason for item in decisions)}" in words
    assert f"{sum(item.keep for item in decisions)} of {frames} frames kept" in words
    assert len(svg) < 400_000
