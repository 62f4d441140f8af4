"""A small stand-in for the camera loop: moving pictures, scores that rise and fall, the real policy and preview."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter

import numpy as np

from edge_iqa.camera.address import parse_address
from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Observation, initial_state, step
from edge_iqa.camera.policy_spec import Policy
from edge_iqa.camera.preview import LoopControls, Preview
from edge_iqa.camera.status import LoopStatus

WIDTH, HEIGHT = 320, 180


class PreviewLoop:
    """Feeds a preview about 30 frames a second until closed; scores swing between 0.2 and 0.8."""

    def __init__(self, address: str = "127.0.0.1:0", token: str | None = None) -> None:
        self.policy = Policy(1, "test", 0.5, purpose="for the test", min_gap_s=0.05)
        self.status = LoopStatus(source="synthetic")
        controls = LoopControls(lambda: self.status, lambda: self.policy, self.set_policy)
        self.preview = Preview(parse_address(address), controls, token=token)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def set_policy(self, policy: Policy) -> None:
        self.policy = policy

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.preview.close()

    def _run(self) -> None:
        state, kept, dropped = initial_state(self.policy), 0, Counter[str]()
        number = 0
        while not self._end.wait(1 / 30):
            frame = Frame(number, picture(number), time.monotonic(), number / 30)
            score = 0.5 + 0.3 * math.sin(number / 9)
            state, decisions = step(self.policy, state, Observation(number, score, frame.time_s, 12.0))
            for decision in decisions:
                kept += decision.keep
                dropped[decision.reason] += not decision.keep
                self.preview.handle(frame, decision)
            number += 1
            self.status = LoopStatus(
                "running", "synthetic", number, kept, +dropped, fps=30.0, age_ms=12.0, threshold=self.policy.threshold
            )


def picture(number: int) -> np.ndarray:
    """Return a grey ramp with a coloured square that moves with the frame's number."""
    pixels = np.repeat(np.linspace(40, 160, WIDTH, dtype=np.uint8)[None, :, None], HEIGHT, axis=0).repeat(3, axis=2)
    left = number * 4 % (WIDTH - 60)
    pixels[60:120, left : left + 60] = (230, 120, 30)
    return np.ascontiguousarray(pixels)
