"""Readings beside a measurement: how often, what they say together, and when they mean throttling."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from edge_iqa.benchmarks.device_state import StateRecorder, throttle_reasons
from edge_iqa.devices.facts import DeviceReading


def reading(
    cpu_mhz: float | None = 1500.0,
    temperature_c: float | None = 50.0,
    gpu_mhz: float | None = None,
    throttle_count: int | None = None,
    throttling: tuple[str, ...] | None = None,
    rails_w: dict[str, float] | None = None,
) -> DeviceReading:
    return DeviceReading(
        cpu_mhz=cpu_mhz,
        gpu_mhz=gpu_mhz,
        temperature_c=temperature_c,
        governor="schedutil",
        throttle_count=throttle_count,
        throttling=throttling,
        fan_rpm=None,
        fan_percent=None,
        rails_w=rails_w or {},
    )


def recorded(readings: Sequence[DeviceReading]) -> StateRecorder:
    """Return a recorder that took the readings a second apart."""
    waiting = list(readings)
    recorder = StateRecorder(lambda: waiting.pop(0), start_s=0.0)
    for second in range(len(readings)):
        recorder.sample(float(second))
    return recorder


def test_samples_at_most_once_an_interval() -> None:
    recorder = StateRecorder(reading, start_s=0.0)
    for now_s in (0.0, 0.4, 0.9, 1.0, 1.5, 2.1):
        recorder.sample(now_s)
    assert [point.time_s for point in recorder.summary().trace] == [0.0, 1.0, 2.1]


def test_readings_are_taken_beside_the_work_and_at_its_end() -> None:
    recorder = StateRecorder(reading, interval_s=0.05)
    with recorder.beside():
        time.sleep(1.0)
    assert 2 <= len(recorder.taken) <= 8
    quick = StateRecorder(reading, interval_s=60.0)
    for _ in range(3):
        with quick.beside():
            pass
    assert len(quick.taken) == 1


def test_a_summary_of_what_is_known() -> None:
    rails = ({"VDD_IN": 8.0, "VDD_SOC": 1.0}, {"VDD_IN": 10.0, "VDD_SOC": 2.0})
    readings = [reading(1400, 48, 600, rails_w=rails[0]), reading(1600, 52, 700, rails_w=rails[1])]
    state = recorded(readings).summary("15W")
    assert (state.samples, state.governor, state.power_mode) == (2, "schedutil", "15W")
    assert (state.cpu_mhz_min, state.cpu_mhz_max, state.gpu_mhz_min, state.gpu_mhz_max) == (1400, 1600, 600, 700)
    assert (state.temperature_c_start, state.temperature_c_max, state.temperature_c_end) == (48, 52, 52)
    assert (state.power_w, state.rails_w) == (9.0, {"VDD_IN": 9.0, "VDD_SOC": 1.5})
    assert (state.throttled, state.throttle_reasons) == (False, [])
    assert state.trace[1].power_w == 10.0


def test_unknown_is_none() -> None:
    nothing = reading(cpu_mhz=None, temperature_c=None)
    for state in (recorded([nothing] * 9).summary(), recorded([]).summary()):
        assert (state.cpu_mhz_min, state.temperature_c_max, state.power_w, state.throttled) == (None, None, None, None)
        assert (state.rails_w, state.throttle_reasons) == ({}, [])


def test_a_part_of_the_readings_can_be_summarized() -> None:
    recorder = recorded([reading(1000)] * 3 + [reading(2000)] * 2)
    assert recorder.summary(first=3).cpu_mhz_min == 2000
    assert recorder.summary(first=3).samples == 2


def test_what_the_system_tells_of_throttling_is_told_with_its_count() -> None:
    readings = [reading(throttling=()), reading(throttling=("the clock is capped",)), reading(throttling=())]
    state = recorded(readings).summary()
    assert state.throttled is True
    assert state.throttle_reasons == ["the clock is capped (1 of 3 readings)"]


@pytest.mark.parametrize(("counts", "times"), [((7, 7), None), ((7, 9), 2)])
def test_a_growing_throttle_count_is_throttling(counts: tuple[int, int], times: int | None) -> None:
    reasons = throttle_reasons([reading(throttle_count=count) for count in counts])
    assert reasons == ([] if times is None else [f"the processor was throttled {times} times during the run"])


@pytest.mark.parametrize("name", ["cpu_mhz", "gpu_mhz"])
def test_a_clock_that_falls_is_throttling_and_a_single_dip_is_not(name: str) -> None:
    def clocks(values: Sequence[float]) -> list[str]:
        return throttle_reasons([reading(**{name: value}) for value in values])

    assert clocks([1500] * 5 + [900] + [1500] * 6) == []
    assert clocks([1500] * 6 + [1400] * 6) == []
    (reason,) = clocks([1500] * 6 + [1200] * 6)
    assert "from 1500 to 1200 MHz" in reason


def test_heat_that_still_rises_is_throttling_unless_the_run_is_to_show_it() -> None:
    readings = [reading(temperature_c=40.0 + 2 * step) for step in range(12)]
    (reason,) = throttle_reasons(readings)
    assert "from 40 to 62" in reason
    assert throttle_reasons(readings, heating=False) == []
    assert throttle_reasons(readings[:6]) == []
