"""The small parts of the loop: redaction, clocks, waits, rates, books, slot, budget, systemd."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_iqa.camera.backoff import Backoff, BackoffSpec
from edge_iqa.camera.cpu_budget import STARVE_S, CpuBudget
from edge_iqa.camera.faults import Fault, parse_faults
from edge_iqa.camera.ledger import Ledger
from edge_iqa.camera.notify import ServiceNotifier
from edge_iqa.camera.rate import RateMeter
from edge_iqa.camera.redact import redact
from edge_iqa.camera.slot import QUEUE_FRAMES, FrameSlot, NumberedGrab
from edge_iqa.camera.source import Grab
from edge_iqa.camera.stream_clock import MAX_LEAP_S, StreamClock
from edge_iqa.errors import InvalidInput


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@10.0.0.5:554/stream1",
        "cannot open 'rtsp://admin:hunter2@cam/x' twice",
        "rtsp://admin:hun@ter2@host/x",
        "http://host/video?user=admin&password=hunter2&x=1",
        "http://host/video?channel=1&pwd=hunter2",
        "rtspsrc location=rtsp://admin:hunter2@cam/x latency=0 ! fakesink",
        'rtspsrc user-id=admin user-pw="hunter2" location=rtsp://cam/x',
        "https://host/api?access_token=hunter2",
        "Authorization: Basic hunter2",
    ],
)
def test_no_password_survives_redaction(text: str) -> None:
    clean = redact(text)
    assert "hunter2" not in clean
    assert "ter2" not in clean
    assert "admin" not in clean
    assert "***" in clean


def test_redaction_leaves_host_and_path() -> None:
    assert redact("rtsp://a:b@10.0.0.5:554/stream1?ch=2") == "rtsp://***@10.0.0.5:554/stream1?ch=2"
    for plain in ("rtsp://10.0.0.5/x", "clip.mp4", "test:640x480@30,frames=3", "videotestsrc pattern=ball ! fakesink"):
        assert redact(plain) == plain


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.floats(-1e6, 1e6), max_size=30), live=st.booleans())
def test_the_stream_clock_never_runs_backwards_nor_leaps(steps: list[float], live: bool) -> None:
    clock = StreamClock(live)
    raw, last = 0.0, 0.0
    for index, step in enumerate(steps):
        raw += step
        now = clock.at(raw, index * 0.1)
        assert now >= last
        if live:
            assert now - last <= 0.1 + MAX_LEAP_S + 1e-6
        last = now


def test_the_stream_clock_follows_a_steady_stream_and_restarts() -> None:
    clock = StreamClock(live=True)
    assert [clock.at(5 + n * 0.04, 100 + n * 0.05) for n in range(3)] == pytest.approx([0, 0.04, 0.08])
    clock.restart()
    assert clock.at(0.0, 103.1) == pytest.approx(3.08)  # away for 3 s, then a new count
    assert clock.at(0.04, 103.2) == pytest.approx(3.12)
    assert clock.jumps == 0


def test_waits_grow_are_bounded_and_differ() -> None:
    spec = BackoffSpec(first_s=1.0, longest_s=8.0)
    waits = [Backoff(spec, random.Random(seed)) for seed in range(20)]
    rows = [[each.next_wait_s() for _ in range(6)] for each in waits]
    for number, full in enumerate([1, 2, 4, 8, 8, 8]):
        column = [row[number] for row in rows]
        assert all(full / 2 <= wait <= full for wait in column)
        assert len(set(column)) > 10


def test_only_a_connection_that_held_starts_the_waits_anew() -> None:
    backoff = Backoff(BackoffSpec(first_s=1.0, longest_s=64.0, settled_s=10.0), random.Random(0))
    for _ in range(5):
        backoff.next_wait_s()
        backoff.connection_lasted(0.1)  # accepted, and hung up at once
    assert backoff.next_wait_s() >= 16
    backoff.connection_lasted(11.0)
    assert backoff.next_wait_s() <= 1.0
    assert backoff.next_wait_s(patient=True) >= 32


def test_the_rate_is_frames_over_span_and_starts_anew_after_a_gap() -> None:
    rate = RateMeter()
    assert rate.per_second(0.0) is None
    for burst in range(5):
        for frame in range(10):
            rate.add(burst * 0.5 + frame * 0.001)  # ten at once, twice a second
    assert rate.per_second(2.1) == pytest.approx(49 / 2.009)
    assert rate.per_second(10.0) == 0.0
    rate.add(20.0)
    rate.add(20.1)
    assert rate.per_second(20.1) == pytest.approx(10)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(st.sampled_from(["arrive", "discard", "observe", "keep", "drop"]), max_size=60))
def test_the_books_balance_after_every_event(events: list[str]) -> None:
    ledger = Ledger()
    for event in events:
        counts = ledger.counts()
        if event == "arrive":
            ledger.arrived()
        elif event == "discard" and counts.pending:
            ledger.discarded("broken")
        elif event == "observe" and counts.pending:
            ledger.observed()
        elif event in {"keep", "drop"} and counts.undecided:
            ledger.decided(event == "keep", "below")
        assert ledger.counts().balanced
        assert min(ledger.counts().pending, ledger.counts().undecided) >= 0


def _numbered(number: int) -> NumberedGrab:
    return NumberedGrab(number, 0.0, Grab(0.0, None, lambda: np.zeros((8, 8, 3), np.uint8)))


def test_the_newest_frame_takes_the_place_of_the_one_before() -> None:
    ledger = Ledger()
    slot = FrameSlot(ledger, newest_only=True)
    assert all(slot.put(_numbered(number)) for number in range(5))
    taken = slot.take(0)
    assert taken is not None
    assert taken.number == 4
    assert slot.take(0) is None
    assert ledger.counts().dropped == {"superseded": 4}
    assert ledger.counts().pending == 1  # the taken one, not looked at yet


def test_a_queue_waits_for_its_reader_and_lets_go_when_closed() -> None:
    slot = FrameSlot(Ledger(), newest_only=False)
    put: list[int] = []

    def fill() -> None:
        for number in range(10):
            if slot.put(_numbered(number)):
                put.append(number)

    thread = threading.Thread(target=fill)
    thread.start()
    end = time.monotonic() + 5
    while len(put) < QUEUE_FRAMES and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)
    assert put == list(range(QUEUE_FRAMES))
    assert slot.take(1) is not None
    while len(put) < QUEUE_FRAMES + 1 and time.monotonic() < end:
        time.sleep(0.005)
    slot.close()
    thread.join(5)
    assert put == list(range(QUEUE_FRAMES + 1))
    assert [taken.number for taken in iter(lambda: slot.take(0), None)] == [1, 2]
    assert slot.done


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_budget_holds_its_share_over_time() -> None:
    wall, cpu = Clock(), Clock()
    budget = CpuBudget(0.5, wall, cpu)
    looked_at = 0
    for _ in range(3000):  # 100 s at 30 frames a second, each look costs 30 ms, decoding 3 ms
        wall.now += 1 / 30
        cpu.now += 0.003
        if budget.allows():
            looked_at += 1
            cpu.now += 0.030
    assert cpu.now / wall.now == pytest.approx(0.5, abs=0.02)
    assert looked_at > 1000


def test_frames_still_come_where_decoding_alone_takes_more_than_the_share() -> None:
    wall, cpu = Clock(), Clock()
    budget = CpuBudget(0.1, wall, cpu)
    looks = []
    for _ in range(900):
        wall.now += 1 / 30
        cpu.now += 0.02
        if budget.allows():
            looks.append(wall.now)
    gaps = np.diff(looks)
    assert max(gaps) <= STARVE_S + 0.1


def test_a_budget_tells_how_long_to_wait() -> None:
    wall, cpu = Clock(), Clock()
    budget = CpuBudget(0.25, wall, cpu)
    cpu.now += 0.1
    assert budget.wait_s() == pytest.approx(0.4)
    wall.now += 0.4
    assert budget.wait_s() == pytest.approx(0, abs=1e-9)


def test_scripts_of_faults_are_read_and_refused() -> None:
    assert parse_faults("black@3-5/gone@7") == (Fault("black", 3, 5), Fault("gone", 7, 7))
    for bad in ("green@3", "black", "black@5-3", "black@x"):
        with pytest.raises(InvalidInput):
            parse_faults(bad)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A socket as systemd makes it for a service with a watchdog of 2 s."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(0.2)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield server


def test_systemd_is_told_and_not_too_often(systemd: socket.socket) -> None:
    notifier = ServiceNotifier()
    notifier.ready()
    notifier.ready()
    for _ in range(50):
        notifier.alive()
    notifier.status("two\nlines")
    notifier.stopping()
    received = []
    while True:
        try:
            received.append(systemd.recv(4096).decode())
        except TimeoutError:
            break
    assert received == ["READY=1", "WATCHDOG=1", "STATUS=two lines", "STOPPING=1"]


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceNotifier().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    ServiceNotifier().stopping()


def test_the_watchdog_of_another_process_is_not_fed(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    ServiceNotifier().alive()
    with pytest.raises(TimeoutError):
        systemd.recv(4096)
