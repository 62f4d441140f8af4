"""A cheap detector of cuts and sudden large changes, on small grey pictures; tens of microseconds per frame."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from edge_iqa.camera.policy_spec import SceneChangeRule

_SIDE = 32
_SAMPLES_PER_SIDE = 128
_REMEMBERED = 8


class SceneChangeDetector:
    """Compares each frame's thumbnail with that of the frame before.

    A change needs both the rule's absolute ``difference`` and ``ratio`` times the mean difference of the last frames:
    a panning camera differs from frame to frame all the time, and is one scene (the two conditions of
    PySceneDetect's adaptive detector). A flash of one frame counts twice, when it comes and when it goes.
    """

    def __init__(self, rule: SceneChangeRule) -> None:
        self.rule = rule
        self._last: NDArray[np.float32] | None = None
        self._differences: deque[float] = deque(maxlen=_REMEMBERED)

    def changed(self, pixels: NDArray[np.uint8]) -> bool:
        """Return whether ``pixels``, uint8 RGB of shape (H, W, 3) and of any size, begin a new scene."""
        now = thumbnail(pixels)
        last, self._last = self._last, now
        if last is None:
            return False
        difference = float(np.abs(now - last).mean()) / 255
        usual = sum(self._differences) / len(self._differences) if self._differences else 0.0
        if difference >= self.rule.difference and difference >= self.rule.ratio * usual:
            self._differences.clear()
            return True
        self._differences.append(difference)
        return False


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the green channel of ``pixels`` as float32 of shape (32, 32), 0 to 255, from about 128 x 128 samples."""
    import cv2

    height, width = pixels.shape[:2]
    rows, columns = max(1, height // _SAMPLES_PER_SIDE), max(1, width // _SAMPLES_PER_SIDE)
    samples = np.ascontiguousarray(pixels[::rows, ::columns, 1], dtype=np.float32)
    small: NDArray[np.float32] = cv2.resize(samples, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return small
