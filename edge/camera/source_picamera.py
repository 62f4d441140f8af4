"""Frames of a Raspberry Pi camera through picamera2, with the sensor's own time stamp."""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import time
from typing import Any

import numpy as np

from edge_iqa.camera.source import Grab, SourceOptions
from edge_iqa.errors import CameraBusy, CameraGone, CameraNotFound, CameraStalled, MissingDependency

DEFAULT_SIZE = (1280, 720)
_CLOCK_BOOTTIME = 7  # Linux; Python has it from 3.10 on Linux only


class PicameraSource:
    """A camera by its number. Picture and metadata are of the same request, so that the age is that of the picture.

    ``SensorTimestamp`` is in nanoseconds on the clock that goes on while the machine sleeps (CLOCK_BOOTTIME), when
    the first row of the picture was read from the sensor.
    """

    live = True

    def __init__(self, number: int, options: SourceOptions) -> None:
        self.name = f"picamera {number}"
        self._number = number
        self._options = options
        self._camera: Any = None

    def open(self) -> None:
        if importlib.util.find_spec("picamera2") is None:
            raise MissingDependency(
                "The package picamera2 is not installed",
                why="a Raspberry Pi camera is read with it",
                fix="apt install python3-picamera2, and a virtual environment with --system-site-packages",
            )
        module = importlib.import_module("picamera2")
        if self._number >= len(module.Picamera2.global_camera_info()):
            raise CameraNotFound(f"There is no {self.name}", fix="rpicam-hello --list-cameras names them")
        size = (self._options.width or DEFAULT_SIZE[0], self._options.height or DEFAULT_SIZE[1])
        controls = {"FrameRate": self._options.fps} if self._options.fps else {}
        try:
            self._camera = module.Picamera2(self._number)
            # libcamera names formats by their order in a 32-bit word: BGR888 is R, G, B in memory.
            wanted = self._camera.create_video_configuration(
                main={"size": size, "format": "BGR888"}, controls=controls, queue=False
            )
            self._camera.configure(wanted)
            self._camera.start()
        except (RuntimeError, OSError) as error:
            self.close()
            raise CameraBusy(f"{self.name} cannot be used", why=str(error), fix="end what else uses it") from None

    def grab(self) -> Grab | None:
        try:
            request = self._camera.capture_request(wait=False).get_result(timeout=self._options.stall_s)
        except concurrent.futures.TimeoutError:
            raise CameraStalled(f"{self.name} sends no frames", why=f"none for {self._options.stall_s:g} s") from None
        except (RuntimeError, OSError) as error:
            raise CameraGone(f"{self.name} has stopped", why=str(error)) from None
        try:
            pixels = np.array(request.make_array("main"), np.uint8)
            metadata = request.get_metadata()
        finally:
            request.release()
        captured_s = _on_monotonic(metadata.get("SensorTimestamp"))
        return Grab(captured_s, captured_s, lambda: pixels)

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def interrupt(self) -> None:
        """A wait for a frame ends by itself, after ``stall_s``."""


def _on_monotonic(sensor_ns: int | None) -> float:
    now = time.monotonic()
    if sensor_ns is None:
        return now
    age_s = time.clock_gettime(_CLOCK_BOOTTIME) - sensor_ns / 1e9
    return now - age_s if 0 <= age_s < 5 else now
