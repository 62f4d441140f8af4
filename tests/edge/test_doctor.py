"""``edge-iqa doctor`` here and on made-up machines: the mend fits the machine, nothing ends in a traceback."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_iqa import doctor_probe
from edge_iqa.cli import build_app
from edge_iqa.cli.doctor_report import diagnosis_document, diagnosis_table
from edge_iqa.doctor import Diagnosis, diagnose, known_devices
from edge_iqa.doctor_jetpack import JETPACKS, jetpack_of
from edge_iqa.doctor_machine import Machine, PythonFacts, read_machine
from edge_iqa.doctor_probe import Probe, probe, probe_all
from edge_iqa.errors import InvalidInput

PYTHON = PythonFacts("3.10.12", "/usr", False, True, False, "glibc 2.35")
ABSENT = "No module named 'x'"
NOTHING = dict.fromkeys(("opencv", "onnxruntime", "openvino", "tflite", "tensorrt"), Probe(why=ABSENT))
ALL = {
    "opencv": Probe("4.10.0"),
    "onnxruntime": Probe("1.23.2", ("CPUExecutionProvider",)),
    "openvino": Probe("2026.4.1", ("CPU", "GPU.0")),
    "tflite": Probe("2.3.0", ("CPU",)),
    "tensorrt": Probe("10.3.0", ("Orin (compute capability 8.7)", "DLA0")),
}
PACKAGES = dict.fromkeys(doctor_probe.PACKAGES, Probe(why=ABSENT))


def tree(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def jetson(root: Path, release: str, revision: str, **python: Any) -> Machine:
    """Return the facts of a Jetson with this L4T release."""
    files: dict[str, str | bytes] = {
        "etc/nv_tegra_release": f"# R{release} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n",
        "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
        "proc/device-tree/model": b"NVIDIA Jetson Orin NX Engineering Reference Developer Kit\0",
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU part\t: 0xd42\n",
        "proc/meminfo": "MemTotal:       16000000 kB\n",
    }
    return read_machine(tree(root, files), dataclasses.replace(PYTHON, **python), "aarch64")


def mends(machine: Machine, probes: dict[str, Probe] | None = None) -> dict[str, str]:
    found = diagnose(machine, NOTHING if probes is None else probes, PACKAGES)
    return {target.name: target.mend for target in (*found.targets, *found.tasks)}


# --- reading the machine


def test_reads_a_jetson(tmp_path: Path) -> None:
    machine = jetson(tmp_path, "36", "4.3")
    assert (machine.l4t, machine.jetpack) == ("36.4.3", "6.1 or 6.2")
    assert machine.board == "NVIDIA Jetson Orin NX Engineering Reference Developer Kit"
    assert machine.cpu_flags == ["asimddp"]
    assert machine.memory_mb == 15625
    assert machine.distribution == "Ubuntu 22.04.5 LTS"
    assert machine.is_jetson


def test_an_empty_machine_is_a_machine(tmp_path: Path) -> None:
    machine = read_machine(tmp_path, PYTHON, "riscv64")
    assert machine.cpu_model is None
    assert machine.memory_mb is None
    assert not machine.is_jetson
    text = diagnosis_table(diagnose(machine, NOTHING, PACKAGES))
    assert "riscv64 has no packages of any runtime" in text


@pytest.mark.parametrize(
    "files",
    [
        {"proc/cpuinfo": b"\xff\xfe\0\0", "proc/meminfo": b"MemTotal: many kB", "etc/os-release": b"\xc3("},
        {"proc/meminfo": "MemTotal:", "etc/nv_tegra_release": "# R", "proc/driver/nvidia/version": "nothing"},
        {"proc/cpuinfo/0": "a folder", "etc/os-release/x": "a folder", "proc/device-tree/model/x": ""},
        {"etc/nv_tegra_release": "# R99 (release), REVISION: 0.1, GCID: 1"},
    ],
)
def test_broken_files_are_no_traceback(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    machine = read_machine(tree(tmp_path, files), PYTHON, "aarch64")
    found = diagnose(machine, NOTHING, PACKAGES)
    assert diagnosis_table(found)
    json.dumps(diagnosis_document(found))


def test_reads_the_nvidia_driver(tmp_path: Path) -> None:
    text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\nGCC version: 12\n"
    machine = read_machine(tree(tmp_path, {"proc/driver/nvidia/version": text}), PYTHON, "x86_64")
    assert machine.nvidia_driver == "550.54.14"
    assert mends(machine)["tensorrt"] == "python3 -m pip install tensorrt"


# --- the mend fits the machine


def test_every_absent_target_has_a_mend(tmp_path: Path) -> None:
    for machine in (read_machine(tmp_path / "pc", PYTHON, "x86_64"), jetson(tmp_path / "j", "36", "4.3")):
        assert all(mends(machine).values()), mends(machine)


@pytest.mark.parametrize(
    ("release", "revision", "python", "part"),
    [
        ("32", "7.3", "3.10.1", "too old"),
        ("35", "4.1", "3.10.1", "trtexec or C++"),
        ("36", "4.3", "3.10.12", "sudo apt install python3-libnvinfer"),
        ("36", "4.3", "3.12.1", "/usr/bin/python3 (3.10)"),
        ("38", "2.0", "3.12.3", "sudo apt install python3-libnvinfer"),
    ],
)
def test_tensorrt_by_jetpack(tmp_path: Path, release: str, revision: str, python: str, part: str) -> None:
    assert part in mends(jetson(tmp_path, release, revision, version=python))["tensorrt"]


def test_a_virtual_environment_that_hides_the_system(tmp_path: Path) -> None:
    machine = jetson(tmp_path, "36", "4.3", virtual=True, sees_system_packages=False)
    assert "--system-site-packages" in mends(machine)["tensorrt"]


def test_a_jetson_without_cuda(tmp_path: Path) -> None:
    probes = NOTHING | {"tensorrt": Probe("10.3.0", why="There is no CUDA device: CUDA counts 0 devices")}
    assert "nvidia-jetpack" in mends(jetson(tmp_path, "36", "4.3"), probes)["tensorrt"]


@pytest.mark.parametrize(
    ("architecture", "python", "part"),
    [
        ("armv7l", {}, "64-bit system"),
        ("x86_64", {"libc": "musl"}, "glibc only"),
        ("x86_64", {"version": "3.9.2"}, "needs 3.10"),
        ("x86_64", {"externally_managed": True}, "python3 -m venv ~/edge-iqa && ~/edge-iqa/bin/pip install"),
        ("aarch64", {}, "python3 -m pip install 'edge-iqa[openvino]'"),
    ],
)
def test_installing_by_machine(tmp_path: Path, architecture: str, python: dict[str, Any], part: str) -> None:
    machine = read_machine(tmp_path, dataclasses.replace(PYTHON, **python), architecture)
    assert part in mends(machine)["openvino"]


def test_tflite_runtime_beside_numpy_2_and_old_glibc(tmp_path: Path) -> None:
    probes = NOTHING | {"tflite": Probe(why="it was built for numpy 1, and this is numpy 2.4; pip install …")}
    mend = mends(read_machine(tmp_path, PYTHON, "aarch64"), probes)["tflite"]
    assert "edge-iqa[tflite]" in mend
    assert "numpy<2" in mend
    old = dataclasses.replace(PYTHON, libc="glibc 2.24")
    assert "tflite-legacy" in mends(read_machine(tmp_path, old, "aarch64"))["tflite"]


def test_devices_of_a_runtime_that_is_there(tmp_path: Path) -> None:
    found = diagnose(jetson(tmp_path, "36", "4.3"), ALL, PACKAGES)
    present = {target.name for target in found.targets if target.present}
    assert present == {"onnxruntime", "openvino", "openvino:gpu", "tflite", "tensorrt", "tensorrt:dla0"}
    assert found.present("jetson")
    assert found.present("jetson:dla0")
    assert not found.present("jetson:dla1")
    assert found.present("cpu")
    orin_mends = mends(jetson(tmp_path, "38", "2.0"), ALL)
    assert "no DLA" in orin_mends["tensorrt:dla1"]


def test_notes(tmp_path: Path) -> None:
    processor = "model name : Old\nflags : sse4_2 avx2\n"
    machine = read_machine(tree(tmp_path, {"proc/cpuinfo": processor}), PYTHON, "x86_64")
    found = diagnose(machine, NOTHING | {"opencv": Probe(why="ImportError: libGL.so.1: cannot open")}, PACKAGES)
    notes = " ".join(found.notes)
    assert "VNNI" in notes
    assert "sudo apt install libgl1" in notes


def test_the_jetpack_table_is_ordered_and_whole() -> None:
    assert jetpack_of("none") is None
    assert jetpack_of("99.1") is None
    assert [jetpack_of(release).name for release in ("35.4.1", "36.3.0", "36.4.3", "39.2.0")] == [  # type: ignore[union-attr]
        "5", "6.0", "6.1 or 6.2", "7.2",
    ]  # fmt: skip
    assert len({jetpack.name for jetpack in JETPACKS}) == len(JETPACKS)


# --- asking the runtimes


def test_asks_the_runtimes_of_this_machine() -> None:
    found = probe_all(("onnxruntime", "tensorrt", "opencv"))
    assert found["onnxruntime"].why == ""
    assert "CPUExecutionProvider" in found["onnxruntime"].devices
    assert found["opencv"].version
    if found["tensorrt"].why:
        assert found["tensorrt"].version is None or "CUDA" in found["tensorrt"].why


def fake_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Put a module ``onnxruntime`` in front of the real one for child processes."""
    (tmp_path / "onnxruntime.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(path for path in sys.path if path)}")


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL: it was built for a processor"),
        ("raise OSError('libx.so.1: cannot open shared object file')", "libx.so.1"),
        ("import os; os._exit(3)", "ended with status 3"),
        ("print('noise'); raise ImportError('broken')", "broken"),
    ],
)
def test_a_runtime_that_breaks_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, part: str
) -> None:
    fake_module(tmp_path, monkeypatch, source)
    assert part in probe_all(("onnxruntime",))["onnxruntime"].why


