"""The soak and the overhead measurement run, and what they say follows from what they saw."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from loop_runs import SharpnessScorer

from edge_iqa.benchmarks import camera_overhead, camera_soak
from edge_iqa.benchmarks.camera_soak import ROUND_FRAMES, Soak, random_faults, run_soak

LIVE, FROM_A_FILE = 5, 2  # seeds whose first round is the one or the other


@pytest.mark.parametrize(("seed", "live"), [(LIVE, True), (FROM_A_FILE, False)])
def test_a_short_soak_balances_and_counts_its_faults(seed: int, live: bool) -> None:
    soak = run_soak(seed, minutes=0.001, scorer=SharpnessScorer(), size=(64, 48))
    assert soak.rounds == 1
    assert soak.frames_in == ROUND_FRAMES
    assert soak.balanced
    assert soak.problems == []
    assert sum(soak.faults.values()) == 12
    if not live:  # then every frame is decided, and the unreliable sink is sure to fail on some
        assert "superseded" not in soak.dropped
        assert soak.sink_lost["unreliable"] > 0
    json.dumps(soak.document())


def test_the_same_seed_makes_the_same_faults() -> None:
    assert random_faults(random.Random(1)) == random_faults(random.Random(1))
    assert random_faults(random.Random(1)) != random_faults(random.Random(2))


def test_books_that_do_not_balance_and_growing_memory_are_seen() -> None:
    soak = Soak(1, frames_in=3, kept=1)
    assert not soak.balanced
    assert soak.memory_slope_mb_per_h() is None
    soak.memory = [(minute * 60.0, 100 + minute) for minute in range(60)]
    assert soak.memory_slope_mb_per_h() == pytest.approx(60)


def test_the_overhead_is_measured_with_and_without_the_loop(
    sharpness_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "overhead.json"
    arguments = ["--bundle", str(sharpness_bundle), "--backend", "onnxruntime", "--size", "320x240", "--rounds", "1"]
    camera_overhead.main([*arguments, "--seconds", "0.5", "--max-ratio", "1000", "--json", str(report)])
    document: dict[str, Any] = json.loads(report.read_text())
    assert document == json.loads(capsys.readouterr().out)
    assert document["frames"] == 60
    assert document["plain_ms"] > 0
    assert document["cpu_ratio"] == pytest.approx(document["loop_cpu_ms"] / document["plain_cpu_ms"])
    assert [share["camera_fps"] for share in document["shares"]] == [5, 15, 30]
    assert all(share["cpu_percent"] > 0 for share in document["shares"])


def test_the_soak_is_a_command(sharpness_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "soak.json"
    arguments = ["--minutes", "0.001", "--seed", "7", "--size", "64x48", "--bundle", str(sharpness_bundle)]
    assert camera_soak.main([*arguments, "--backend", "onnxruntime", "--json", str(report)]) == 0
    assert "seed 7" in capsys.readouterr().err
    assert json.loads(report.read_text())["balanced"] is True
