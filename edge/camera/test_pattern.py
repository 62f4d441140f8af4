"""Moving pictures made by rule: sharp, blurred, dark and noisy in turn, with the grain of a real sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PHASES = ("sharp", "blurred", "dark", "noisy")
PHASE_FRAMES = 30
_MARGIN = 64


class TestPattern:
    """Frame ``index`` of a pattern of ``width`` by ``height`` pixels; the same seed gives the same pictures.

    The picture moves by some pixels from frame to frame. Its quality changes every ``PHASE_FRAMES`` frames.
    """

    __test__ = False  # not a test, for pytest

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.width, self.height = width, height
        self._canvases = _canvases(width + _MARGIN, height + _MARGIN, seed)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return frame ``index`` as a new array, uint8 RGB ``(height, width, 3)``."""
        canvas = self._canvases[phase(index)]
        left, top = (index * 5) % _MARGIN, (index * 3) % _MARGIN
        return canvas[top : top + self.height, left : left + self.width].copy()


def phase(index: int) -> str:
    """Return the quality of frame ``index``, one of ``PHASES``."""
    return PHASES[index // PHASE_FRAMES % len(PHASES)]


def _canvases(width: int, height: int, seed: int) -> dict[str, NDArray[np.uint8]]:
    import cv2

    random = np.random.default_rng(seed)
    across = np.linspace(60, 180, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-30, 30, height, dtype=np.float32)[:, None, None]
    scene = np.ascontiguousarray(np.broadcast_to(across + down, (height, width, 3)).astype(np.uint8))
    for _ in range(150):
        corner = (int(random.integers(0, width)), int(random.integers(0, height)))
        size = max(4, min(width, height) // 8)
        far = (corner[0] + int(random.integers(3, size)), corner[1] + int(random.integers(3, size)))
        cv2.rectangle(scene, corner, far, [int(value) for value in random.integers(0, 256, 3)], -1)
    grain = random.normal(0, 2, (height, width, 1)).astype(np.float32)
    strong = random.normal(0, 30, (height, width, 3)).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(scene, (0, 0), max(2.0, min(width, height) / 60)), np.float32)
    pictures = {
        "sharp": scene + grain,
        "blurred": blurred + grain,
        "dark": scene * np.float32(0.15) + 8 + 2 * grain,
        "noisy": scene + strong,
    }
    return {name: np.clip(picture, 0, 255).astype(np.uint8) for name, picture in pictures.items()}
