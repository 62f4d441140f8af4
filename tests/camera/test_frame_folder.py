"""Kept frames on disk: whole or not there, within their limits, the oldest out first."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from decided import decision, frame

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.frame_folder import FrameFolder
from edge_iqa.camera.frame_sinks import HandedOn, KeptFrames, RejectedFrames
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import CallbackSink
from edge_iqa.errors import InvalidInput, SinkError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_picture_is_written_in_its_colours(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    pixels[:, :] = (250, 10, 60)
    path = FrameFolder(tmp_path, picture_format="png").write(7, pixels)
    assert path.name == "frame_0001_000007.png"
    assert np.array_equal(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), pixels)


def test_count_is_capped_and_the_oldest_goes(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, max_count=3)
    for number in range(5):
        folder.write(number, frame(number).pixels)
    assert names(tmp_path) == [f"frame_0001_00000{number}.jpg" for number in (2, 3, 4)]
    assert (len(folder), folder.removed) == (3, 2)


def test_bytes_are_capped(tmp_path: Path) -> None:
    size_bytes = FrameFolder(tmp_path / "probe").write(0, frame(0).pixels).stat().st_size
    folder = FrameFolder(tmp_path / "kept", max_bytes=size_bytes * 3)
    for number in range(12):
        folder.write(number, frame(number).pixels)
        on_disk = sum(path.stat().st_size for path in folder.folder.iterdir())
        assert on_disk == folder.bytes <= folder.max_bytes
    assert names(folder.folder)[-1] == "frame_0001_000011.jpg"


def test_picture_larger_than_the_folder_is_an_error_and_removes_nothing(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, max_bytes=12_000)
    folder.write(0, frame(0).pixels)
    with pytest.raises(OSError, match="larger than the folder"):
        folder.write(1, frame(1, (300, 400)).pixels)
    assert names(tmp_path) == ["frame_0001_000000.jpg"]


def test_restart_overwrites_nothing_counts_the_old_and_clears_the_unfinished(tmp_path: Path) -> None:
    first = FrameFolder(tmp_path)
    for number in range(3):
        first.write(number, frame(number).pixels)
    (tmp_path / "frame_0001_000003.jpg.partial").write_bytes(b"half a pic")
    (tmp_path / "frame_0001_000004.jpg").touch()
    (tmp_path / "holiday.jpg").write_bytes(b"not ours")
    second = FrameFolder(tmp_path, max_count=4)
    second.write(0, frame(0).pixels)
    second.write(1, frame(1).pixels)
    assert names(tmp_path) == [
        "frame_0001_000001.jpg", "frame_0001_000002.jpg", "frame_0002_000000.jpg", "frame_0002_000001.jpg",
        "holiday.jpg",
    ]  # fmt: skip


def test_failed_write_leaves_no_file_and_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FrameFolder(tmp_path)

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        folder.write(0, frame(0).pixels)
    assert names(tmp_path) == []
    assert (len(folder), folder.bytes) == (0, 0)


def test_picture_removed_by_somebody_else_is_no_trouble(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path, max_count=1)
    folder.write(0, frame(0).pixels).unlink()
    folder.write(1, frame(1).pixels)
    assert names(tmp_path) == ["frame_0001_000001.jpg"]


@pytest.mark.parametrize("options", [{"max_count": 0}, {"max_bytes": 0}, {"picture_format": "gif"}])
def test_impossible_limits_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        FrameFolder(tmp_path, **options)  # type: ignore[arg-type]


def test_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="cannot be used"):
        FrameFolder(tmp_path / "file" / "kept")


def test_kept_sink_hands_on_what_it_wrote(tmp_path: Path) -> None:
    there: list[bool] = []
    folder = FrameFolder(tmp_path)
    after = CallbackSink(lambda frame, decision: there.append(folder.path_of(frame.number).is_file()))
    kept = KeptFrames(folder, then=after)
    assert [kept.wants(decision(0)), kept.wants(decision(1, keep=False))] == [True, False]
    kept.handle(frame(0), decision(0))
    assert there == [True]


def test_slow_command_holds_up_no_picture_and_its_losses_are_counted(tmp_path: Path) -> None:
    gate, seen = threading.Event(), list[int]()

    def slow(frame: Frame, decision: Decision) -> None:
        gate.wait()
        seen.append(frame.number)

    command = SinkQueue(CallbackSink(slow), size=1)
    writing = SinkQueue(KeptFrames(FrameFolder(tmp_path), then=command), size=20, wait_s=None)
    standing = HandedOn(command)
    assert not standing.wants(decision(0))
    for number in range(8):
        writing.handle(frame(number), decision(number))
    writing.close()
    assert len(names(tmp_path)) == 8
    gate.set()
    standing.close()
    assert len(seen) + standing.lost_total == 8
    assert 1 <= len(seen) <= 2
    assert writing.lost_total == 0


def test_rejects_are_sampled_per_reason(tmp_path: Path) -> None:
    sink = RejectedFrames(FrameFolder(tmp_path), every=10)
    reasons = ["below_threshold"] * 25 + ["stale"] + ["below_threshold"] * 10
    wanted = [
        number for number, reason in enumerate(reasons) if sink.wants(decision(number, keep=False, reason=reason))
    ]
    assert wanted == [0, 10, 20, 25, 31]
    assert not sink.wants(decision(99, keep=True))
    sink.handle(frame(25), decision(25, keep=False))
    assert names(tmp_path) == ["frame_0001_000025.jpg"]
