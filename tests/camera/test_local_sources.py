"""Files, folders, pipes and the test pattern: what goes in comes out; broken input is counted or refused."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.camera.source import Grab, Source, SourceOptions
from edge_iqa.camera.source_open import make_source
from edge_iqa.camera.test_pattern import TestPattern
from edge_iqa.errors import CameraBusy, CameraCodec, CameraNotFound, CameraStalled, EdgeIqaError, InvalidInput

PATTERN = TestPattern(64, 48, seed=0)


def grabs(source: Source) -> list[Grab]:
    source.open()
    try:
        return list(iter(source.grab, None))
    finally:
        source.close()


def pictures(source: Source) -> list[NDArray[np.uint8] | None]:
    return [grab.read() for grab in grabs(source)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    for index in range(8):
        writer.write(PATTERN.picture(index)[:, :, ::-1])
    writer.release()
    return path


def test_a_video_comes_in_order_in_rgb_on_its_own_clock(video: Path) -> None:
    source = make_source(str(video))
    assert not source.live
    found = grabs(source)
    assert [grab.time_s for grab in found] == pytest.approx([n / 10 for n in range(8)])
    for index, grab in enumerate(found):
        picture = grab.read()
        assert picture is not None
        assert picture.shape == (48, 64, 3)
        assert np.abs(picture.astype(int) - PATTERN.picture(index)).mean() < 12


def test_what_is_no_video_is_refused_with_its_reason(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(CameraCodec, match="cannot be opened as a video"):
        make_source(str(text)).open()
    with pytest.raises(CameraNotFound):
        make_source(str(tmp_path / "none.mp4"))
    if os.geteuid() != 0:
        text.chmod(0)
        with pytest.raises(CameraBusy):
            make_source(str(text)).open()


def test_a_folder_is_read_by_name_and_a_broken_picture_is_a_broken_frame(tmp_path: Path) -> None:
    for index in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"f{index}.png"), PATTERN.picture(index)[:, :, ::-1])
    (tmp_path / "f3.jpg").write_bytes(b"\xff\xd8\xff broken")
    (tmp_path / "notes.txt").write_text("no picture")
    found = pictures(make_source(str(tmp_path), SourceOptions(fps=5)))
    assert [
        None if picture is None else bool((picture == PATTERN.picture(index)).all())
        for index, picture in enumerate(found)
    ] == [True, True, True, None]
    assert [grab.time_s for grab in grabs(make_source(str(tmp_path), SourceOptions(fps=5)))] == [0, 0.2, 0.4, 0.6]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CameraCodec, match="no pictures"):
        make_source(str(tmp_path / "empty")).open()


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Return a function that puts bytes on the standard input, and whether its other end stays open."""
    opened: list[int] = []

    def put(data: bytes, stay_open: bool = False) -> None:
        reading, writing = os.pipe()
        opened.append(reading)
        os.write(writing, data)
        if stay_open:
            opened.append(writing)
        else:
            os.close(writing)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: reading))

    yield put
    for descriptor in opened:
        os.close(descriptor)


def ppm(picture: NDArray[np.uint8]) -> bytes:
    return b"P6\n# a comment\n%d %d\n255\n" % (picture.shape[1], picture.shape[0]) + picture.tobytes()


def test_ppm_pictures_on_stdin_may_change_size(stdin) -> None:  # type: ignore[no-untyped-def]
    small = TestPattern(17, 9, seed=1).picture(0)
    stdin(ppm(PATTERN.picture(0)) + ppm(small))
    first, second = pictures(make_source("-"))
    assert np.array_equal(np.asarray(first), PATTERN.picture(0))
    assert np.array_equal(np.asarray(second), small)


