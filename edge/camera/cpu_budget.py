"""A bound on this process's share of the processor, held by looking at fewer frames."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 0.5
STARVE_S = 2.0


class CpuBudget:
    """Tells before each frame whether it may be looked at; ``share`` 0.5 is half of one core, as in ``top``.

    All threads of the process count, decoding included; other processes, such as a GStreamer pipeline, do not. The
    allowance grows with time and may be saved up for ``BURST_S``. One frame in ``STARVE_S`` is allowed in any case,
    so where decoding alone takes more than the share, the share is missed and frames still come.
    """

    def __init__(
        self,
        share: float,
        wall: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self.share = share
        self._wall, self._cpu = wall, cpu
        self._wall_s, self._cpu_s = wall(), cpu()
        self._allowance_s = 0.0
        self._last_allowed_s = self._wall_s

    def allows(self) -> bool:
        """Return whether a frame may be looked at now."""
        now = self._update()
        if self._allowance_s < 0 and now - self._last_allowed_s < STARVE_S:
            return False
        self._last_allowed_s = now
        return True

    def wait_s(self) -> float:
        """Return how long to sleep until a frame may be looked at, in seconds, for a source that waits."""
        self._update()
        return max(0.0, -self._allowance_s / self.share)

    def _update(self) -> float:
        now, used = self._wall(), self._cpu()
        self._allowance_s += (now - self._wall_s) * self.share - (used - self._cpu_s)
        # Debt is bounded too: after a long load elsewhere in the process, frames come again within seconds.
        limit = BURST_S * self.share
        self._allowance_s = max(-4 * limit, min(limit, self._allowance_s))
        self._wall_s, self._cpu_s = now, used
        return now
