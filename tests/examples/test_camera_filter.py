"""The example camera_filter.py keeps sharp frames, and ends well whatever the source does."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import edge_iqa
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.decode import read_image
from edge_iqa.scorer import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "camera_filter.py"
PHOTOGRAPHS = Path(edge_iqa.__file__).parent / "assets" / "photographs"
FPS = 10
SHARP = [index % 3 != 2 for index in range(12)]  # every third frame is heavily blurred


def scene() -> NDArray[np.uint8]:
    """Return a picture ``(240, 320, 3)`` uint8 BGR full of edges."""
    picture = np.full((240, 320, 3), 90, np.uint8)
    random = np.random.default_rng(0)
    for _ in range(120):
        corner = random.integers(0, (300, 220))
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        cv2.rectangle(picture, corner.tolist(), (corner + random.integers(5, 40, 2)).tolist(), colour, -1)
    return picture


def write_video(path: Path, picture: NDArray[np.uint8]) -> None:
    height, width = picture.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (width, height))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    blurred = cv2.GaussianBlur(picture, (0, 0), 8)
    for is_sharp in SHARP:
        writer.write(picture if is_sharp else blurred)
    writer.release()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    write_video(path, scene())
    return path


@pytest.fixture
def example(sharpness_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the example as a module whose ``edge_iqa.load()`` gives a model that measures sharpness."""
    monkeypatch.setattr(edge_iqa, "load", partial(load, sharpness_bundle, "onnxruntime", threads=1), raising=False)
    spec = importlib.util.spec_from_file_location("camera_filter", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(example: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["camera_filter.py", *map(str, arguments)])
    code: int = example.main()
    return code


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


def test_sharp_frames_are_kept(
    example: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = tmp_path / "new" / "kept"
    assert run(example, monkeypatch, video, "--keep-dir", kept, "--threshold", "0.34") == 0
    rows = rows_in(kept)
    assert [row["frame"] for row in rows] == list(range(12))
    assert [row["time_s"] for row in rows] == pytest.approx([index / FPS for index in range(12)])
    assert [row["decision"] for row in rows] == ["keep" if is_sharp else "drop" for is_sharp in SHARP]
    assert all(set(row) == {"frame", "time_s", "score", "decision", "reason", "age_ms"} for row in rows)
    assert all(row["age_ms"] > 0 and row["reason"] for row in rows)
    names = [f"frame_{index:06d}.jpg" for index, is_sharp in enumerate(SHARP) if is_sharp]
    assert sorted(path.name for path in kept.glob("*.jpg")) == names
    saved = np.asarray(cv2.imread(str(kept / names[0])), int)
    assert np.abs(saved - scene()).mean() < 10  # the picture itself, its colours in order
    assert capsys.readouterr().err == f"8 kept, 4 dropped, 0 broken in {kept}\n"


def test_the_threshold_itself_is_kept(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, video: Path, tmp_path: Path
) -> None:
    assert run(example, monkeypatch, video, "--keep-dir", tmp_path, "--threshold", "0") == 0
    assert {row["decision"] for row in rows_in(tmp_path)} == {"keep"}


class BrokenCapture:
    """A source of five frames, of which the second cannot be decoded; then it does ``at_end``."""

    def __init__(self, at_end: type[BaseException] | None = None) -> None:
        self.frame = -1
        self.at_end = at_end

    def isOpened(self) -> bool:
        return True

    def get(self, _: int) -> float:
        return 0.0

    def grab(self) -> bool:
        self.frame += 1
        if self.frame == 5 and self.at_end is not None:
            raise self.at_end
        return self.frame < 5

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        return (False, None) if self.frame == 1 else (True, scene())


@pytest.mark.parametrize("at_end", [None, KeyboardInterrupt])
def test_broken_frames_are_counted_and_ctrl_c_ends_a_camera(
    example: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    at_end: type[BaseException] | None,
) -> None:
    opened: list[int | str] = []

    def open_capture(source: int | str) -> BrokenCapture:
        opened.append(source)
        return BrokenCapture(at_end)

    monkeypatch.setattr(cv2, "VideoCapture", open_capture)
    assert run(example, monkeypatch, "0", "--keep-dir", tmp_path, "--threshold", "0") == 0
    assert opened == [0]  # a number is a camera
    rows = rows_in(tmp_path)
    assert [row["frame"] for row in rows] == [0, 2, 3, 4]
    assert [row["time_s"] for row in rows] == sorted(row["time_s"] for row in rows)
    assert capsys.readouterr().err == f"4 kept, 0 dropped, 1 broken in {tmp_path}\n"


def test_a_source_that_cannot_be_opened(tmp_path: Path) -> None:
    text = tmp_path / "text.avi"
    text.write_text("not a video")
    for source, message in ((tmp_path / "none.avi", "There is no video"), (text, "cannot be opened")):
        command = [sys.executable, str(EXAMPLE), str(source), "--keep-dir", str(tmp_path / "kept")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 4
        assert "E250" in done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "kept").exists()


def test_a_folder_that_cannot_be_made(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(example, monkeypatch, video, "--keep-dir", video / "kept") == 2
    assert "clip.avi" in capsys.readouterr().err


def embedded_model_is_trained() -> bool:
    """Return whether the embedded bundle says where its weights come from; a placeholder does not."""
    return default_bundle_path().is_file() and bool(read_bundle(default_bundle_path()).manifest.provenance)


@pytest.mark.skipif(not embedded_model_is_trained(), reason="the embedded bundle is not a trained model")
def test_the_embedded_model_scores_sharp_frames_higher(tmp_path: Path) -> None:
    """As a script, with the model that comes with the package, on a photograph."""
    photograph = read_image(min(PHOTOGRAPHS.glob("*.jpg")))[:, :, ::-1]
    video = tmp_path / "clip.avi"
    write_video(video, np.ascontiguousarray(photograph))
    command = [sys.executable, str(EXAMPLE), str(video), "--keep-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    scores = [row["score"] for row in rows_in(tmp_path)]
    sharp = [score for score, is_sharp in zip(scores, SHARP, strict=True) if is_sharp]
    blurred = [score for score, is_sharp in zip(scores, SHARP, strict=True) if not is_sharp]
    assert min(sharp) > max(blurred)
