"""What this machine can do, what is missing for each target, and the exact mend for it.

Facts come from ``doctor_machine`` (files), ``doctor_probe`` (each runtime asked in its own process) and
``doctor_jetpack``; the rules that turn them into advice are in ``doctor_advice``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_iqa.doctor_advice import Advisor
from edge_iqa.doctor_machine import Machine, read_machine
from edge_iqa.doctor_probe import Probe, probe_all, probe_packages
from edge_iqa.errors import InvalidInput

CPU_RUNTIMES = ("onnxruntime", "openvino", "tflite")
# Target → the runtime that is asked and the device it must find; None is the CPU.
DEVICES: dict[str, tuple[str, str | None]] = {
    "onnxruntime": ("onnxruntime", None),
    "onnxruntime:cuda": ("onnxruntime", "CUDAExecutionProvider"),
    "onnxruntime:tensorrt": ("onnxruntime", "TensorrtExecutionProvider"),
    "onnxruntime:openvino": ("onnxruntime", "OpenVINOExecutionProvider"),
    "openvino": ("openvino", None),
    "openvino:gpu": ("openvino", "GPU"),
    "openvino:npu": ("openvino", "NPU"),
    "tflite": ("tflite", None),
    "tensorrt": ("tensorrt", None),
    "tensorrt:dla0": ("tensorrt", "DLA0"),
    "tensorrt:dla1": ("tensorrt", "DLA1"),
}
ALIASES = {"jetson": "tensorrt", "jetson:dla0": "tensorrt:dla0", "jetson:dla1": "tensorrt:dla1"}
# Work other than scoring → the packages it needs, and the extra that brings them.
TASKS: dict[str, tuple[tuple[str, ...], str]] = {
    "export variants": (("onnx", "flatbuffers"), "export"),
    "train": (("torch", "onnx", "onnxscript", "safetensors"), "train"),
    "trt-check": (("tensorrt-rtx-cu12",), "trt-check"),
}


@dataclass(frozen=True)
class Target:
    """Whether one target can be used here; ``why`` and ``mend`` are empty where it can."""

    name: str
    present: bool
    version: str | None
    why: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The machine, what each runtime said, and each target; ``notes`` are things to know that stop nothing."""

    machine: Machine
    probes: Mapping[str, Probe]
    targets: tuple[Target, ...]
    tasks: tuple[Target, ...]
    notes: tuple[str, ...]

    def present(self, device: str) -> bool:
        """Return whether a device that ``known_devices`` names can be used; ``cpu`` is any CPU runtime."""
        wanted = CPU_RUNTIMES if device == "cpu" else (ALIASES.get(device, device),)
        return any(target.present for target in self.targets if target.name in wanted)


def known_devices() -> tuple[str, ...]:
    """Return the names that ``--device`` takes."""
    return ("cpu", *DEVICES, *ALIASES)


def check_device(device: str) -> None:
    """Raise InvalidInput for a device that the tool does not know."""
    if device not in known_devices():
        raise InvalidInput(f"There is no device {device!r}", fix=f"one of: {', '.join(known_devices())}")


def diagnose(
    machine: Machine | None = None,
    probes: Mapping[str, Probe] | None = None,
    packages: Mapping[str, Probe] | None = None,
) -> Diagnosis:
    """Look at this machine; arguments replace what would be found out. Never raises for what it finds."""
    machine = read_machine() if machine is None else machine
    probes = probe_all() if probes is None else probes
    packages = probe_packages() if packages is None else packages
    advisor = Advisor(machine)
    targets = tuple(_target(name, probes, advisor) for name in DEVICES)
    tasks = tuple(_task(name, packages, advisor) for name in TASKS)
    return Diagnosis(machine, probes, targets, tasks, tuple(advisor.notes(probes)))


def _target(name: str, probes: Mapping[str, Probe], advisor: Advisor) -> Target:
    runtime, device = DEVICES[name]
    found = probes[runtime]
    if found.why:
        return Target(name, False, found.version, found.why, advisor.runtime(runtime, found))
    if device is None or any(present == device or present.startswith(f"{device}.") for present in found.devices):
        return Target(name, True, found.version)
    why = f"{runtime} {found.version} finds {', '.join(found.devices) or 'no device'}"
    return Target(name, False, found.version, why, advisor.device(name))


def _task(name: str, packages: Mapping[str, Probe], advisor: Advisor) -> Target:
    needed, extra = TASKS[name]
    missing = [package for package in needed if packages[package].why]
    if not missing:
        return Target(name, True, packages[needed[0]].version)
    return Target(name, False, None, f"not installed: {', '.join(missing)}", advisor.install_extra(extra))
