"""Pictures that are no pictures: black, frozen, or only partly there; found without a model, in little time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from edge_iqa.camera.ledger import BLACK, FROZEN, HALF_FRAME
from edge_iqa.camera.source import Pixels

_STEP = 8  # every 8th row and column is looked at


@dataclass(frozen=True)
class HealthSpec:
    """When a picture counts as unusable, whatever its score; the rules and numbers are ours.

    black: every sample that is looked at is at most ``black_level`` (0 to 255): a cap on the lens, a dead sensor.
    frozen: a live picture is the same to the last bit for longer than ``frozen_after_s`` (None: never asked). A sensor
    always has noise, but a video codec may repeat a still picture until its next key frame, some seconds later. After
    ``frozen_reopen_s`` more, and again each time, the camera is opened anew.
    half frame: a live picture's lowest ``half_share`` repeats one row to the last bit, as decoders fill what did not
    arrive, while the rows above do not. Files are not asked about the last two: drawings are made like that.
    """

    black_level: int = 12
    frozen_after_s: float | None = 10.0
    frozen_reopen_s: float = 30.0
    half_share: float = 0.2


class HealthCheck:
    """Looks at pictures in turn; remembers only a checksum."""

    def __init__(self, spec: HealthSpec, live: bool) -> None:
        self.spec = spec
        self.live = live
        self._checksum: tuple[int, tuple[int, ...]] | None = None
        self._same_since_s = 0.0
        self._reopened_s = 0.0

    def reopen_due(self, captured_s: float) -> bool:
        """Return whether the picture has been frozen for so long that the camera should be opened anew."""
        since = max(self._same_since_s + (self.spec.frozen_after_s or 0.0), self._reopened_s)
        if captured_s - since < self.spec.frozen_reopen_s:
            return False
        self._reopened_s = captured_s
        return True

    def fault(self, pixels: Pixels, captured_s: float) -> str | None:
        """Return what is wrong with a picture ``(H, W, 3)`` uint8 RGB grabbed at ``captured_s``, or None."""
        sample = np.ascontiguousarray(pixels[::_STEP, ::_STEP])
        if int(sample.max()) <= self.spec.black_level:
            return BLACK
        if not self.live:
            return None
        after_s = self.spec.frozen_after_s
        if after_s is not None and self._same_for_s(sample, pixels.shape, captured_s) > after_s:
            return FROZEN
        return HALF_FRAME if self._half(pixels) else None

    def _same_for_s(self, sample: Pixels, shape: tuple[int, ...], captured_s: float) -> float:
        checksum = (zlib.crc32(sample.data), shape)
        if checksum != self._checksum:
            self._checksum, self._same_since_s = checksum, captured_s
        return captured_s - self._same_since_s

    def _half(self, pixels: Pixels) -> bool:
        height = pixels.shape[0]
        rows = max(2, round(height * self.spec.half_share))
        columns = pixels[:, ::_STEP]
        bottom = columns[height - rows :]
        if not bool((bottom[0] == bottom[-1]).all()):  # nearly always the end of the check
            return False
        if not bool((bottom == bottom[-1]).all()):
            return False
        above = columns[: height - rows]
        return len(above) > 1 and not bool((above == above[-1]).all())
