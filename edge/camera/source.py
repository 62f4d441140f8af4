"""What every source of frames offers: open, grab, close; and what a user may ask of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Grab:
    """A picture that was taken but not yet converted.

    ``captured_s`` is this machine's monotonic clock when it was taken, ``time_s`` the stream's own clock as the
    stream gave it (it may jump; None where there is none). ``read`` returns uint8 RGB of shape (H, W, 3), or None
    where the picture is broken; it is called at most once, from any thread, and a superseded picture is never read.
    """

    captured_s: float
    time_s: float | None
    read: Callable[[], Pixels | None]


class Source(Protocol):
    """A file or camera. One thread opens, grabs and closes; ``interrupt`` may be called from another.

    ``name`` is fit to be printed: it holds no credentials. ``live`` is final once ``open`` has returned: a live
    source goes on while nobody looks and is opened again when it fails; any other waits for its reader.
    """

    name: str
    live: bool

    def open(self) -> None:
        """Begin; raises CameraError. May be called again after ``close``."""

    def grab(self) -> Grab | None:
        """Wait for the next picture and return it; None at the end. Raises CameraError where the source fails."""

    def close(self) -> None:
        """Let go of everything; harmless when nothing is open."""

    def interrupt(self) -> None:
        """Make a waiting ``grab`` return soon, if that is possible."""


@dataclass(frozen=True)
class SourceOptions:
    """What a user may ask of a source; each kind of source uses what applies to it.

    ``width`` and ``height`` in pixels and ``fps`` ask a camera for a mode. ``fps`` also is the clock of a folder of
    pictures or a pipe. ``raw`` is the layout of headerless frames on stdin: rgb24, bgr24, gray8 or i420.
    ``open_s`` and ``stall_s`` bound, in seconds, the wait for a connection and for the next frame.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    raw: str | None = None
    live_pipe: bool = False
    open_s: float = 10.0
    stall_s: float = 10.0
