"""Frames of a camera on this computer, such as a USB camera (V4L2 on Linux), through OpenCV."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from edge_iqa.camera.source import Grab, SourceOptions
from edge_iqa.camera.source_file import to_rgb
from edge_iqa.errors import CameraBusy, CameraCodec, CameraGone, CameraNotFound

_OLDEST_STAMP_S = 5.0


class DeviceSource:
    """A camera by its number, or by a path such as ``/dev/video0`` or ``/dev/v4l/by-id/…``.

    The driver's buffers are asked to be one deep. Where the driver stamps frames with the monotonic clock, as V4L2
    does, that stamp is ``captured_s``, so that the age of a frame includes the time in the driver.
    """

    live = True

    def __init__(self, device: int | str, options: SourceOptions) -> None:
        self.name = f"camera {device}" if isinstance(device, int) else device
        self._device = device
        self._options = options
        self._capture: Any = None

    def open(self) -> None:
        import cv2

        path = f"/dev/video{self._device}" if isinstance(self._device, int) else self._device
        if sys.platform == "linux":
            _check_device(path)
        api = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        capture = cv2.VideoCapture(self._device, api)
        if not capture.isOpened():
            capture.release()
            raise CameraCodec(
                f"{self.name} cannot be opened as a camera",
                why="it delivers no video, or only formats that OpenCV does not read",
                fix="v4l2-ctl --list-devices names cameras; one camera often has several devices",
            )
        wanted = (
            (cv2.CAP_PROP_FRAME_WIDTH, self._options.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, self._options.height),
            (cv2.CAP_PROP_FPS, self._options.fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        )
        for key, value in wanted:
            if value is not None:
                capture.set(key, value)
        self._capture = capture

    def grab(self) -> Grab | None:
        import cv2

        if not self._capture.grab():
            raise CameraGone(f"{self.name} has stopped", why="it was unplugged, or gives no frame for ten seconds")
        now = time.monotonic()
        stamp = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3
        captured_s = stamp if 0 <= now - stamp <= _OLDEST_STAMP_S else now
        readable, bgr = self._capture.retrieve()
        return Grab(captured_s, captured_s, lambda: to_rgb(bgr) if readable else None)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def interrupt(self) -> None:
        """OpenCV ends a wait for a frame by itself, after ten seconds."""


def _check_device(path: str) -> None:
    """Raise CameraNotFound or CameraBusy, which OpenCV would not tell apart."""
    if not Path(path).exists():
        found = sorted(str(device) for device in Path("/dev").glob("video*"))
        raise CameraNotFound(
            f"There is no camera {path}", fix=f"devices here: {', '.join(found)}" if found else "plug a camera in"
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except PermissionError as error:
        raise CameraBusy(f"{path} may not be used", why="no permission", fix="add the user to group video") from error
    except OSError as error:
        raise CameraBusy(f"{path} cannot be opened", why=error.strerror or str(error)) from error
