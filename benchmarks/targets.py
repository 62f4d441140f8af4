"""What ``bench --device`` names: runtimes, precisions, and why one of them cannot be measured."""

from __future__ import annotations

from dataclasses import dataclass

from edge_iqa.backends.base import CPU_BACKENDS, backend_class, needed_files, split_backend
from edge_iqa.bundle import Bundle
from edge_iqa.devices.facts import is_jetson
from edge_iqa.errors import BundleRefused, DeviceUnavailable, EdgeIqaError, InvalidInput

DEVICES = ("cpu", *CPU_BACKENDS, "openvino:gpu", "openvino:npu", "jetson", "jetson:dla0", "jetson:dla1")
PRECISIONS = ("fp32", "fp16", "int8")
_JETSON_FIX = (
    "run the benchmark on the Jetson itself: JetPack ships TensorRT (check: python3 -c 'import tensorrt'), "
    "then pip install 'edge-iqa[jetson]' in a virtual environment made with --system-site-packages, and "
    "edge-iqa bench BUNDLE.eiqa --device {device} --json result.json; from here, --host USER@JETSON does the "
    "same over ssh, and --estimate prints what its hardware allows at best, without measuring"
)


@dataclass(frozen=True)
class Target:
    """One row of a benchmark: a device or runtime as users name it, the backend, the precision.

    ``backend`` is what ``edge_iqa.load`` takes, with a device after a colon (``openvino:gpu``).
    """

    name: str
    backend: str
    precision: str

    @property
    def label(self) -> str:
        return f"{self.name} {self.precision}"

    @property
    def runtime(self) -> str:
        """The backend without its device."""
        return self.backend.partition(":")[0]


REFERENCE = Target("onnxruntime", "onnxruntime", "fp32")


def check_device(device: str, precision: str = "all") -> str:
    """Return the device's name as DEVICES has it; raises InvalidInput for another, or an unknown precision."""
    if device.lower() not in DEVICES:
        raise InvalidInput(f"There is no device {device!r}", fix=f"one of: {', '.join(DEVICES)}")
    if precision not in ("all", *PRECISIONS):
        raise InvalidInput(f"There is no precision {precision!r}", fix=f"one of: all, {', '.join(PRECISIONS)}")
    return device.lower()


def targets_for(device: str, precision: str = "all") -> list[Target]:
    """Return the targets that a device means, reference first.

    ``device`` is one of DEVICES in any case, ``precision`` ``all`` or one of PRECISIONS. Raises InvalidInput
    for another name and DeviceUnavailable where a device that was named is not there.
    """
    name = check_device(device, precision)
    if name == "cpu":
        return [target for each in CPU_BACKENDS for target in _targets(each, each, precision)]
    if name.startswith("jetson") and not is_jetson():
        raise DeviceUnavailable(
            f"{name} cannot be measured here",
            why="this machine is not an NVIDIA Jetson, and a row for a device is only ever measured on it",
            fix=_JETSON_FIX.format(device=name),
        )
    backend = name.replace("jetson", "tensorrt")
    reason = backend_class(backend.partition(":")[0]).unavailable()
    if reason is not None:
        raise DeviceUnavailable(f"{name} cannot be measured here", why=reason)
    return _targets(name, backend, precision)


def refusal(target: Target, bundle: Bundle) -> EdgeIqaError | None:
    """Return why a bundle has nothing for a target, or None if it has; a missing runtime shows later."""
    try:
        bundle.take(_files(target), target.label)
    except (BundleRefused, InvalidInput) as error:
        return error
    return None


def model_size_bytes(target: Target, bundle: Bundle) -> int | None:
    """Return how many bytes the files of a target's model have; None where the bundle lacks one."""
    names = _files(target)
    if any(name not in bundle.files for name in names):
        return None
    return sum(len(bundle.files[name]) for name in names)


def _targets(name: str, backend: str, precision: str) -> list[Target]:
    runtime, _, device = backend.partition(":")
    known = [kind for kind in PRECISIONS if kind in backend_class(runtime).artefacts]
    if device.startswith("dla"):
        known.remove("fp32")  # the accelerator computes in int8 and fp16 only
    if precision == "all":
        return [Target(name, backend, kind) for kind in known]
    if precision not in known:
        raise InvalidInput(f"{name} has no precision {precision!r}", fix=f"one of: all, {', '.join(known)}")
    return [Target(name, backend, precision)]


def _files(target: Target) -> tuple[str, ...]:
    runtime, device = split_backend(target.backend)
    return needed_files(backend_class(runtime), target.precision, device)
