"""scores.jsonl: what a line holds, one run per file, rotation, and a disk that takes half a line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from decided import decision, frame

from edge_iqa.camera.policy import Decision
from edge_iqa.camera.scores_log import ScoresLog, decision_line
from edge_iqa.errors import SinkError


def write(log: ScoresLog, *numbers: int) -> None:
    for number in numbers:
        log.handle(frame(number), decision(number))


def frames(path: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_line_holds_what_the_contract_says(tmp_path: Path) -> None:
    log = ScoresLog(tmp_path / "scores.jsonl")
    log.handle(frame(3), Decision(3, False, "stale", None, None, 0.3, 512.25))
    assert json.loads(log.path.read_text()) == {
        "frame": 3, "time_s": 0.3, "score": None, "decision": "drop", "reason": "stale", "age_ms": 512.25,
    }  # fmt: skip
    log.close()


def test_change_of_scene_is_in_the_line_only_where_there_was_one() -> None:
    assert decision_line(Decision(0, True, "good", 0.9, 0.5, 0.0, 1.0, scene_changed=True))["scene_changed"] is True
    assert "scene_changed" not in decision_line(decision(0))


def test_line_is_on_disk_as_soon_as_it_is_handled(tmp_path: Path) -> None:
    log = ScoresLog(tmp_path / "scores.jsonl")
    write(log, 0, 1)
    assert frames(log.path) == [0, 1]
    log.close()


def test_new_run_keeps_the_old_file_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    for run in range(4):
        log = ScoresLog(path, backups=2)
        write(log, run)
        log.close()
    assert [frames(path.with_name(name)) for name in ("scores.jsonl", "scores.jsonl.1", "scores.jsonl.2")] == [
        [3], [2], [1],
    ]  # fmt: skip
    assert len(list(tmp_path.iterdir())) == 3


def test_file_is_rotated_before_it_grows_too_large(tmp_path: Path) -> None:
    log = ScoresLog(tmp_path / "scores.jsonl", max_bytes=300, backups=2)
    write(log, *range(20))
    log.close()
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())
    assert frames(log.path)[-1] == 19
    assert len(list(tmp_path.iterdir())) == 3


def test_disk_that_is_full_leaves_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ScoresLog(tmp_path / "scores.jsonl")
    write(log, 0)
    real = log._file

    class Full:
        """Takes ten bytes, then none, as a file on a full disk does."""

        room = 10

        def write(self, data: bytes) -> int:
            taken = real.write(data[: self.room]) or 0
            self.room -= taken
            return taken

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    monkeypatch.setattr(log, "_file", Full())
    with pytest.raises(OSError, match="in part"):
        write(log, 1)
    monkeypatch.setattr(log, "_file", real)
    write(log, 2)
    log.close()
    assert frames(log.path) == [0, 2]


def test_rotation_that_fails_once_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ScoresLog(tmp_path / "scores.jsonl", max_bytes=300)
    write(log, 0, 1)

    def refuse(source: object, target: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            write(log, 2, 3, 4)
    write(log, 5)
    log.close()
    assert frames(log.path)[-1] == 5
    assert frames(log.path.with_name("scores.jsonl.1"))[:2] == [0, 1]


def test_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        ScoresLog(tmp_path)