def test_a_runtime_that_hangs_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_module(tmp_path, monkeypatch, "import time; time.sleep(60)")
    assert "did not end" in doctor_probe._ask("onnxruntime", timeout_s=2).why


def test_an_unknown_runtime_is_an_answer() -> None:
    assert "KeyError" in probe("abacus").why


# --- the command


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Diagnosis:
    found = diagnose(read_machine(tmp_path, PYTHON, "x86_64"), ALL, PACKAGES)
    monkeypatch.setattr("edge_iqa.doctor.diagnose", lambda: found)
    return found


def test_exit_codes_of_the_command(quick: Diagnosis) -> None:
    assert CliRunner().invoke(build_app(), ["doctor"]).exit_code == 0
    for device, code in (("cpu", 0), ("openvino:gpu", 0), ("openvino:npu", 4), ("jetson:dla1", 4)):
        result = CliRunner().invoke(build_app(), ["doctor", "--device", device])
        assert (device, result.exit_code) == (device, code)
        assert f"{device}: can" in result.stdout
    wrong = CliRunner().invoke(build_app(), ["doctor", "--device", "abacus"])
    assert isinstance(wrong.exception, InvalidInput)
    assert "cpu" in known_devices()


def test_json_of_the_command(quick: Diagnosis) -> None:
    document = json.loads(CliRunner().invoke(build_app(), ["doctor", "--json", "--device", "jetson"]).stdout)
    assert document["schema_version"] == 1
    assert document["device"] == {"name": "jetson", "present": True}
    assert {"name", "present", "version", "why", "mend"} == set(document["targets"][0])
    assert document["machine"]["python"]["version"] == "3.10.12"
    assert document["runtimes"]["openvino"]["devices"] == ["CPU", "GPU.0"]
