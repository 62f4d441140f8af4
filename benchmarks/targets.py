"""What ``bench --device`` names: runtimes, precisions, and why one of them cannot be measured."""

from __future__ import annotations

from dataclasses import dataclass

from edge_iqa.backends.base import CPU_BACKENDS, PRECISIONS, backend_class
from edge_iqa.benchmarks.device_state import is_jetson
from edge_iqa.bundle import Bundle
from edge_iqa.errors import BundleRefused, DeviceUnavailable, EdgeIqaError, InvalidInput

DEVICES = ("cpu", *CPU_BACKENDS, "jetson", "jetson:dla0", "jetson:dla1")
_JETSON_FIX = (
    "run the benchmark on the Jetson itself: JetPack ships TensorRT (check: python3 -c 'import tensorrt'), "
    "then pip install 'edge-iqa[jetson]' in a virtual environment made with --system-site-packages, and "
    "edge-iqa bench BUNDLE.eiqa --device {device} --json result.json"
)


@dataclass(frozen=True)
class Target:
    """One row of a benchmark: a device or runtime as users name it, the backend, the precision."""

    name: str
    backend: str
    precision: str

    @property
    def label(self) -> str:
        return f"{self.name} {self.precision}"


REFERENCE = Target("onnxruntime", "onnxruntime", "fp32")


def targets_for(device: str, precision: str = "all") -> list[Target]:
    """Return the targets that a device means, reference first.

    ``device`` is one of DEVICES, ``precision`` ``all``, ``fp32`` or ``int8``. Raises InvalidInput for another
    name and DeviceUnavailable where a device that was named is not there.
    """
    if device not in DEVICES:
        raise InvalidInput(f"There is no device {device!r}", fix=f"one of: {', '.join(DEVICES)}")
    if precision not in ("all", *PRECISIONS):
        raise InvalidInput(f"There is no precision {precision!r}", fix=f"one of: all, {', '.join(PRECISIONS)}")
    if device == "cpu":
        backends: tuple[str, ...] = CPU_BACKENDS
    elif device.startswith("jetson"):
        _require_jetson(device)
        backends = ("tensorrt",)
    else:
        backends = (device,)
    names = {backend: device if backend == "tensorrt" else backend for backend in backends}
    if device != "cpu":
        reason = backend_class(backends[0]).unavailable()
        if reason is not None:
            raise DeviceUnavailable(f"{device} cannot be measured here", why=reason)
    wanted = ("fp32", "int8") if precision == "all" else (precision,)
    return [Target(names[backend], backend, kind) for backend in backends for kind in wanted]


def refusal(target: Target, bundle: Bundle) -> EdgeIqaError | None:
    """Return why a bundle has nothing for a target, or None if it has; a missing runtime shows later."""
    artefacts = backend_class(target.backend).artefacts
    if target.precision not in artefacts:
        return InvalidInput(f"{target.backend} has no precision {target.precision}")
    try:
        bundle.take(artefacts[target.precision], target.label)
    except BundleRefused as error:
        return error
    return None


def model_size_bytes(target: Target, bundle: Bundle) -> int | None:
    """Return how many bytes the files of a target's model have; None where the bundle lacks one."""
    names = backend_class(target.backend).artefacts[target.precision]
    if any(name not in bundle.files for name in names):
        return None
    return sum(len(bundle.files[name]) for name in names)


def _require_jetson(device: str) -> None:
    if not is_jetson():
        raise DeviceUnavailable(
            f"{device} cannot be measured here",
            why="this machine is not an NVIDIA Jetson, and a row for a device is only ever measured on it",
            fix=_JETSON_FIX.format(device=device),
        )
    if ":" in device:
        raise DeviceUnavailable(
            f"{device} cannot be measured by this version",
            why="its TensorRT backend builds for the GPU only",
            fix="measure the GPU with --device jetson",
        )