@pytest.mark.parametrize("size", [(64, 48), (33, 25)])
def test_y4m_on_stdin_keeps_its_colours_and_clock(stdin, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    width, height = size
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:] = (200, 60, 30)
    even = cv2.resize(rgb, ((width + 1) // 2 * 2, (height + 1) // 2 * 2))
    planes = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
    luma = planes[: even.shape[0]][:height, :width]
    data = luma.tobytes() + planes[even.shape[0] :].tobytes()
    header = f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode()
    stdin(header + b"FRAME\n" + data + b"FRAME Ip\n" + data)
    found = grabs(make_source("-"))
    assert [grab.time_s for grab in found] == [0, 0.1]
    for grab in found:
        picture = np.asarray(grab.read())
        assert picture.shape == (height, width, 3)
        assert np.abs(picture.astype(int) - rgb).max() <= 6


@pytest.mark.parametrize("layout", ["rgb24", "bgr24", "gray8"])
def test_headerless_frames_on_stdin(stdin, layout: str) -> None:  # type: ignore[no-untyped-def]
    rgb = PATTERN.picture(3)
    sent = {"rgb24": rgb, "bgr24": rgb[:, :, ::-1], "gray8": rgb[:, :, 0]}[layout]
    expected = np.repeat(rgb[:, :, :1], 3, axis=2) if layout == "gray8" else rgb
    stdin(sent.tobytes() * 2)
    found = pictures(make_source("-", SourceOptions(width=64, height=48, raw=layout, fps=10)))
    assert len(found) == 2
    assert all(np.array_equal(np.asarray(picture), expected) for picture in found)


def test_a_frame_cut_short_is_broken_and_the_end(stdin) -> None:  # type: ignore[no-untyped-def]
    stdin(ppm(PATTERN.picture(0)) + ppm(PATTERN.picture(1))[:-7])
    found = pictures(make_source("-"))
    assert found[0] is not None
    assert found[1:] == [None]


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF....AVI " + bytes(9000),
        b"P6\n64 48\n65535\n",
        b"P6\n99999 99999\n255\n",
        b"P6\nx y\n255\n",
        b"YUV4MPEG2 W64 H48 C444\n",
        b"YUV4MPEG2 H48\n",
        b"P5\n4 4\n255\n",
        b"hello\n",
    ],
)
def test_other_bytes_on_stdin_are_refused(stdin, data: bytes) -> None:  # type: ignore[no-untyped-def]
    stdin(data)
    with pytest.raises(CameraCodec):
        grabs(make_source("-"))


def test_a_silent_pipe_of_a_camera_stalls_and_one_of_a_file_can_be_woken(stdin) -> None:  # type: ignore[no-untyped-def]
    stdin(b"", stay_open=True)
    with pytest.raises(CameraStalled):
        grabs(make_source("-", SourceOptions(live_pipe=True, stall_s=0.3)))
    source = make_source("-", SourceOptions(stall_s=0.01))
    source.open()
    source.interrupt()
    assert source.grab() is None


def test_raw_needs_a_size_and_a_known_layout() -> None:
    for options in (SourceOptions(raw="rgb24"), SourceOptions(raw="yuyv", width=4, height=4)):
        with pytest.raises(InvalidInput):
            make_source("-", options)


def test_no_stdin_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(CameraNotFound):
        make_source("-").open()


def test_a_test_source_repeats_itself() -> None:
    text = "test:64x48@30,live=0,frames=5,seed=3,faults=broken@2"
    first, second = pictures(make_source(text)), pictures(make_source(text))
    assert [picture is None for picture in first] == [False, False, True, False, False]
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "test:1x1",
        "test:640",
        "test:64x48@x",
        "test:64x48,frames=x",
        "test:64x48,colour=red",
        "env:NOT_SET_ANYWHERE",
        "ftp://host/x",
        "gst:",
        "gst:-v",
        "gst:videotestsrc 'open quote",
        "rtsp:///path",
    ],
)
def test_sources_that_make_no_sense_are_wrong_use(text: str) -> None:
    with pytest.raises(EdgeIqaError) as caught:
        make_source(text).open()
    assert caught.value.code == "E100"


def test_a_source_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_URL", "rtsp://user:hunter2@camera/x")
    assert make_source("env:CAMERA_URL").name == "rtsp://***@camera/x"


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
def test_a_camera_that_is_not_there_and_a_device_that_is_no_camera() -> None:
    if not Path("/dev/video93").exists():
        with pytest.raises(CameraNotFound, match="/dev/video93"):
            make_source("93").open()
    with pytest.raises(CameraCodec, match="cannot be opened as a camera"):
        make_source("/dev/null").open()
