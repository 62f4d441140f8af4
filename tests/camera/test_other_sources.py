"""GStreamer pipelines through the real gst-launch-1.0, and picamera2 through a stand-in with its documented calls."""

from __future__ import annotations

import concurrent.futures
import importlib.machinery
import shutil
import sys
import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from loop_runs import run_to_end

from edge_iqa.camera.source import SourceOptions
from edge_iqa.camera.source_gstreamer import GstreamerSource, pipeline_error, pipeline_words
from edge_iqa.camera.source_open import make_source
from edge_iqa.errors import (
    CameraNotFound,
    CameraRefused,
    CameraStalled,
    CameraUnauthorised,
    MissingDependency,
    PipelineFailed,
)

has_gstreamer = pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")
BARS = "videotestsrc num-buffers=12 pattern=smpte ! video/x-raw,width=161,height=121"


@has_gstreamer
def test_frames_of_a_pipeline_keep_size_and_colour() -> None:
    source = make_source(f"{BARS} ! appsink drop=true max-buffers=1")
    assert not source.live  # it counts its buffers, so it has an end
    source.open()
    found = list(iter(source.grab, None))
    source.close()
    assert len(found) == 12
    picture = np.asarray(found[0].read())
    assert picture.shape == (121, 161, 3)
    colours = picture[20, 11::23].astype(int)  # white, yellow, cyan, green, magenta, red, blue
    assert [tuple(colour > 100) for colour in colours] == [
        (True, True, True), (True, True, False), (False, True, True), (False, True, False),
        (True, False, True), (True, False, False), (False, False, True),
    ]  # fmt: skip


@has_gstreamer
def test_a_pipeline_runs_through_the_loop() -> None:
    run = run_to_end(f"gst:{BARS}")
    assert run.status.kept == 12


@has_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "error"),
    [
        ("videotestsrc ! no_such_element", PipelineFailed),
        ("videotestsrc ! video/x-raw,width=-3", PipelineFailed),
        ("v4l2src device=/dev/video93", CameraNotFound),
        ("filesrc location=/no/such/file ! decodebin", CameraNotFound),
    ],
)
def test_pipelines_that_do_not_start_say_why(pipeline: str, error: type[Exception]) -> None:
    source = make_source(pipeline if "!" in pipeline else f"gst:{pipeline}", SourceOptions(open_s=30))
    with pytest.raises((error, PipelineFailed)) as caught:
        source.open()
    assert str(caught.value).count("why:") == 1


@has_gstreamer
def test_a_pipeline_without_frames_stalls_and_leaves_no_process() -> None:
    source = GstreamerSource("fakesrc is-live=true ! video/x-raw,width=8 ! valve drop=true", SourceOptions(open_s=1.0))
    with pytest.raises((CameraStalled, PipelineFailed)):
        source.open()
    assert source._process is None


def test_our_sink_takes_the_place_of_theirs_and_nothing_is_for_a_shell() -> None:
    words = pipeline_words('v4l2src device="/dev/video 0" ! $(touch x) ! appsink name=a sync=false')
    assert words[:5] == ["v4l2src", "device=/dev/video 0", "!", "$(touch", "x)"]
    assert "appsink" not in " ".join(words)
    assert words[-3:] == ["fdsink", "fd=1", "sync=false"]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("ERROR: from element rtspsrc0: Unauthorized", CameraUnauthorised),
        ("ERROR: Failed to connect. (Generic error)", CameraRefused),
        ("ERROR: Cannot identify device '/dev/video9'.", CameraNotFound),
        ("ERROR: something else", PipelineFailed),
    ],
)
def test_messages_of_gstreamer_get_their_code(said: str, error: type[Exception]) -> None:
    assert type(pipeline_error("pipeline", said)) is error


def test_a_password_in_a_pipeline_is_not_printed() -> None:
    assert "hunter2" not in make_source("rtspsrc location=rtsp://a:hunter2@h/x ! decodebin").name
    assert "hunter2" not in make_source("gst:rtspsrc user-id=a user-pw=hunter2 location=rtsp://h/x").name


def test_without_the_program_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependency, match=r"gst-launch-1\.0") as caught:
        make_source("videotestsrc ! fakesink").open()
    assert "apt install" in caught.value.fix


class Request:
    def __init__(self, age_s: float) -> None:
        self.stamp_ns = int((time.clock_gettime(time.CLOCK_BOOTTIME) - age_s) * 1e9)
        self.released = False

    def make_array(self, name: str) -> Any:
        assert name == "main"
        return np.full((72, 128, 3), 7, np.uint8)

    def get_metadata(self) -> dict[str, int]:
        return {"SensorTimestamp": self.stamp_ns}

    def release(self) -> None:
        self.released = True


class Job:
    def __init__(self, request: Request | None) -> None:
        self.request = request

    def get_result(self, timeout: float) -> Request:
        if self.request is None:
            raise concurrent.futures.TimeoutError
        return self.request


class Picamera2:
    requests: list[Request | None] = []  # noqa: RUF012 - the test sets it

    def __init__(self, number: int) -> None:
        self.closed = False

    @staticmethod
    def global_camera_info() -> list[dict[str, str]]:
        return [{"Model": "imx708"}]

    def create_video_configuration(self, main: dict[str, Any], controls: dict[str, Any], queue: bool) -> dict[str, Any]:
        assert main == {"size": (128, 72), "format": "BGR888"}
        assert controls == {"FrameRate": 15}
        assert not queue
        return main

    def configure(self, wanted: dict[str, Any]) -> None:
        pass

    def start(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def capture_request(self, wait: bool) -> Job:
        assert wait is False
        return Job(self.requests.pop(0))


@pytest.fixture
def picamera(monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    module = ModuleType("picamera2")
    module.__spec__ = importlib.machinery.ModuleSpec("picamera2", None)
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Picamera2


@pytest.mark.skipif(sys.platform != "linux", reason="the sensor's clock is Linux's")
def test_a_raspberry_pi_camera_gives_frames_with_the_sensors_age(picamera: type[Picamera2]) -> None:
    request = Request(age_s=0.25)
    picamera.requests = [request, None]
    source = make_source("picamera:0", SourceOptions(width=128, height=72, fps=15, stall_s=0.1))
    source.open()
    grab = source.grab()
    assert grab is not None
    assert request.released
    assert 0.25 <= time.monotonic() - grab.captured_s < 1.25
    picture = grab.read()
    assert picture is not None
    assert picture.shape == (72, 128, 3)
    with pytest.raises(CameraStalled):
        source.grab()
    source.close()
    with pytest.raises(CameraNotFound):
        make_source("picamera:5").open()


def test_without_picamera2_the_mend_is_told() -> None:
    if "picamera2" in sys.modules:
        pytest.skip("picamera2 is installed")
    with pytest.raises(MissingDependency, match="picamera2"):
        make_source("picamera").open()
