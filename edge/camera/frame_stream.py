"""Uncompressed frames in a pipe: PPM pictures one after another, YUV4MPEG2, or headerless frames of known size."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge_iqa.camera.pipe_reader import PipeReader
from edge_iqa.camera.source import Grab, Pixels
from edge_iqa.errors import CameraCodec, InvalidInput

RAW_LAYOUTS = ("rgb24", "bgr24", "gray8", "i420")
MAX_PIXELS = 100_000_000
_Y4M = b"YUV4MPEG2"


class FrameStream:
    """Takes frames out of a pipe. The format is known by its first bytes, or given as ``raw``, width and height.

    PPM (``P6``, 8 bits) and Y4M (4:2:0, 8 bits) carry their size with them and may change it on the way. A frame cut
    short by the end of the pipe is a broken frame.
    """

    def __init__(self, reader: PipeReader, name: str, raw: tuple[str, int, int] | None, fps: float | None) -> None:
        self._reader = reader
        self._name = name
        self._raw = raw
        self._fps = fps
        self._y4m_size: tuple[int, int] | None = None
        self._count = 0

    def grab(self) -> Grab | None:
        """Return the next frame, None at the end of the pipe; raises CameraCodec for another format."""
        layout = self._raw if self._raw is not None else self._next_header()
        if layout is None:
            return None
        kind, width, height = layout
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise CameraCodec(f"{self._name} sends frames of {width}x{height}", why=f"the limit is {MAX_PIXELS} pixels")
        data = np.empty(size_bytes(kind, width, height), np.uint8)
        filled = self._reader.fill(data.data)
        if filled == 0 and self._raw is not None:
            return None
        captured_s = time.monotonic()
        time_s = None if self._fps is None else self._count / self._fps
        self._count += 1
        if filled < len(data):
            return Grab(captured_s, time_s, lambda: None)
        return Grab(captured_s, time_s, lambda: unpack(kind, width, height, data))

    def _next_header(self) -> tuple[str, int, int] | None:
        line = self._reader.line()
        if line == b"P6":
            return ("rgb24", *self._ppm_size())
        if line.startswith(_Y4M):
            self._read_y4m_header(line)
            line = self._reader.line()
        if line.split(b" ")[0] == b"FRAME" and self._y4m_size is not None:
            return ("i420", *self._y4m_size)
        if not line:
            return None
        raise CameraCodec(
            f"{self._name} sends something other than frames",
            why=f"it begins with {line[:16]!r}",
            fix="send PPM (P6) or YUV4MPEG2 4:2:0, or tell the layout with --raw and --size",
        )

    def _ppm_size(self) -> tuple[int, int]:
        numbers: list[int] = []
        while len(numbers) < 3:
            line = self._reader.line()
            if line.startswith(b"#"):
                continue
            if not re.fullmatch(rb"[\d ]{1,40}", line):
                raise CameraCodec(f"{self._name} sends a broken PPM header")
            numbers += [int(word) for word in line.split()]
        if len(numbers) != 3 or numbers[2] != 255:
            raise CameraCodec(f"{self._name} sends PPM that is not 8 bits deep")
        return numbers[0], numbers[1]

    def _read_y4m_header(self, line: bytes) -> None:
        words = line.decode("ascii", "replace").split(" ")[1:]
        tags = {word[0]: word[1:] for word in words if word and word[0] != "X"}
        try:
            self._y4m_size = int(tags["W"]), int(tags["H"])
        except (KeyError, ValueError):
            raise CameraCodec(f"{self._name} sends a broken YUV4MPEG2 header") from None
        if tags.get("C", "420") not in {"420", "420jpeg", "420mpeg2", "420paldv"}:
            raise CameraCodec(f"{self._name} sends YUV4MPEG2 {tags['C']}", fix="send 4:2:0, 8 bits")
        if self._fps is None:
            self._fps = _y4m_fps(tags.get("F", ""))


def size_bytes(kind: str, width: int, height: int) -> int:
    """Return the size of one frame in a layout of ``RAW_LAYOUTS``."""
    if kind == "i420":
        return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    return width * height * (1 if kind == "gray8" else 3)


def unpack(kind: str, width: int, height: int, data: NDArray[np.uint8]) -> Pixels:
    """Return one frame as uint8 RGB ``(height, width, 3)``; i420 as BT.601 with limited range."""
    import cv2

    if kind == "i420":
        return _from_i420(width, height, data)
    picture = data.reshape(height, width, -1)
    conversions: dict[str, Callable[[], NDArray[np.uint8]]] = {
        "rgb24": lambda: picture,
        "bgr24": lambda: np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8),
        "gray8": lambda: np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8),
    }
    return conversions[kind]()


def check_raw(layout: str) -> str:
    """Return ``layout``; raises InvalidInput where it is not one of ``RAW_LAYOUTS``."""
    if layout not in RAW_LAYOUTS:
        raise InvalidInput(f"There is no layout {layout!r}", fix=f"one of: {', '.join(RAW_LAYOUTS)}")
    return layout


def _from_i420(width: int, height: int, data: NDArray[np.uint8]) -> Pixels:
    import cv2

    half_width, half_height = (width + 1) // 2, (height + 1) // 2
    luma = data[: width * height].reshape(height, width)
    chroma = data[width * height :].reshape(2, half_height, half_width)
    if (2 * half_width, 2 * half_height) != (width, height):  # OpenCV wants even sides
        luma = np.pad(luma, ((0, 2 * half_height - height), (0, 2 * half_width - width)), mode="edge")
    planes = np.concatenate([luma.reshape(-1), chroma.reshape(-1)]).reshape(3 * half_height, 2 * half_width)
    rgb = cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420)
    return np.ascontiguousarray(rgb[:height, :width], np.uint8)


def _y4m_fps(ratio: str) -> float | None:
    over, _, under = ratio.partition(":")
    if over.isdecimal() and under.isdecimal() and int(over) > 0 and int(under) > 0:
        return int(over) / int(under)
    return None
