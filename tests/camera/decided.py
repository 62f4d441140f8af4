"""Frames and decisions for the tests of what comes after the policy."""

from __future__ import annotations

import numpy as np

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision


def frame(number: int, size: tuple[int, int] = (48, 64)) -> Frame:
    """Return a frame of seeded noise, which compresses badly and always alike."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Frame(number, pixels, captured_s=float(number), time_s=number / 10)


def decision(number: int, keep: bool = True, reason: str = "", score: float | None = 0.75) -> Decision:
    reason = reason or ("good" if keep else "below_threshold")
    return Decision(number, keep, reason, score, 0.5, time_s=number / 10, age_ms=12.5)
