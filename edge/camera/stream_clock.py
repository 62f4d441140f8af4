"""A stream's own clock made fit to measure time by: it never runs backwards and does not leap."""

from __future__ import annotations

MAX_LEAP_S = 5.0


class StreamClock:
    """Turns the times of a stream into ``time_s``: seconds from its first frame, never decreasing.

    A live stream cannot run much ahead of this machine's own clock, so a step that goes back, or ahead by
    ``MAX_LEAP_S`` more than the time that really passed, is replaced by the time that passed and counted in
    ``jumps``. A file may have gaps, so there only steps back are replaced, by the last regular step.
    """

    def __init__(self, live: bool) -> None:
        self.live = live
        self.jumps = 0
        self._time_s = 0.0
        self._last_raw: float | None = None
        self._last_captured: float | None = None
        self._last_step = 0.0

    def restart(self) -> None:
        """Expect the stream's times to begin anew, as after a reconnect; not counted as a jump."""
        self._last_raw = None

    def at(self, raw_s: float | None, captured_s: float) -> float:
        """Return ``time_s`` for a frame with the stream's time ``raw_s``, grabbed at ``captured_s``."""
        passed = 0.0 if self._last_captured is None else max(0.0, captured_s - self._last_captured)
        step = passed
        if raw_s is not None and self._last_raw is not None:
            step = self._checked(raw_s - self._last_raw, passed)
        self._time_s += step
        self._last_step = step
        self._last_raw, self._last_captured = raw_s, captured_s
        return self._time_s

    def _checked(self, step: float, passed: float) -> float:
        if self.live and not 0 <= step <= passed + MAX_LEAP_S:
            self.jumps += 1
            return passed
        if not step >= 0:
            self.jumps += 1
            return self._last_step
        return step
