"""A bounded queue and a thread around a sink: a slow or broken sink never stops the loop, and losses are counted."""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.sinks import FramesLost, Sink
from edge_iqa.errors import EdgeIqaError

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)
_PLAIN_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the device reports an input/output error",
}

Item = tuple[Frame, Decision]


class SinkQueue(Sink):
    """Runs a sink in its own thread, behind at most ``size`` waiting frames.

    ``wait_s`` is how long the loop may wait for room: None until there is room, which suits files, where every frame
    counts and time does not; 0 for live sources, which go on. What finds no room is lost and counted as ``full``;
    what the sink raises for is counted as ``error``, and the first error of each kind goes to ``warn`` as one line.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        size: int = 16,
        wait_s: float | None = 0.0,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.sink = sink
        self.name = sink.name
        self.needs_pixels = sink.needs_pixels
        self.handled = 0
        self._wait_s = wait_s
        self._warn = warn
        self._warned: set[object] = set()
        self._lost = {"full": 0, "error": 0}
        self._lock = threading.Lock()
        self._items: queue.Queue[Item | None] = queue.Queue(size)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.name}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> Mapping[str, int]:
        """Frames lost so far, by cause: ``full`` and ``error``."""
        with self._lock:
            return dict(self._lost)

    @property
    def lost_total(self) -> int:
        """Frames lost by the queue, and by the sink itself where it counts some that it did not raise for."""
        return sum(self.lost.values()) + int(getattr(self.sink, "lost_total", 0))

    @property
    def waiting(self) -> int:
        return self._items.qsize()

    def wants(self, decision: Decision) -> bool:
        return self.sink.wants(decision)

    def handle(self, frame: Frame, decision: Decision) -> None:
        """Queue a frame that the sink wants; never raises, and waits no longer than ``wait_s``."""
        if self._closing.is_set():
            self._lose("full", 1, "it was closed")
            return
        item = (frame if self.needs_pixels else replace(frame, pixels=_NO_PIXELS), decision)
        try:
            self._items.put(item, block=self._wait_s != 0, timeout=self._wait_s or None)
        except queue.Full:
            self._lose("full", 1, f"it is slower than the frames come: more than {self._items.maxsize} waited")

    def close(self, timeout_s: float = 10.0) -> None:
        """Let the sink handle what waits, then close it; what is not done after ``timeout_s`` is lost and counted."""
        if self._closing.is_set():
            return
        self._closing.set()
        deadline = time.monotonic() + timeout_s
        try:
            self._items.put(None, timeout=timeout_s)
        except queue.Full:
            self._give_up(timeout_s)
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._give_up(timeout_s)

    def _give_up(self, timeout_s: float) -> None:
        """Count what still waits as lost; the thread is a daemon and ends with the process."""
        while True:
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                self._lose("full", 1, f"it was not done {timeout_s:g} s after the end")

    def _work(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self.sink.handle(*item)
                self.handled += 1
            except Exception as error:
                self._lose("error", _count(error, 1), _in_words(error), _kind(error))
        try:
            self.sink.close()
        except Exception as error:
            self._lose("error", _count(error, 0), _in_words(error), _kind(error))

    def _lose(self, cause: str, count: int, text: str, kind: object = "full") -> None:
        with self._lock:
            self._lost[cause] += count
            known = kind in self._warned
            self._warned.add(kind)
        if not known:
            self._warn(f"{self.name}: {text}; the loop goes on, what is lost is counted")


def _count(error: Exception, otherwise: int) -> int:
    return error.count if isinstance(error, FramesLost) else otherwise


def _kind(error: Exception) -> object:
    return type(error), getattr(error, "errno", None)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _PLAIN_WORDS:
        return f"{_PLAIN_WORDS[error.errno]} ({error.filename})" if error.filename else _PLAIN_WORDS[error.errno]
    if isinstance(error, EdgeIqaError):
        return error.what
    if isinstance(error, FramesLost):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
