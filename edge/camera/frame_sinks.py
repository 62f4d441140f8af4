"""Sinks that write pictures: the kept frames, and a sample of the dropped ones to see what was thrown away."""

from __future__ import annotations

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.frame_folder import FrameFolder
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import Sink
from edge_iqa.errors import InvalidInput


class HandedOn(Sink):
    """Stands for a sink that gets its frames from another one: takes none, but counts losses and closes in time.

    Listed after KeptFrames, it closes the queue of ``then`` once the last file is written.
    """

    def __init__(self, queue: SinkQueue) -> None:
        self.name = queue.name
        self.queue = queue

    @property
    def lost_total(self) -> int:
        return self.queue.lost_total

    def wants(self, decision: Decision) -> bool:
        return False

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.queue.handle(frame, decision)

    def close(self) -> None:
        self.queue.close()


class KeptFrames(Sink):
    """Writes every kept frame; ``then``, if given, gets the frame once its file is there.

    Make ``then`` a SinkQueue, and list a HandedOn for it, so that a slow command does not hold up the writing.
    """

    name = "kept frames"

    def __init__(self, folder: FrameFolder, then: Sink | None = None) -> None:
        self.folder = folder
        self.then = then

    def wants(self, decision: Decision) -> bool:
        return decision.keep

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.folder.write(frame.number, frame.pixels)
        if self.then is not None and self.then.wants(decision):
            self.then.handle(frame, decision)


class RejectedFrames(Sink):
    """Writes the first dropped frame of each reason and then one in ``every``, counted per reason.

    Counting per reason lets rare reasons be seen among thousands of ``below_threshold``.
    """

    name = "rejected frames"

    def __init__(self, folder: FrameFolder, every: int = 100) -> None:
        if every < 1:
            raise InvalidInput("One in how many rejected frames is written must be at least 1", why=f"got {every}")
        self.folder = folder
        self.every = every
        self._seen: dict[str, int] = {}

    def wants(self, decision: Decision) -> bool:
        if decision.keep:
            return False
        seen = self._seen.get(decision.reason, 0)
        self._seen[decision.reason] = seen + 1
        return seen % self.every == 0

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.folder.write(frame.number, frame.pixels)
