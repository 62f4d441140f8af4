"""The mends that ``edge-iqa doctor`` names, chosen by system, processor, libc, Python and JetPack."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from edge_iqa.doctor_jetpack import jetpack_of
from edge_iqa.doctor_machine import Machine
from edge_iqa.doctor_probe import Probe

_64_BIT = ("x86_64", "amd64", "aarch64", "arm64")
_DEVICE_MENDS = {
    "onnxruntime:cuda": "pip uninstall onnxruntime, then pip install onnxruntime-gpu",
    "onnxruntime:tensorrt": "pip uninstall onnxruntime, then pip install onnxruntime-gpu, with TensorRT installed",
    "onnxruntime:openvino": "pip uninstall onnxruntime, then pip install onnxruntime-openvino",
    "openvino:gpu": "sudo apt install intel-opencl-icd, and add the user to the group render",
    "openvino:npu": "install Intel's linux-npu-driver and add the user to the group render",
}


class Advisor:
    """Writes the mend for one machine; every method returns a text, empty where there is nothing to do."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def runtime(self, name: str, found: Probe) -> str:
        """Return what to do about a runtime that cannot be used, for the reason that its probe gave."""
        if name == "tensorrt":
            return self._tensorrt(found)
        obstacle = self._no_wheels()
        if obstacle:
            return obstacle
        if "SIGILL" in found.why:
            return f"use another runtime: {name}'s packages need a newer processor than this one"
        if name == "onnxruntime":
            return self._pip("onnxruntime")
        if name == "tflite":
            return self._tflite(found)
        return self.install_extra(name)

    def device(self, target: str) -> str:
        """Return what to do about a device that its runtime does not find."""
        if target.startswith("tensorrt:dla"):
            return self._dla()
        if target.startswith("openvino") and not self._is_x86():
            return "Intel GPUs and NPUs are found in x86-64 machines only"
        if target in ("onnxruntime:cuda", "onnxruntime:tensorrt"):
            if self.machine.is_jetson:
                return "use the backend tensorrt, which needs nothing besides JetPack"
            if self.machine.nvidia_driver is None:
                return "needs an NVIDIA GPU and its driver; none is loaded"
        return _DEVICE_MENDS.get(target, "")

    def install_extra(self, extra: str) -> str:
        """Return the command that installs an extra of edge-iqa."""
        if extra == "trt-check" and not self._is_x86():
            return "tensorrt-rtx-cu12 has wheels for x86-64 only: run the check on such a machine"
        return self._no_wheels() or self._pip(f"'edge-iqa[{extra}]'")

    def notes(self, probes: Mapping[str, Probe]) -> Iterator[str]:
        """Yield what is good to know and stops nothing."""
        opencv = probes.get("opencv")
        if opencv is not None and opencv.why:
            mend = "sudo apt install libgl1" if "libGL" in opencv.why else self._pip("opencv-python-headless")
            yield f"OpenCV cannot be imported, and nothing scores without it ({opencv.why}): {mend}"
        if self._is_x86() and self.machine.cpu_flags and not _has_vnni(self.machine):
            yield "no VNNI on this processor: int8 sums could saturate; weights in bundles are kept small enough"
        if self._is_x86() and self.machine.cpu_flags and "avx2" not in self.machine.cpu_flags:
            yield "no AVX2 on this processor: expect int8 to be no faster than float"
        jetpack = jetpack_of(self.machine.l4t)
        if self.machine.l4t != "none" and jetpack is None:
            yield f"L4T {self.machine.l4t} is not a release this version knows; TensorRT's own version decides"
        if jetpack is not None and jetpack.note:
            yield f"JetPack {jetpack.name}: {jetpack.note}"
        if self.machine.is_jetson:
            yield "fix power mode and clocks before measuring: sudo nvpmodel -m 0, then sudo jetson_clocks"

    def _tensorrt(self, found: Probe) -> str:
        machine = self.machine
        jetpack = jetpack_of(machine.l4t)
        if machine.is_jetson and jetpack is not None and jetpack.name in ("4", "5"):
            return jetpack.note
        if machine.is_jetson:
            if "no CUDA device" in found.why or "CUDA runtime library" in found.why:
                return "sudo apt install nvidia-jetpack, then log in again; the user must be in the group video"
            if not machine.python.sees_system_packages:
                return "make the environment anew: /usr/bin/python3 -m venv --system-site-packages ~/edge-iqa"
            running = ".".join(machine.python.version.split(".")[:2])
            if jetpack is not None and running != jetpack.python:
                return (
                    f"use the system's /usr/bin/python3 ({jetpack.python}); its TensorRT has no bindings for {running}"
                )
            return "sudo apt install python3-libnvinfer"
        if machine.nvidia_driver is not None:
            return self._pip("tensorrt")
        return "run on a Jetson, or on a machine with an NVIDIA GPU and its driver; none is loaded here"

    def _dla(self) -> str:
        if not self.machine.is_jetson:
            return "DLA cores are parts of Jetson Xavier and Orin (not of Orin Nano)"
        jetpack = jetpack_of(self.machine.l4t)
        if jetpack is not None and "no DLA" in jetpack.note:
            return jetpack.note
        return "this module has no such core (Orin Nano has none), or its TensorRT has no DLA: use the GPU"

    def _tflite(self, found: Probe) -> str:
        if "numpy 1" in found.why:  # tflite-runtime is there, with a numpy that it was not built for
            older_numpy = self._pip("'numpy<2'")
            return f"{self.install_extra('tflite')}; or, to stay with tflite-runtime, {older_numpy}"
        libc = self.machine.python.libc
        if libc.startswith("glibc") and _version(libc) < (2, 27):
            older = self._pip("'edge-iqa[tflite-legacy]'")
            return f"ai-edge-litert needs glibc 2.27, this is {libc}: {older}"
        return self.install_extra("tflite")

    def _no_wheels(self) -> str:
        """Return why no runtime can be installed on this machine at all, or an empty text."""
        machine = self.machine
        if machine.architecture.lower() not in _64_BIT:
            return (
                f"{machine.architecture} has no packages of any runtime: use a 64-bit system "
                "(Raspberry Pi OS has one for the same board)"
            )
        if machine.python.libc.startswith("musl"):
            return "the runtimes have packages for glibc only: use Debian or Ubuntu (python:3-slim, not -alpine)"
        if _version(machine.python.version) < (3, 10):
            return f"Python {machine.python.version} is too old: edge-iqa needs 3.10 or newer"
        return ""

    def _pip(self, requirement: str) -> str:
        """Return the pip command for this Python, with an environment made first where the system forbids pip."""
        if self.machine.python.externally_managed:
            shared = " --system-site-packages" if self.machine.is_jetson else ""
            return f"python3 -m venv{shared} ~/edge-iqa && ~/edge-iqa/bin/pip install {requirement}"
        program = "py -m pip" if sys.platform == "win32" else "python3 -m pip"
        return f"{program} install {requirement}"

    def _is_x86(self) -> bool:
        return self.machine.architecture.lower() in ("x86_64", "amd64")


def _has_vnni(machine: Machine) -> bool:
    return bool({"avx512_vnni", "avx_vnni", "amx_int8"} & set(machine.cpu_flags))


def _version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of ``glibc 2.35`` or ``3.11.7``; empty where there are none."""
    words = text.split()
    numbers = words[-1].split(".")[:2] if words else []
    return tuple(int(number) for number in numbers if number.isdigit())
