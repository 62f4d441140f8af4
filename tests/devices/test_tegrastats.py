"""Lines of tegrastats as Orin, Xavier, TX2 and Thor print them, unknown fields, and the program run beside."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from edge_iqa.devices.tegrastats import TegrastatsStream, parse_line

# The formats of docs.nvidia.com/jetson (r32.5, r35, r36.4, r38.4, r39), as boards of each kind printed them.
ORIN_NX = (
    "RAM 3456/15388MB (lfb 20x4MB) SWAP 0/7694MB (cached 0MB) "
    "CPU [12%@1420,8%@1420,off,off,5%@1420,3%@1420,2%@1420,1%@1420] EMC_FREQ 24%@2133 GR3D_FREQ 41%@[306] "
    "NVENC off NVDEC off NVJPG off VIC off OFA off APE 200 "
    "cpu@52.5C soc2@50C soc0@50C gpu@51C tj@53.5C soc1@50C cv0@-256C VDD_IN 5000mW/4800mW "
    "VDD_CPU_GPU_CV 696mW/696mW VDD_SOC 1104mW/1104mW"
)
AGX_ORIN = (
    "09-12-2025 14:57:12 RAM 5059/30623MB (lfb 5843x4MB) SWAP 0/15311MB (cached 0MB) "
    "CPU [15%@729,8%@729,off,off] EMC_FREQ 5%@3199 GR3D_FREQ 99%@[1300,1290] NVENC off cpu@48.4C tj@50.1C "
    "Tboard@33C Tdiode@33.5C VDD_GPU_SOC 4800mW/4700mW VDD_CPU_CV 1600mW/1600mW VIN_SYS_5V0 4707mW/4674mW "
    "NC 0mW/0mW VDDQ_VDD2_1V8AO 600mW/600mW NC 0mW/0mW"
)
XAVIER_NX = (
    "RAM 2387/7774MB (lfb 961x4MB) SWAP 0/3887MB (cached 0MB) "
    "CPU [14%@1190,9%@1190,2%@1190,4%@1190,0%@1190,1%@1344] EMC_FREQ 1%@1600 GR3D_FREQ 0%@114 VIC_FREQ 0%@115 "
    "APE 150 MTS fg 0% bg 3% AO@31C GPU@31.5C PMIC@100C AUX@31.5C CPU@33C thermal@31.95C "
    "VDD_IN 3528/3569 VDD_CPU_GPU_CV 410/426 VDD_SOC 1107/1115"
)
THOR_R38 = (
    "04-21-2026 15:50:52 RAM 105265/125772MB (lfb 34x4MB) CPU [0%@972,8%@972] EMC_FREQ 0%@2750 "
    "GR3D_FREQ @[314,314,314] NVENC0_FREQ @314 VIC off PVA0_FREQ off APE 300 cpu@37.343C tj@38.875C "
    "soc012@37.468C gpu@38.875C soc345@37.406C VDD_GPU 1962mW/1962mW VDD_CPU_SOC_MSS 5887mW/5887mW "
    "VIN_SYS_5V0 5635mW/5635mW VIN 19780mW/19780mW"
)
THOR_R39 = (
    "08-08-2026 21:00:39 RAM 8353/125749MB (lfb 31x4MB) CPU [90%,70%,off]@2601 EMC_FREQ @4266 "
    "GR3D_FREQ 87%@[1574,1574,1574] cpu@58.25C/61.75C tj@66.625C/70.1C "
    "VDD_GPU 37939mW/8660mW/37939mW VIN 124486mW/36487mW/124486mW FUTURE_TOKEN value new@field"
)


def test_orin_nx() -> None:
    reading = parse_line(ORIN_NX)
    assert reading is not None
    assert (reading.ram_used_mb, reading.ram_total_mb) == (3456, 15388)
    assert reading.cpu_mhz == 1420
    assert reading.cpu_load_percent == pytest.approx(31 / 6)
    assert (reading.gpu_load_percent, reading.gpu_mhz, reading.memory_mhz) == (41, 306, 2133)
    assert reading.temperatures_c["tj"] == 53.5
    assert "cv0" not in reading.temperatures_c  # without power
    assert reading.rails_w == {"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 0.696, "VDD_SOC": 1.104}


def test_agx_orin_has_two_gpu_clusters_and_no_input_rail() -> None:
    reading = parse_line(AGX_ORIN)
    assert reading is not None
    assert (reading.gpu_load_percent, reading.gpu_mhz) == (99, 1300)
    assert reading.rails_w == {"VDD_GPU_SOC": 4.8, "VDD_CPU_CV": 1.6, "VIN_SYS_5V0": 4.707, "VDDQ_VDD2_1V8AO": 0.6}


def test_xavier_writes_milliwatts_without_the_unit() -> None:
    reading = parse_line(XAVIER_NX)
    assert reading is not None
    assert reading.rails_w == {"VDD_IN": 3.528, "VDD_CPU_GPU_CV": 0.41, "VDD_SOC": 1.107}
    assert reading.temperatures_c == {"AO": 31, "GPU": 31.5, "AUX": 31.5, "CPU": 33, "thermal": 31.95}
    assert reading.gpu_mhz == 114
    assert reading.cpu_mhz == pytest.approx((5 * 1190 + 1344) / 6)


def test_thor_gives_clocks_without_a_load() -> None:
    reading = parse_line(THOR_R38)
    assert reading is not None
    assert (reading.gpu_load_percent, reading.gpu_mhz, reading.memory_mhz) == (None, 314, 2750)
    assert reading.rails_w["VIN"] == 19.78
    assert reading.temperatures_c["soc012"] == 37.468


def test_thor_of_l4t_39_gives_peaks_too_and_what_is_unknown_is_passed_over() -> None:
    reading = parse_line(THOR_R39)
    assert reading is not None
    assert reading.cpu_mhz == 2601
    assert reading.cpu_load_percent == 80
    assert reading.memory_mhz == 4266
    assert reading.temperatures_c == {"cpu": 58.25, "tj": 66.625}
    assert reading.rails_w == {"VDD_GPU": 37.939, "VIN": 124.486}


@pytest.mark.parametrize(
    "line", ["", "tegrastats: permission denied", "MemTotal: 3", "RAM ?/?MB", "Usage: tegrastats [-option]"]
)
def test_a_line_of_another_kind_is_none(line: str) -> None:
    assert parse_line(line) is None


def test_a_line_cut_short_keeps_what_it_has() -> None:
    reading = parse_line(ORIN_NX[: ORIN_NX.index("EMC_FREQ")])
    assert reading is not None
    assert reading.cpu_mhz == 1420
    assert (reading.gpu_mhz, reading.memory_mhz, reading.temperatures_c, reading.rails_w) == (None, None, {}, {})


def fake_program(folder: Path, text: str) -> None:
    program = folder / "tegrastats"
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_the_program_is_run_read_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\necho '{ORIN_NX}'\necho noise\nexec sleep 60\n"
    fake_program(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with TegrastatsStream(500) as stream:
        for _ in range(500):
            if stream.latest is not None:
                break
            time.sleep(0.01)
        assert stream.latest == parse_line(ORIN_NX)
    assert (tmp_path / "arguments").read_text().split() == ["--interval", "500"]
    assert stream._process is not None
    assert stream._process.returncode is not None


def test_without_the_program_there_are_no_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with TegrastatsStream() as stream:
        assert stream.latest is None
