"""A long run: its length, its intervals, what it says of the clocks; and several scorers at once."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.benchmarks.device_state import StateRecorder
from edge_iqa.benchmarks.streams import run_streams
from edge_iqa.benchmarks.sustained import SustainedRun, interval_seconds, p90_change, parse_duration
from edge_iqa.devices.facts import DeviceReading
from edge_iqa.errors import ImageCorrupt, InvalidInput

PICTURE = np.zeros((2, 2, 3), np.uint8)


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("90s", 90), ("1h", 3600), ("45", 45), ("0.5M", 30)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "10 minutes", "-3s", "0", "25h", "1d", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="duration"):
        parse_duration(text)


def test_an_interval_holds_enough_samples_for_a_p90() -> None:
    assert interval_seconds(600, latency_ms=10) == 10
    assert interval_seconds(600, latency_ms=500) == pytest.approx(35.2)
    assert interval_seconds(10, latency_ms=1) == 1
    assert interval_seconds(0.5, latency_ms=1) == 0.5


def test_change_of_p90() -> None:
    assert p90_change([10.0] * 10 + [12.0] * 2) == pytest.approx(0.2)
    assert p90_change([10.0, None, 10.0, 10.0, 10.0, None, 15.0]) == pytest.approx(0.5)
    assert p90_change([10.0, None, 10.0, 10.0, 15.0]) is None


def test_intervals_have_their_own_percentiles_and_readings() -> None:
    clock, heat = iter([2000.0] * 10 + [1500.0] * 10), iter(np.linspace(40, 80, 20))
    recorder = StateRecorder(
        lambda: DeviceReading(next(clock), None, float(next(heat)), None, None, None, None, None, {"VDD_IN": 7.0}),
        start_s=0.0,
    )
    run = SustainedRun(recorder, interval_s=2.0)
    for interval in range(10):
        recorder.sample(2.0 * interval)
        recorder.sample(2.0 * interval + 1)
        run.add([10.0 if interval < 5 else 14.0] * 70, 2.0)
    run.add([14.0] * 3, 0.1)
    found, reasons = run.summary()
    assert [interval.start_s for interval in found.intervals[:3]] == [0, 2, 4]
    assert [interval.cpu_mhz for interval in found.intervals] == [2000.0] * 5 + [1500.0] * 5 + [None]
    assert found.intervals[9].temperature_c == 80
    assert found.intervals[0].power_w == 7.0
    assert found.intervals[-1].p90_ms is None
    assert found.p90_change == pytest.approx(0.4)
    assert reasons == ["the CPU clock fell from 2000 to 1500 MHz during the run"]


class CountingScorer:
    """Takes 2 ms a picture, and remembers how many of its kind were at work at once."""

    lock = threading.Lock()
    at_work = 0
    most = 0

    def __call__(self, picture: NDArray[np.uint8]) -> None:
        kind = type(self)
        with kind.lock:
            kind.at_work += 1
            kind.most = max(kind.most, kind.at_work)
        time.sleep(0.002)
        with kind.lock:
            kind.at_work -= 1


def test_streams_work_at_once_and_every_picture_counts() -> None:
    pictures, seconds = run_streams([CountingScorer() for _ in range(4)], [PICTURE, PICTURE], 0.5)
    assert CountingScorer.most == 4
    assert seconds >= 0.5
    assert 8 <= pictures <= 4 * seconds / 0.002


def test_what_a_stream_raises_is_raised() -> None:
    def broken(picture: NDArray[np.uint8]) -> None:
        raise ImageCorrupt("broken")

    with pytest.raises(ImageCorrupt):
        run_streams([CountingScorer(), broken], [PICTURE], 0.05)
