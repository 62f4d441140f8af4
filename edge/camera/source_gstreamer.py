"""Frames of a GStreamer pipeline, run by ``gst-launch-1.0``, whose frames come through a pipe.

OpenCV from PyPI is built without GStreamer, and its own pipelines tell nothing of why they fail. The program of
GStreamer itself is on every Jetson, says what went wrong, and can be killed when it hangs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections import deque

from edge_iqa.camera.frame_stream import FrameStream
from edge_iqa.camera.pipe_reader import PipeReader
from edge_iqa.camera.redact import redact
from edge_iqa.camera.source import Grab, SourceOptions
from edge_iqa.errors import (
    CameraBusy,
    CameraError,
    CameraGone,
    CameraNotFound,
    CameraRefused,
    CameraUnauthorised,
    CameraUnresolved,
    InvalidInput,
    MissingDependency,
    PipelineFailed,
)

PROGRAM = "gst-launch-1.0"
# The capture thread reads every frame at once, so nothing is dropped inside the pipeline, where nobody would count it.
_TAIL = "queue max-size-buffers=2 ! videoconvert ! video/x-raw,format=RGB ! pnmenc ! fdsink fd=1 sync=false"
_HAS_AN_END = re.compile(r"num-buffers=|\b(multi)?filesrc\b|\bfile://")
_PIPE_BYTES = 1 << 20
_KEPT_LINES = 100
# a part of GStreamer's message → what it means
_CAUSES: tuple[tuple[str, type[CameraError]], ...] = (
    ("unauthorized", CameraUnauthorised),
    ("forbidden", CameraUnauthorised),
    ("could not resolve", CameraUnresolved),
    ("error resolving", CameraUnresolved),
    ("name or service not known", CameraUnresolved),
    ("connection refused", CameraRefused),
    ("could not connect", CameraRefused),
    ("failed to connect", CameraRefused),
    ("not found", CameraNotFound),
    ("no such file", CameraNotFound),
    ("cannot identify device", CameraNotFound),
    ("resource busy", CameraBusy),
    ("permission denied", CameraBusy),
)


class GstreamerSource:
    """A pipeline as text, ``nvarguscamerasrc ! … ! nvvidconv`` for instance; frames leave its last element.

    A trailing ``appsink`` or ``fakesink`` is replaced by our own, so pipelines written for OpenCV work as they are. A
    pipeline that reads files, or counts its buffers, is a file: it has an end, and none of its frames is dropped.
    """

    def __init__(self, pipeline: str, options: SourceOptions) -> None:
        self.name = redact(" ".join(pipeline.split()))
        self.live = _HAS_AN_END.search(pipeline) is None
        self._words = pipeline_words(pipeline)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: FrameStream | None = None
        self._reader: PipeReader | None = None
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._listener: threading.Thread | None = None
        self._first: Grab | None = None

    def open(self) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise MissingDependency(
                f"A GStreamer pipeline needs the program {PROGRAM}",
                why="pipelines run in a process of their own, as OpenCV from PyPI has no GStreamer",
                fix="apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-bad",
            )
        self._said.clear()
        self._process = subprocess.Popen(
            [program, "-q", *self._words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; without us it ends at its next write
            env=os.environ | {"LC_ALL": "C"},
        )
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=self._listen, name="gstreamer-messages", daemon=True)
        self._listener.start()
        descriptor = self._process.stdout.fileno()
        _widen(descriptor)
        self._reader = PipeReader(descriptor, self.name, self._options.open_s)
        self._stream = FrameStream(self._reader, self.name, None, self._options.fps)
        try:
            self._first = self._take()  # only a frame shows that the pipeline works
        except CameraError:
            self.close()
            raise
        self._reader.stall_s = self._options.stall_s

    def grab(self) -> Grab | None:
        grab, self._first = self._first, None
        return grab if grab is not None else self._take()

    def _take(self) -> Grab | None:
        if self._stream is None or self._process is None:
            return None
        grab = self._stream.grab()
        if grab is not None:
            return grab
        status = self._process.wait(timeout=10)
        if self._listener is not None:
            self._listener.join(timeout=5)
        said = " ".join(self._said)
        if status == 0 and "ERROR" not in said:
            if self.live:
                raise CameraGone(f"The pipeline {self.name} has ended")
            return None
        raise pipeline_error(self.name, said)

    def close(self) -> None:
        self._stream = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._listener is not None:
                self._listener.join(timeout=5)
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def interrupt(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()

    def _listen(self) -> None:
        """Keep the last lines of what GStreamer says, so that its pipe never fills."""
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(redact(line.decode("utf-8", "replace").strip()))


def _widen(descriptor: int) -> None:
    """Make the pipe hold more, for fewer switches between the processes, where the system offers that."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # more than this user may have
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def pipeline_words(pipeline: str) -> list[str]:
    """Return the arguments of gst-launch-1.0 for a pipeline, our sink at its end; raises InvalidInput."""
    without_sink = re.sub(r"!\s*(appsink|fakesink|autovideosink)\b[^!]*$", "", pipeline.strip())
    try:
        words = shlex.split(without_sink)
    except ValueError as error:
        raise InvalidInput(f"The pipeline {redact(pipeline)!r} cannot be read", why=str(error)) from None
    if not words:
        raise InvalidInput("The pipeline is empty")
    if words[0].startswith("-"):
        raise InvalidInput("A pipeline begins with an element", why=f"it begins with {words[0]}")
    return [*words, "!", *_TAIL.split()]


def pipeline_error(name: str, said: str) -> CameraError:
    """Return the typed error for GStreamer's messages, which hold no credentials any more."""
    lowered = said.lower()
    kind = next((kind for part, kind in _CAUSES if part in lowered), PipelineFailed)
    return kind(f"The pipeline {name} has failed", why=said[:600] or "it ended without a message")
