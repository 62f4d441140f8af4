"""What a device tells: sysfs trees made like those of a Jetson, a Raspberry Pi and a PC, and their gaps."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge_iqa.devices import sysfs
from edge_iqa.devices.facts import board_power_w, is_jetson, read_device
from edge_iqa.devices.power_mode import parse_nvpmodel, read_power_mode
from edge_iqa.devices.raspberry_pi import parse_throttled, read_throttled
from edge_iqa.devices.tegrastats import parse_line


@pytest.fixture(autouse=True)
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no tegrastats, nvpmodel or vcgencmd of this machine be found."""
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


# As in docs.nvidia.com/jetson (power monitors, thermal zones) and www.kernel.org (hwmon, devfreq).
JETSON = {
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1510400",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1510400",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1728000",
    "sys/class/devfreq/17000000.gpu/cur_freq": "624750000",
    "sys/class/devfreq/15480000.nvdec/cur_freq": "998400000",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "48500",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal",
    "sys/class/thermal/thermal_zone1/temp": "-256000",
    "sys/class/thermal/thermal_zone2/type": "tj-thermal",
    "sys/class/thermal/thermal_zone2/temp": "50250",
    "sys/class/thermal/thermal_zone2/trip_point_0_type": "passive",
    "sys/class/thermal/thermal_zone2/trip_point_0_temp": "99000",
    "sys/class/thermal/thermal_zone3/type": "PMIC-Die",
    "sys/class/thermal/thermal_zone3/temp": "100000",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0",
    "sys/class/thermal/cooling_device0/cur_state": "0",
    "sys/class/thermal/cooling_device1/type": "pwm-fan",
    "sys/class/thermal/cooling_device1/cur_state": "3",
    "sys/class/hwmon/hwmon0/name": "pwmfan",
    "sys/class/hwmon/hwmon0/pwm1": "102",
    "sys/class/hwmon/hwmon1/name": "pwm_tach",
    "sys/class/hwmon/hwmon1/rpm": "2450",
    "sys/class/hwmon/hwmon2/name": "ina3221",
    "sys/class/hwmon/hwmon2/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon2/in1_input": "5000",
    "sys/class/hwmon/hwmon2/curr1_input": "1600",
    "sys/class/hwmon/hwmon2/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon2/in2_input": "5000",
    "sys/class/hwmon/hwmon2/curr2_input": "640",
    "sys/class/hwmon/hwmon2/in3_label": "NC",
    "sys/class/hwmon/hwmon2/in3_input": "5000",
    "sys/class/hwmon/hwmon2/curr3_input": "0",
    "sys/class/hwmon/hwmon2/in7_label": "sum of shunt voltages",
    "sys/class/hwmon/hwmon2/in7_input": "12",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\x00",
}


def test_a_jetson(tmp_path: Path) -> None:
    reading = read_device(write(tmp_path, JETSON))
    assert (reading.cpu_mhz, reading.gpu_mhz, reading.temperature_c) == (1510.4, 624.75, 50.25)
    assert (reading.governor, reading.throttling) == ("schedutil", ())
    assert reading.rails_w == {"VDD_IN": 8.0, "VDD_CPU_GPU_CV": 3.2}
    assert reading.power_w == 8.0
    assert (reading.fan_rpm, reading.fan_percent) == (2450, 40)
    assert is_jetson(tmp_path)


def test_sysfs_comes_first_and_tegrastats_fills_the_gaps(tmp_path: Path) -> None:
    line = parse_line(
        "RAM 1/2MB CPU [5%@729] GR3D_FREQ 5%@[318] tj@61C VDD_GPU_SOC 4000mW/1mW VDD_CPU_CV 1000mW/1mW "
        "VIN_SYS_5V0 3000mW/1mW VDDQ_VDD2_1V8AO 500mW/1mW"
    )
    bare = read_device(tmp_path, line)
    assert (bare.cpu_mhz, bare.gpu_mhz, bare.temperature_c, bare.power_w) == (729, 318, 61, 8.0)
    full = read_device(write(tmp_path, JETSON), line)
    assert (full.cpu_mhz, full.gpu_mhz, full.temperature_c, full.power_w) == (1510.4, 624.75, 50.25, 8.0)


