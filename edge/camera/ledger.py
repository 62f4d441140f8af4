"""The books of the loop: every frame that came in is kept, dropped for a named cause, held or waiting."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

SUPERSEDED = "superseded"  # a newer frame came before this one was looked at
CPU_BUDGET = "cpu_budget"
BROKEN = "broken"  # could not be decoded
BLACK, FROZEN, HALF_FRAME = "black", "frozen", "half_frame"
STOPPED = "stopped"  # grabbed, but the loop was asked to end


@dataclass(frozen=True)
class Counts:
    """One consistent look at the books; ``frames_in == kept + sum(dropped) + undecided + pending``."""

    frames_in: int
    kept: int
    dropped: dict[str, int]
    undecided: int
    pending: int

    @property
    def balanced(self) -> bool:
        return self.frames_in == self.kept + sum(self.dropped.values()) + self.undecided + self.pending


class Ledger:
    """Counts frames through their states; safe for use from the capture thread and the loop at once.

    A frame is ``arrived`` (pending), then perhaps ``superseded`` or ``discarded``; or ``decided`` at last. The loop
    tells how many frames it holds ``undecided`` when it settles.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in = self._kept = self._undecided = self._pending = 0
        self._dropped: Counter[str] = Counter()

    def arrived(self) -> None:
        """Count a grabbed frame, now pending."""
        with self._lock:
            self._in += 1
            self._pending += 1

    def discarded(self, cause: str) -> None:
        """Count a pending frame as dropped without a decision of the policy."""
        with self._lock:
            self._pending -= 1
            self._dropped[cause] += 1

    def observed(self) -> None:
        """Count a pending frame as one that the policy has seen and has not yet decided."""
        with self._lock:
            self._pending -= 1
            self._undecided += 1

    def decided(self, keep: bool, reason: str) -> None:
        """Count the decision on a frame that was observed."""
        with self._lock:
            self._undecided -= 1
            if keep:
                self._kept += 1
            else:
                self._dropped[reason] += 1

    def counts(self) -> Counts:
        """Return all counts as they were at one instant."""
        with self._lock:
            return Counts(self._in, self._kept, dict(self._dropped), self._undecided, self._pending)
