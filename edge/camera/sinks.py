"""What is done with decided frames: the Sink protocol that the loop, the queue and every sink share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision


class Sink(Protocol):
    """Takes decided frames; ``name`` tells sinks apart in counts and messages.

    ``wants`` is asked once for every decided frame, by the loop, and must be quick; only what it wants reaches
    ``handle``. Where ``needs_pixels`` is False, the frame may come with pixels of shape (0, 0, 3), so that a queue
    in between does not hold pictures. ``handle`` may raise; the SinkQueue around it counts the loss and the loop goes
    on. ``close`` writes out what is still held.
    """

    name: str
    needs_pixels: bool = True

    def wants(self, decision: Decision) -> bool:
        return True

    def handle(self, frame: Frame, decision: Decision) -> None: ...

    def close(self) -> None:
        return


class FramesLost(Exception):
    """Raised by a sink that lost frames other than the one it was handed: ``count`` of them."""

    def __init__(self, count: int, why: str) -> None:
        super().__init__(why)
        self.count = count


class CallbackSink(Sink):
    """Hands every decided frame to a function of yours."""

    name = "callback"

    def __init__(self, function: Callable[[Frame, Decision], None]) -> None:
        self.function = function

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.function(frame, decision)
