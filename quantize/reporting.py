"""How the stages of a run tell their progress."""

from __future__ import annotations

from collections.abc import Callable

Counted = Callable[[int, int], None]
"""Done, and in all."""

Trained = Callable[[int, int, float], None]
"""Steps done, steps in all, loss."""

Report = Callable[[str, int, int, float | None], None]
"""Stage of the run, steps done, steps in all, loss or None."""
