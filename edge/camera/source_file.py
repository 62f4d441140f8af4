"""Frames of a video file, decoded with OpenCV; every one of them, in order."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_iqa.camera.source import Grab, Pixels
from edge_iqa.errors import CameraBusy, CameraCodec, CameraNotFound


class VideoFileSource:
    """A video file of any container and codec that OpenCV's FFmpeg reads; ``time_s`` is the frame's own time."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._capture: Any = None

    def open(self) -> None:
        import cv2

        if not self._path.is_file():
            raise CameraNotFound(f"There is no video {self._path}", fix="name a file, a camera's number, or a URL")
        if not os.access(self._path, os.R_OK):
            raise CameraBusy(f"{self._path} cannot be read", why="no permission", fix="check the file's permissions")
        self._capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self.close()
            raise CameraCodec(
                f"{self._path} cannot be opened as a video",
                why="it is no video, is cut short, or its codec is not known to OpenCV's FFmpeg",
                fix="play it with ffplay, or convert it: ffmpeg -i FILE -c:v libx264 copy.mp4",
            )

    def grab(self) -> Grab | None:
        import cv2

        if not self._capture.grab():
            return None
        captured_s = time.monotonic()
        time_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3
        readable, bgr = self._capture.retrieve()  # now: the next grab would replace it
        return Grab(captured_s, time_s, lambda: to_rgb(bgr) if readable else None)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def interrupt(self) -> None:
        """Reading a file does not wait."""


def to_rgb(picture: Any) -> Pixels | None:
    """Return OpenCV's grey, BGR or BGRA picture as uint8 RGB; None for anything else."""
    import cv2

    if picture is None or picture.dtype != np.uint8 or 0 in picture.shape:
        return None
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    conversions = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    if channels not in conversions:
        return None
    return np.asarray(cv2.cvtColor(picture, conversions[channels]), np.uint8)