def test_unknown_is_none_and_never_an_error(tmp_path: Path) -> None:
    reading = read_device(write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "broken"}))
    assert (reading.cpu_mhz, reading.gpu_mhz, reading.temperature_c, reading.governor) == (None, None, None, None)
    assert (reading.throttling, reading.throttle_count, reading.power_w, reading.rails_w) == (None, None, None, {})
    assert (reading.fan_rpm, reading.fan_percent) == (None, None)
    assert not is_jetson(tmp_path)


def test_a_cooling_device_that_lowers_a_clock_is_throttling_and_a_fan_is_not(tmp_path: Path) -> None:
    write(tmp_path, JETSON)
    write(tmp_path, {"sys/class/thermal/cooling_device0/cur_state": "2"})
    assert read_device(tmp_path).throttling == ("the system lowered a clock to cool the device",)


def test_a_zone_at_its_passive_trip_point_is_throttling(tmp_path: Path) -> None:
    write(tmp_path, JETSON)
    write(tmp_path, {"sys/class/thermal/thermal_zone2/temp": "99250"})
    (reason,) = read_device(tmp_path).throttling or ()
    assert "tj-thermal" in reason


def test_board_power_is_the_input_rail_or_the_sum_of_rails_side_by_side() -> None:
    assert board_power_w({"VDD_IN": 5.0, "VDD_SOC": 1.0}) == 5.0
    assert board_power_w({"VDD_GPU": 2.0, "VDD_CPU_SOC_MSS": 5.0, "VIN_SYS_5V0": 6.0, "VIN": 19.0}) == 19.0
    assert board_power_w({"VDD_GPU": 2.0, "VDD_CPU_SOC_MSS": 5.0, "VIN_SYS_5V0": 6.0}) == 13.0
    assert board_power_w({}) is None


@pytest.mark.parametrize(
    ("text", "now", "since_boot"),
    [
        ("throttled=0x0", 0, 0),
        ("throttled=0x50005", 2, 2),
        ("throttled=0xe0000", 0, 3),
        ("50000\n", 0, 2),  # as /sys/devices/platform/soc/soc:firmware/get_throttled has it
        ("throttled=0x8", 1, 0),
    ],
)
def test_throttling_of_a_raspberry_pi(text: str, now: int, since_boot: int) -> None:
    found = parse_throttled(text)
    assert found is not None
    assert (len(found.now), len(found.since_boot)) == (now, since_boot)


@pytest.mark.parametrize("text", ["", "VCHI initialization failed", "throttled=", "throttled=0x5000500000"])
def test_another_answer_is_none(text: str) -> None:
    assert parse_throttled(text) is None


def test_a_raspberry_pi_by_sysfs_and_by_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_throttled(tmp_path / "sys") is None
    program(tmp_path, "vcgencmd", 'test "$1" = get_throttled && echo throttled=0x1', monkeypatch)
    assert read_device(tmp_path).throttling == ("the supply voltage is too low",)
    write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "4"})
    assert read_device(tmp_path).throttling == ("the processor is throttled",)


def test_power_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_nvpmodel("NV Fan Mode:quiet\nNV Power Mode: MAXN_SUPER\n2\n") == "MAXN_SUPER"
    assert parse_nvpmodel("NVPM WARN: power mode is not set!\n") is None
    assert read_power_mode(tmp_path / "sys") is None
    write(tmp_path, {"sys/firmware/acpi/platform_profile": "balanced"})
    assert read_power_mode(tmp_path / "sys") == "balanced"
    program(tmp_path, "nvpmodel", "printf 'NV Power Mode: 15W\\n0\\n'", monkeypatch)
    assert read_power_mode(tmp_path / "sys") == "15W"


def test_clock_limits(tmp_path: Path) -> None:
    assert sysfs.cpu_max_mhz(write(tmp_path, JETSON) / "sys") == 1728.0


def program(folder: Path, name: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(path.parent))
