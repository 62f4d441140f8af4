"""Ask one runtime, in a process of its own, what it is and which devices it finds.

A runtime that was built for another processor may end its process; then this process ends, not the one that
asked. Run as ``python -m edge_iqa.doctor_probe NAME``, it prints one line of JSON.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from edge_iqa.errors import EdgeIqaError

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Probe:
    """What a runtime said: ``why`` is empty where it can be used; ``devices`` are its own names for them."""

    version: str | None = None
    devices: tuple[str, ...] = ()
    why: str = ""


def probe(name: str) -> Probe:
    """Ask in this process; whatever goes wrong becomes ``why``."""
    try:
        return PROBES[name]()
    except Exception as error:  # a strange machine raises strange errors
        return Probe(why=f"{type(error).__name__}: {error}".strip()[:300])


def probe_all(names: tuple[str, ...] = ()) -> dict[str, Probe]:
    """Ask each runtime in a process of its own, all at the same time."""
    wanted = names or tuple(PROBES)
    with ThreadPoolExecutor(len(wanted)) as pool:
        return dict(zip(wanted, pool.map(_ask, wanted), strict=True))


def _ask(name: str, timeout_s: float = TIMEOUT_S) -> Probe:
    try:
        result = subprocess.run(
            [sys.executable, "-m", "edge_iqa.doctor_probe", name],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # nothing is imported from the current folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Probe(why=f"its check did not end: {error}"[:300])
    if result.returncode < 0:
        return Probe(why=f"importing it ended the process ({_signal_name(-result.returncode)})")
    try:
        found = json.loads(result.stdout.strip().splitlines()[-1])
        return Probe(found["version"], tuple(found["devices"]), found["why"])
    except (IndexError, KeyError, ValueError):
        words = " ".join(result.stderr.split())[-200:]
        return Probe(why=f"its check ended with status {result.returncode}: {words}")


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    if name == "SIGILL":
        return "SIGILL: it was built for a processor with more instructions"
    return name


def _runtime(name: str) -> str:
    """Return why the backend ``name`` cannot be used, or an empty text."""
    from edge_iqa.backends.base import backend_class

    return backend_class(name).unavailable() or ""


def _onnxruntime() -> Probe:
    why = _runtime("onnxruntime")
    if why:
        return Probe(why=why)
    import onnxruntime

    return Probe(onnxruntime.__version__, tuple(onnxruntime.get_available_providers()))


def _openvino() -> Probe:
    why = _runtime("openvino")
    if why:
        return Probe(why=why)
    import openvino

    return Probe(openvino.__version__.split("-")[0], tuple(str(name) for name in openvino.Core().available_devices))


def _tflite() -> Probe:
    why = _runtime("tflite")
    if why:
        return Probe(why=why)
    from edge_iqa.backends.tflite import runtime_version

    return Probe(runtime_version(), ("CPU",))


def _tensorrt() -> Probe:
    from edge_iqa.backends.cuda_memory import CudaRuntime
    from edge_iqa.backends.tensorrt_engine import OLDEST_VERSION, import_tensorrt, parse_version

    version = None
    try:
        tensorrt = import_tensorrt()
        version = str(tensorrt.__version__)
        runtime = CudaRuntime()
    except EdgeIqaError as error:  # its fix is for one backend alone; the doctor knows the machine
        return Probe(version, why=error.why if version is None else f"{error.what}: {error.why}")
    if parse_version(version) < OLDEST_VERSION:
        return Probe(version, why=f"TensorRT {version} is too old to take uint8 inputs")
    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    cores = int(getattr(builder, "num_DLA_cores", 0))
    gpu = f"{runtime.device_name()} (compute capability {runtime.compute_capability()})"
    return Probe(version, (gpu, *(f"DLA{core}" for core in range(cores))))


def _opencv() -> Probe:
    import cv2

    return Probe(str(cv2.__version__))


def _package(name: str) -> Callable[[], Probe]:
    """Return a probe that only looks whether a package is installed; it may be slow or heavy to import."""

    def look() -> Probe:
        try:
            return Probe(importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            return Probe(why=f"the package {name} is not installed")

    return look


PROBES: dict[str, Callable[[], Probe]] = {
    "opencv": _opencv,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tflite": _tflite,
    "tensorrt": _tensorrt,
}
PACKAGES = ("onnx", "flatbuffers", "torch", "onnxscript", "safetensors", "tensorrt-rtx-cu12", "polygraphy")


def probe_packages(names: tuple[str, ...] = PACKAGES) -> dict[str, Probe]:
    """Return which packages are installed, without importing them."""
    return {name: _package(name)() for name in names}


def main() -> None:
    """Print what the runtime named on the command line said."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    document: dict[str, Any] = asdict(probe(sys.argv[1]))
    answers.write(json.dumps(document) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
