"""Network cameras against real servers on loopback: RTSP, MJPEG over HTTP, and everything that goes wrong."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from loop_runs import assert_balanced, make_run

from edge_iqa.camera.source import SourceOptions
from edge_iqa.camera.source_open import make_source
from edge_iqa.camera.test_pattern import TestPattern
from edge_iqa.errors import (
    CameraCodec,
    CameraNotFound,
    CameraRefused,
    CameraStalled,
    CameraUnauthorised,
    CameraUnresolved,
)

pytest.importorskip("av", reason="network cameras are read with PyAV (edge-iqa[rtsp])")

SYSTEM_PYTHON = "/usr/bin/python3"
LIMITS = SourceOptions(open_s=30.0, stall_s=15.0)  # generous: a busy machine is no dead camera


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def rtsp_server(port: int, *login: str) -> Iterator[subprocess.Popen[str]]:
    """Run rtsp_server.py under the system's Python until the end of the block; skips where that cannot be."""
    script = str(Path(__file__).with_name("rtsp_server.py"))
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip("there is no system Python with GStreamer's RTSP server")
    process = subprocess.Popen(
        [SYSTEM_PYTHON, script, str(port), *login], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "listening\n":
            reason = process.stderr.read().strip().splitlines()
            pytest.skip(f"GStreamer's RTSP server does not run: {reason[-1] if reason else 'no message'}")
        yield process
    finally:
        process.kill()
        process.communicate()


def test_frames_of_an_rtsp_camera_come_through_a_kill_and_a_restart() -> None:
    port = free_port()
    source = make_source(f"rtsp://127.0.0.1:{port}/cam", LIMITS)
    with rtsp_server(port) as server:
        run = make_run(source)
        thread = run.start()
        _wait_until(lambda: run.status.kept >= 10, run.loop.capture)
        server.send_signal(signal.SIGKILL)
        _wait_until(lambda: run.status.errors.get("E252", 0) >= 1)  # refused while it is away
    kept = run.status.kept
    time.sleep(0.3)
    with rtsp_server(port):
        back = time.monotonic()
        _wait_until(lambda: run.status.kept > kept + 5)
        print(f"back after {time.monotonic() - back:.2f} s")
        run.loop.stop()
        thread.join(10)
    assert not thread.is_alive()
    assert run.error is None
    assert run.status.reconnects == 1
    assert {shape for shape in run.sink.shapes} == {(120, 160, 3)}
    times = [decision.time_s for decision in run.sink.decisions]
    assert times == sorted(times)
    assert_balanced(run)


def test_an_rtsp_camera_with_a_login() -> None:
    port = free_port()
    with rtsp_server(port, "admin", "hun ter2"):
        source = make_source(f"rtsp://admin:hun%20ter2@127.0.0.1:{port}/cam", LIMITS)
        source.open()
        grab = source.grab()
        assert grab is not None
        source.close()
        for wrong in ("", "admin:wrong@"):
            with pytest.raises(CameraUnauthorised) as caught:
                make_source(f"rtsp://{wrong}127.0.0.1:{port}/cam", LIMITS).open()
            assert "wrong" not in str(caught.value)


def test_an_rtsp_path_that_is_not_there() -> None:
    port = free_port()
    with rtsp_server(port), pytest.raises(CameraNotFound):
        make_source(f"rtsp://127.0.0.1:{port}/other", LIMITS).open()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_nobody_answers(scheme: str) -> None:
    with pytest.raises(CameraRefused) as caught:
        make_source(f"{scheme}://admin:hunter2@127.0.0.1:{free_port()}/cam", LIMITS).open()
    assert "hunter2" not in str(caught.value)


def test_a_host_without_an_address() -> None:
    with pytest.raises(CameraUnresolved) as caught:
        make_source("rtsp://admin:hunter2@no-such-camera.invalid/cam", LIMITS).open()
    assert "hunter2" not in str(caught.value)


def test_a_server_that_says_nothing() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(CameraRefused, match="does not answer"):
            make_source(f"rtsp://127.0.0.1:{port}/cam", SourceOptions(open_s=0.5)).open()
        assert time.monotonic() - started < 20


PATTERN = TestPattern(64, 48, seed=0)


class WebCamera(http.server.BaseHTTPRequestHandler):
    """Sends MJPEG as web cameras do: /cam for ever, /short five frames, /mute one frame, /bad a damaged one."""

    def do_GET(self) -> None:
        if self.path.startswith("/secret"):
            self.send_error(401)
            return
        if self.path == "/text":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello, I am not a camera\n" * 200)
            return
        frames = {"/cam": 10**6, "/short": 5, "/mute": 5, "/bad": 10**6}.get(self.path, 0)
        if frames == 0:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for index in range(frames):
                _, data = cv2.imencode(".jpg", PATTERN.picture(index)[:, :, ::-1])
                body = data.tobytes()
                if self.path == "/bad" and index % 4 == 3:
                    body = body[: len(body) // 2] + b"\xff\xd9"
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body + b"\r\n")
                time.sleep(0.02)
            if self.path == "/mute":
                time.sleep(6)
        except OSError:
            pass

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebCamera)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://user:hunter2@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_mjpeg_over_http(web: str) -> None:
    source = make_source(f"{web}/cam", LIMITS)
    source.open()
    assert source.live
    grab = source.grab()
    assert grab is not None
    picture = grab.read()
    assert picture is not None
    assert picture.shape == (48, 64, 3)
    assert min(np.abs(picture.astype(int) - PATTERN.picture(n)).mean() for n in range(4)) < 16
    source.close()


