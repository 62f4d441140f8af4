"""How long to wait before a camera is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class BackoffSpec:
    """Exponential backoff with jitter, in seconds.

    The n-th wait in a row is ``first_s * factor**n``, at most ``longest_s``, times a random number from 0.5 to 1, so
    that many boxes do not come back to one camera at the same instant. A connection that held for ``settled_s``
    starts the row anew; a shorter one does not, so that a camera that accepts and at once hangs up is not stormed.
    """

    first_s: float = 0.5
    factor: float = 2.0
    longest_s: float = 30.0
    settled_s: float = 10.0


class Backoff:
    """The row of waits; ``random_source`` makes the jitter repeatable in tests."""

    def __init__(self, spec: BackoffSpec, random_source: random.Random | None = None) -> None:
        self.spec = spec
        self._random = random_source or random.Random()  # noqa: S311 - spreads load, guards no secret
        self._failures = 0

    def connection_lasted(self, seconds: float) -> None:
        """Note how long a connection held before it was lost."""
        if seconds >= self.spec.settled_s:
            self._failures = 0

    def next_wait_s(self, patient: bool = False) -> float:
        """Return the next wait; ``patient`` asks for the longest, as where a login was refused and may be locked."""
        grown = self.spec.first_s * self.spec.factor ** min(self._failures, 60)
        wait = self.spec.longest_s if patient else min(self.spec.longest_s, grown)
        self._failures += 1
        return wait * self._random.uniform(0.5, 1.0)
