"""Uncompressed frames on the standard input."""

from __future__ import annotations

import sys

from edge_iqa.camera.frame_stream import FrameStream, check_raw
from edge_iqa.camera.pipe_reader import PipeReader
from edge_iqa.camera.source import Grab, SourceOptions
from edge_iqa.errors import CameraGone, CameraNotFound, InvalidInput


class PipeSource:
    """PPM, Y4M or headerless frames from another program.

    The other program is made to wait, and no frame is dropped, unless it is said to be a camera (``live_pipe``). The
    clock is the number of frames divided by ``fps``; without it, that of a Y4M header or of arrival.
    """

    name = "stdin"

    def __init__(self, options: SourceOptions) -> None:
        self.live = options.live_pipe
        raw = None
        if options.raw is not None:
            if options.width is None or options.height is None:
                raise InvalidInput("Headerless frames need a size", fix="add --size WIDTHxHEIGHT")
            raw = (check_raw(options.raw), options.width, options.height)
        self._reader: PipeReader | None = None
        self._raw = raw
        self._fps = options.fps
        self._stall_s = options.stall_s if options.live_pipe else None
        self._stream: FrameStream | None = None

    def open(self) -> None:
        if self._reader is not None:
            raise CameraGone("The standard input has ended", why="a pipe cannot be opened again")
        try:
            descriptor = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):
            raise CameraNotFound("There is no standard input to read frames from") from None
        self._reader = PipeReader(descriptor, self.name, self._stall_s)
        self._stream = FrameStream(self._reader, self.name, self._raw, self._fps)

    def grab(self) -> Grab | None:
        return None if self._stream is None else self._stream.grab()

    def close(self) -> None:
        self._stream = None

    def interrupt(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()
