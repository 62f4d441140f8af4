"""Where the capture thread leaves frames for the loop: the newest one only, or a short queue that waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from edge_iqa.camera.ledger import SUPERSEDED, Ledger
from edge_iqa.camera.source import Grab

QUEUE_FRAMES = 2


@dataclass(frozen=True)
class NumberedGrab:
    """A grab with its number in the run and its time on the stream's clock."""

    number: int
    time_s: float
    grab: Grab


class FrameSlot:
    """Hands frames from one thread to another.

    ``newest_only``: one place; a newer frame takes the place of one not yet taken, which is counted as superseded.
    That the place is taken is a fact, not an estimate of rates, and the only thing frames are dropped by here.
    Otherwise ``put`` waits until there is room, so that a file loses no frame.
    """

    def __init__(self, ledger: Ledger, newest_only: bool) -> None:
        self.newest_only = newest_only
        self._ledger = ledger
        self._frames: deque[NumberedGrab] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frame: NumberedGrab) -> bool:
        """Leave a frame; return False where the slot is closed, and the frame is not counted."""
        with self._changed:
            while not self._closed and not self.newest_only and len(self._frames) >= QUEUE_FRAMES:
                self._changed.wait()
            if self._closed:
                return False
            if self.newest_only and self._frames:
                self._frames.clear()
                self._ledger.discarded(SUPERSEDED)
            self._frames.append(frame)
            self._ledger.arrived()
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> NumberedGrab | None:
        """Return the next frame; None where none comes in time, or the slot is closed and empty."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not self._frames and not self._closed:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame

    def close(self) -> None:
        """Accept no more frames; those inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def done(self) -> bool:
        """Whether nothing will ever come out again."""
        with self._changed:
            return self._closed and not self._frames
