"""A source that needs no camera: the moving test pattern, with faults on demand."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass

from edge_iqa.camera.faults import CONNECTION_FAULTS, Fault, parse_faults
from edge_iqa.camera.source import Grab, Pixels
from edge_iqa.camera.test_pattern import TestPattern
from edge_iqa.errors import (
    CameraCodec,
    CameraError,
    CameraGone,
    CameraNotFound,
    CameraRefused,
    CameraStalled,
    CameraUnauthorised,
    CameraUnresolved,
    InvalidInput,
)

_ERRORS: dict[str, type[CameraError]] = {
    "refused": CameraRefused,
    "unauthorised": CameraUnauthorised,
    "notfound": CameraNotFound,
    "nodns": CameraUnresolved,
    "codec": CameraCodec,
    "gone": CameraGone,
    "stall": CameraStalled,
}
_WORDS = re.compile(r"test:(?:(\d{1,5})x(\d{1,5}))?(?:@(\d{1,4}(?:\.\d{1,6})?))?((?:,\w+=[^,]*)*)")


@dataclass(frozen=True)
class TestSpec:
    """What the test source shows. ``fps`` 0: as fast as they are taken; ``frames`` None: without end."""

    __test__ = False  # not a test, for pytest

    width: int = 640
    height: int = 480
    fps: float = 30.0
    frames: int | None = None
    seed: int = 0
    live: bool = True
    slow_s: float = 0.2
    faults: tuple[Fault, ...] = ()


def parse_test_spec(text: str) -> TestSpec:
    """Read ``test:WIDTHxHEIGHT@FPS,frames=N,seed=N,live=0,slow=S,faults=…``, all optional; raises InvalidInput."""
    match = _WORDS.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is not a test source", fix="for instance test:640x480@30,frames=90,seed=1")
    values: dict[str, str] = dict(part.split("=", 1) for part in match[4].split(",") if part)
    try:
        spec = TestSpec(
            width=int(match[1] or 640),
            height=int(match[2] or 480),
            fps=float(match[3] or 30),
            frames=int(values.pop("frames")) if "frames" in values else None,
            seed=int(values.pop("seed", "0")),
            live=values.pop("live", "1") != "0",
            slow_s=float(values.pop("slow", "0.2")),
            faults=parse_faults(values.pop("faults", "")),
        )
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a test source", why=str(error)) from None
    if values:
        raise InvalidInput(f"A test source has no {next(iter(values))!r}", fix="frames, seed, live, slow or faults")
    if not (8 <= spec.width <= 8192 and 8 <= spec.height <= 8192):
        raise InvalidInput("A test picture has 8 to 8192 pixels a side")
    return spec


class TestSource:
    """Frames of a TestPattern at a steady rate; faults happen at their frames, once each."""

    __test__ = False  # not a test, for pytest

    def __init__(self, spec: TestSpec, name: str = "test pattern") -> None:
        self.name = name
        self.live = spec.live
        self._spec = spec
        self._pattern: TestPattern | None = None
        self._small: TestPattern | None = None
        self._index = 0
        self._last: Pixels | None = None
        self._woken = threading.Event()
        self._next_s = 0.0
        self._shift_s = 0.0
        self._waiting = [fault for fault in spec.faults if fault.kind in CONNECTION_FAULTS]
        self._refusals: list[type[CameraError]] = []

    def open(self) -> None:
        if self._refusals:
            raise self._refusals.pop()("The test source does not open", why="a fault of its script")
        if self._pattern is None:
            spec = self._spec
            self._pattern = TestPattern(spec.width, spec.height, spec.seed)
            self._small = TestPattern(max(8, spec.width // 2), max(8, spec.height // 2), spec.seed)
        self._next_s = time.monotonic()

    def grab(self) -> Grab | None:
        if self._spec.frames is not None and self._index >= self._spec.frames:
            return None
        index = self._index
        self._fail_connection(index)
        self._pace(index)
        self._index += 1
        self._shift_clock(index)
        captured_s = time.monotonic()
        steady_fps = self._spec.fps or 30.0
        picture = self._picture(index)
        return Grab(captured_s, index / steady_fps + self._shift_s, lambda: picture)

    def close(self) -> None:
        """Nothing is held."""

    def interrupt(self) -> None:
        self._woken.set()

    def _active(self, kind: str, index: int) -> bool:
        return any(fault.kind == kind and fault.first <= index <= fault.last for fault in self._spec.faults)

    def _fail_connection(self, index: int) -> None:
        fault = next((fault for fault in self._waiting if fault.first <= index), None)
        if fault is None:
            return
        self._waiting.remove(fault)
        later = CameraRefused if fault.kind in {"gone", "stall"} else _ERRORS[fault.kind]
        self._refusals = [later] * (fault.last - fault.first)
        first = _ERRORS[fault.kind] if fault.kind in {"gone", "stall"} else CameraGone
        raise first(f"{self.name} has failed", why=f"a fault of its script: {fault.kind}")

    def _pace(self, index: int) -> None:
        if self._active("slow", index):
            self._woken.wait(self._spec.slow_s)
        if self._spec.fps > 0 and self._spec.live:
            self._next_s += 1 / self._spec.fps
            self._woken.wait(max(0.0, self._next_s - time.monotonic()))

    def _shift_clock(self, index: int) -> None:
        for fault in self._spec.faults:
            if fault.first == index and fault.kind in {"back", "forth"}:
                self._shift_s += -3600.0 if fault.kind == "back" else 3600.0

    def _picture(self, index: int) -> Pixels | None:
        if self._active("broken", index):
            return None
        if self._active("frozen", index) and self._last is not None:
            return self._last.copy()
        source = self._small if self._active("resize", index) else self._pattern
        assert source is not None
        picture = source.picture(index)
        if self._active("black", index):
            picture[:] = 0
        if self._active("half", index):
            picture[picture.shape[0] // 2 :] = 128
        self._last = picture
        return picture
