"""The state of the machine, from a sysfs made for the test: values, gaps, throttling, the Jetson's marks."""

from __future__ import annotations

from pathlib import Path

from edge_iqa.benchmarks.device_state import StateRecorder, is_jetson, read_state


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


BOARD = {
    "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000",
    "devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1700000",
    "devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "class/thermal/thermal_zone0/temp": "48000",
    "class/thermal/thermal_zone1/temp": "61500",
    "class/thermal/cooling_device0/type": "thermal-cpufreq-0",
    "class/thermal/cooling_device0/cur_state": "0",
}


def test_clock_temperature_and_governor(tmp_path: Path) -> None:
    write(tmp_path, BOARD)
    state = read_state(tmp_path)
    assert (state.cpu_mhz, state.temperature_c, state.governor) == (1600.0, 61.5, "schedutil")
    assert state.cooling is False


def test_unknown_is_none_and_never_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"class/thermal/thermal_zone0/temp": "broken"})
    state = read_state(tmp_path)
    assert (state.cpu_mhz, state.temperature_c, state.governor, state.cooling) == (None, None, None, None)
    recorder = StateRecorder(tmp_path)
    recorder.sample()
    assert recorder.summary().throttled is None


def test_samples_at_most_once_an_interval(tmp_path: Path) -> None:
    recorder = StateRecorder(tmp_path)
    for now_s in (0.0, 0.4, 0.9, 1.0, 1.5, 2.1):
        recorder.sample(now_s)
    assert recorder.summary().samples == 3


def test_cooling_by_a_lower_clock_is_throttling(tmp_path: Path) -> None:
    write(tmp_path, BOARD)
    recorder = StateRecorder(tmp_path)
    recorder.sample(0.0)
    assert recorder.summary().throttled is False
    write(tmp_path, {"class/thermal/cooling_device0/cur_state": "2"})
    write(tmp_path, {"devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "900000"})
    recorder.sample(5.0)
    summary = recorder.summary()
    assert summary.throttled is True
    assert (summary.cpu_mhz_min, summary.cpu_mhz_max) == (1200.0, 1600.0)


def test_a_growing_throttle_count_is_throttling(tmp_path: Path) -> None:
    counter = "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    recorder = StateRecorder(tmp_path)
    for time_s, count in enumerate(("7", "7")):
        write(tmp_path, {counter: count})
        recorder.sample(10.0 * time_s)
    assert recorder.summary().throttled is False
    write(tmp_path, {counter: "8"})
    recorder.sample(30.0)
    assert recorder.summary().throttled is True


def test_jetson_is_known_by_its_release_file_or_its_board(tmp_path: Path) -> None:
    assert not is_jetson(tmp_path)
    write(tmp_path, {"board/proc/device-tree/model": "NVIDIA Jetson Orin Nano\x00"})
    assert is_jetson(tmp_path / "board")
    write(tmp_path, {"release/etc/nv_tegra_release": "# R36"})
    assert is_jetson(tmp_path / "release")
