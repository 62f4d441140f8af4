"""Policies as TOML: the presets, what is refused, and that a written policy reads back equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_iqa.camera.policy_spec import Policy, load_policy, policy_text, preset_names, read_policy
from edge_iqa.errors import PolicyError, UnknownKey


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text("schema_version = 1\nname = 'mine'\n" + text, encoding="utf-8")
    return path


def test_the_named_presets_are_there() -> None:
    assert preset_names() == ("archive", "dataset", "inspection", "slam", "surveillance")


@pytest.mark.parametrize("name", preset_names())
def test_preset_reads_and_says_what_it_is_for(name: str) -> None:
    policy = load_policy(name)
    assert policy.name == name
    assert policy.purpose


@pytest.mark.parametrize("name", preset_names())
def test_written_policy_reads_back_equal(name: str, tmp_path: Path) -> None:
    path = tmp_path / "again.toml"
    path.write_text(policy_text(load_policy(name)), encoding="utf-8")
    assert read_policy(path) == load_policy(name)


def test_written_strings_are_quoted(tmp_path: Path) -> None:
    policy = Policy(1, 'a "quoted" \\ name\n', 0.5, purpose="ä\x7f\x01")
    path = tmp_path / "again.toml"
    path.write_text(policy_text(policy), encoding="utf-8")
    assert read_policy(path) == policy


def test_slam_never_starves_even_without_scores() -> None:
    policy = load_policy("slam")
    assert policy.max_gap_s is not None
    assert policy.unscored_may_fill_gap


def test_misspelt_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownKey, match="treshold"):
        read_policy(write(tmp_path, "threshold = 0.5\ntreshold = 0.5"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("threshold = 1.5", "threshold must be from 0 to 1"),
        ("threshold = 0.5\nhysteresis = -0.1", "hysteresis"),
        ("threshold = 0.5\nmin_gap_s = 2.0\nmax_gap_s = 1.0", "shorter than min_gap_s"),
        ("threshold = 0.5\nbest_of_s = 2.0\nmax_gap_s = 1.0", "shorter than min_gap_s or best_of_s"),
        ("threshold = 0.5\nbest_of_s = 2.0\nmax_age_ms = 1000.0", "longer than max_age_ms"),
        ("threshold = 0.5\n[quantile]\nlevel = 2.0", "quantile.level"),
        ("threshold = 0.5\n[quantile]\nlevel = 0.5\nwindow_frames = 100000", "window_frames"),
        ("threshold = 0.5\n[quantile]\nlevel = 0.5\nwindow_frames = 5\nmin_frames = 6", "min_frames"),
        ("threshold = 0.5\n[scene_change]\ndifference = 2.0", "difference"),
        ("threshold = ", "not a TOML file"),
    ],
)
def test_rules_that_make_no_sense_are_refused(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=match):
        read_policy(write(tmp_path, text))


@pytest.mark.parametrize("document", ["", "schema_version = 2\nname = 'x'\nthreshold = 0.5"])
def test_other_schema_is_refused(document: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(document, encoding="utf-8")
    with pytest.raises(PolicyError, match="schema_version"):
        read_policy(path)


@pytest.mark.parametrize("name", ["nothing", "../slam", ""])
def test_unknown_policy_names_the_presets(name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(name)
    assert "surveillance" in str(caught.value)


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"#" * 200_000)
    with pytest.raises(PolicyError, match="too large"):
        read_policy(path)


def test_nan_in_code_is_refused() -> None:
    values: dict[str, Any] = {"threshold": float("nan")}
    with pytest.raises(PolicyError, match="threshold"):
        Policy(1, "x", **values)
