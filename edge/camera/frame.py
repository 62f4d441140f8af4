"""One picture of a camera or video, with the times that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame as it was grabbed.

    ``number`` counts grabbed frames from 0 over the whole run, reconnects included. ``pixels`` is uint8 RGB of
    shape (H, W, 3). ``captured_s`` is this machine's monotonic clock at the grab, in seconds; ``time_s`` is the
    stream's own clock, in seconds, and never runs backwards.
    """

    number: int
    pixels: NDArray[np.uint8]
    captured_s: float
    time_s: float
