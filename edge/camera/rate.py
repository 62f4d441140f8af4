"""Frames per second, counted over a span rather than averaged from gaps."""

from __future__ import annotations

import threading
from collections import deque

SPAN_S = 5.0
GAP_S = 2.0
_MOST = 2000


class RateMeter:
    """Counts events of the last seconds; safe for use from several threads.

    A stream comes in bursts, so gaps between two frames say little. After a gap of ``GAP_S`` the count starts anew: a
    camera that is back is not slow.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_MOST)
        self._lock = threading.Lock()

    def add(self, now_s: float) -> None:
        """Count one event at ``now_s`` on the monotonic clock."""
        with self._lock:
            if self._times and not 0 <= now_s - self._times[-1] <= GAP_S:
                self._times.clear()
            self._times.append(now_s)
            while now_s - self._times[0] > SPAN_S:
                self._times.popleft()

    def per_second(self, now_s: float) -> float | None:
        """Return events per second; 0 after a gap, None before there are two."""
        with self._lock:
            if not self._times:
                return None
            first, last, count = self._times[0], self._times[-1], len(self._times)
        if now_s - last > GAP_S:
            return 0.0
        return (count - 1) / (last - first) if last > first else None
