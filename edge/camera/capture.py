"""The capture thread: opens the source, grabs, comes back after a loss, and leaves frames in the slot."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from edge_iqa.camera.backoff import Backoff, BackoffSpec
from edge_iqa.camera.ledger import Ledger
from edge_iqa.camera.rate import RateMeter
from edge_iqa.camera.redact import redact
from edge_iqa.camera.slot import FrameSlot, NumberedGrab
from edge_iqa.camera.source import Source
from edge_iqa.camera.stream_clock import StreamClock
from edge_iqa.errors import CameraError, CameraStalled, CameraUnauthorised, EdgeIqaError

_JOIN_S = 2.0


class Capture:
    """Runs a source in a thread of its own.

    The first opening must succeed: its error is final, so that a wrong address is told at once. After that a live
    source that fails is opened again, with a growing wait, for ever or until ``give_up_s`` without a frame. A source
    that is not live ends with its end or its first error. ``max_frames`` ends a source that is not live after that
    many frames.
    """

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        report: Callable[[str], None],
        backoff: BackoffSpec,
        give_up_s: float | None = None,
        max_frames: int | None = None,
    ) -> None:
        self.source = source
        self.slot = FrameSlot(ledger, newest_only=source.live)
        self.rate = RateMeter()
        self.state = "starting"
        self.error: EdgeIqaError | None = None  # what ended it, if that was an error
        self.errors: Counter[str] = Counter()
        self.last_error: str | None = None
        self.reconnects = 0
        self.opened = threading.Event()
        self._report = report
        self._backoff = Backoff(backoff)
        self._give_up_s = give_up_s
        self._max_frames = max_frames
        self._stop = threading.Event()
        self._reopen_reason: str | None = None
        self._grabbed = 0
        self._last_frame_s = 0.0
        self._clock = StreamClock(live=source.live)
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def reopen(self, reason: str) -> None:
        """Let the source be closed and opened again at the next frame, because of ``reason``."""
        self._reopen_reason = reason

    def stop(self) -> None:
        """End; what is in the slot can still be taken. A thread that hangs in a driver is left behind."""
        self._stop.set()
        self.source.interrupt()
        self.slot.close()
        self._thread.join(_JOIN_S)

    @property
    def clock_jumps(self) -> int:
        return self._clock.jumps

    def _run(self) -> None:
        try:
            self._serve()
        except EdgeIqaError as error:
            self._note(error)
            self.error = error
        except Exception as error:  # a decoder's own; the loop has to end with a message, not hang
            self.error = CameraError(f"{self.source.name} has failed", why=redact(f"{type(error).__name__}: {error}"))
            self._note(self.error)
        finally:
            self.source.close()
            self.state = "failed" if self.error is not None else "ended"
            self.slot.close()
            self.opened.set()

    def _serve(self) -> None:
        while not self._stop.is_set():
            opened_s = None
            try:
                self._open()
                opened_s = time.monotonic()
                self._grab_until_end()
                return
            except CameraError as error:
                if not self.opened.is_set() or not self.source.live or self._stop.is_set():
                    raise
                if opened_s is not None:
                    self._backoff.connection_lasted(time.monotonic() - opened_s)
                self._lose(error)
            finally:
                self.source.close()

    def _open(self) -> None:
        self.source.open()
        self._clock.restart()
        if not self.opened.is_set():
            self.slot.newest_only = self._clock.live = self.source.live  # some only know once they are open
            self._last_frame_s = time.monotonic()
            self.state = "running"
            self.opened.set()

    def _grab_until_end(self) -> None:
        """Move frames to the slot until the source ends; raises CameraError where it fails."""
        while not self._stop.is_set():
            if not self.source.live and self._max_frames is not None and self._grabbed >= self._max_frames:
                return
            grab = self.source.grab()
            if grab is None:
                return
            if self.state == "reconnecting":
                self.state = "running"
                self.reconnects += 1
                away_s = time.monotonic() - self._last_frame_s
                self._report(f"{self.source.name} is back after {away_s:.1f} s")
            self._last_frame_s = time.monotonic()
            self.rate.add(self._last_frame_s)
            time_s = self._clock.at(grab.time_s, grab.captured_s)
            if not self.slot.put(NumberedGrab(self._grabbed, time_s, grab)):
                return
            self._grabbed += 1
            if self._reopen_reason is not None:
                reason, self._reopen_reason = self._reopen_reason, None
                raise CameraStalled(f"{self.source.name} is opened anew", why=reason)

    def _lose(self, error: CameraError) -> None:
        """Note the loss and wait before the next attempt; raises ``error`` where it is time to give up."""
        self._note(error)
        away_s = time.monotonic() - self._last_frame_s
        if self._give_up_s is not None and away_s >= self._give_up_s:
            raise error
        self.state = "reconnecting"
        wait_s = self._backoff.next_wait_s(patient=isinstance(error, CameraUnauthorised))
        if self._give_up_s is not None:
            wait_s = min(wait_s, max(0.0, self._give_up_s - away_s))
        self._report(f"{error.as_dict()['message']}; trying again in {wait_s:.1f} s")
        self._stop.wait(wait_s)

    def _note(self, error: EdgeIqaError) -> None:
        self.errors = self.errors + Counter([error.code])  # a new one: the loop may be reading the old one
        self.last_error = f"{error.code}: {error.as_dict()['message']}"
