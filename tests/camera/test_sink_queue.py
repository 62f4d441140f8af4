"""A sink that is slow, broken or hanging costs the loop nothing but counted frames."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable

import pytest
from decided import decision, frame

from edge_iqa.camera.frame import Frame
from edge_iqa.camera.policy import Decision
from edge_iqa.camera.sink_queue import SinkQueue
from edge_iqa.camera.sinks import CallbackSink, FramesLost, Sink


class Gate(Sink):
    """Handles nothing until it is opened."""

    name = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.seen: list[int] = []

    def handle(self, frame: Frame, decision: Decision) -> None:
        self.open.wait()
        self.seen.append(frame.number)


def sink(function: Callable[[Frame, Decision], None]) -> Sink:
    return CallbackSink(function)


def test_every_frame_arrives_in_order_and_once() -> None:
    seen: list[int] = []
    queue = SinkQueue(sink(lambda frame, decision: seen.append(frame.number)), size=4, wait_s=None)
    for number in range(200):
        queue.handle(frame(number % 3), decision(number))
    queue.close()
    assert seen == [number % 3 for number in range(200)]
    assert (queue.handled, queue.lost_total) == (200, 0)


def test_full_queue_drops_and_counts_without_waiting() -> None:
    gate, warnings = Gate(), list[str]()
    queue = SinkQueue(gate, size=2, wait_s=0.0, warn=warnings.append)
    for number in range(10):
        queue.handle(frame(number), decision(number))
    gate.open.set()
    queue.close()
    assert len(gate.seen) + queue.lost["full"] == 10
    assert 2 <= len(gate.seen) <= 3
    assert len(warnings) == 1
    assert "slower than the frames come" in warnings[0]


def test_queue_for_files_waits_and_loses_nothing() -> None:
    gate = Gate()
    queue = SinkQueue(gate, size=1, wait_s=None)
    threading.Timer(0.1, gate.open.set).start()
    for number in range(6):
        queue.handle(frame(number), decision(number))
    queue.close()
    assert gate.seen == list(range(6))
    assert queue.lost_total == 0


def test_disk_full_and_back_is_told_once_and_counted() -> None:
    warnings: list[str] = []

    def write(frame: Frame, decision: Decision) -> None:
        if 3 <= frame.number < 8:
            raise OSError(errno.ENOSPC, "No space left on device", "/kept/x.jpg")

    queue = SinkQueue(sink(write), size=20, wait_s=None, warn=warnings.append)
    for number in range(10):
        queue.handle(frame(number), decision(number))
    queue.close()
    assert (queue.handled, queue.lost) == (5, {"full": 0, "error": 5})
    assert warnings == ["callback: the disk is full (/kept/x.jpg); the loop goes on, what is lost is counted"]


def test_each_kind_of_error_is_told_once() -> None:
    warnings: list[str] = []

    def fail(frame: Frame, decision: Decision) -> None:
        raise (ValueError("odd") if frame.number % 2 else KeyError("even"))

    queue = SinkQueue(sink(fail), wait_s=None, warn=warnings.append)
    for number in range(6):
        queue.handle(frame(number), decision(number))
    queue.close()
    assert len(warnings) == 2
    assert queue.lost["error"] == 6


def test_hanging_sink_does_not_hold_up_the_end_and_what_waits_is_counted() -> None:
    gate = Gate()
    queue = SinkQueue(gate, size=5, wait_s=0.0)
    for number in range(4):
        queue.handle(frame(number), decision(number))
    started = time.monotonic()
    queue.close(timeout_s=0.2)
    assert time.monotonic() - started < 5
    assert queue.lost["full"] >= 3
    gate.open.set()


def test_frame_after_the_end_is_counted_as_lost() -> None:
    queue = SinkQueue(Gate())
    queue.sink.open.set()  # type: ignore[attr-defined]
    queue.close()
    queue.close()
    queue.handle(frame(0), decision(0))
    assert queue.lost_total == 1


def test_sink_that_loses_frames_at_its_end_says_how_many() -> None:
    class Ending(Gate):
        def close(self) -> None:
            raise FramesLost(7, "7 messages were not delivered")

    ending = Ending()
    ending.open.set()
    warnings: list[str] = []
    queue = SinkQueue(ending, warn=warnings.append)
    queue.close()
    assert queue.lost_total == 7
    assert "7 messages" in warnings[0]


@pytest.mark.parametrize("needs_pixels", [True, False])
def test_queue_holds_pictures_only_for_sinks_that_need_them(needs_pixels: bool) -> None:
    shapes: list[tuple[int, ...]] = []
    inner = sink(lambda frame, decision: shapes.append(frame.pixels.shape))
    inner.needs_pixels = needs_pixels
    queue = SinkQueue(inner, wait_s=None)
    queue.handle(frame(1), decision(1))
    queue.close()
    assert shapes == [(48, 64, 3) if needs_pixels else (0, 0, 3)]