def test_a_web_camera_that_hangs_up_is_called_again(web: str) -> None:
    run = make_run(make_source(f"{web}/short", LIMITS))
    thread = run.start()
    _wait_until(lambda: run.status.reconnects >= 2, run.loop.capture)
    run.loop.stop()
    thread.join(10)
    assert run.status.frames_in >= 10
    assert run.status.errors["E258"] >= 2
    assert_balanced(run)


def test_a_damaged_picture_of_a_web_camera_is_a_broken_frame(web: str) -> None:
    source = make_source(f"{web}/bad", LIMITS)
    source.open()
    found = [source.grab() for _ in range(12)]
    source.close()
    broken = [index for index, grab in enumerate(found) if grab is None or grab.read() is None]
    assert len(broken) == 3
    assert {later - earlier for earlier, later in pairwise(broken)} == {4}  # every fourth is sent cut short


@pytest.mark.parametrize(
    ("path", "error"), [("/secret", CameraUnauthorised), ("/none", CameraNotFound), ("/text", CameraCodec)]
)
def test_answers_that_are_no_video(web: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        make_source(web + path, LIMITS).open()
    assert "hunter2" not in str(caught.value)


def test_a_camera_that_falls_silent_has_stalled(web: str) -> None:
    source = make_source(f"{web}/mute", SourceOptions(open_s=30.0, stall_s=0.5))
    source.open()
    with pytest.raises(CameraStalled):
        list(iter(source.grab, None))
    source.close()


def test_nothing_of_ffmpeg_prints_the_password(web: str, sharpness_bundle: Path) -> None:
    """Whatever the libraries write themselves goes to file descriptor 2, so the whole process is looked at."""
    model = ["--bundle", str(sharpness_bundle), "--backend", "onnxruntime", "--threads", "1"]
    for url in (f"{web}/secret", f"{web}/text"):
        command = [sys.executable, "-m", "edge_iqa", "watch", url, *model]
        environment = {**os.environ, "OPENCV_FFMPEG_DEBUG": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert done.returncode == 4
        assert "hunter2" not in done.stderr + done.stdout
        assert "E25" in done.stderr
        assert "Traceback" not in done.stderr


def _wait_until(condition: Callable[[], bool], capture: object = None, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"it did not happen; {getattr(capture, 'last_error', '')}"
        time.sleep(0.01)
