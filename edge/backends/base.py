"""What a runtime must be to score a bundle: the Backend protocol, and the registry that finds one by name."""

from __future__ import annotations

import importlib
import math
import platform
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import BackendMismatch, DeviceUnavailable, InvalidInput

PRECISIONS = ("int8", "fp32")  # what a bundle has for every backend; TensorRT can also make fp16 of it


class Backend(Protocol):
    """One loaded model on one runtime.

    ``artefacts`` names, per precision, the bundle files that the constructor gets (name → content), together with
    the number of threads (None: the runtime's default), the device (None: the first of ``devices``) and the
    precision (None: what the file is). Loading raises MissingDependency or DeviceUnavailable where the runtime or
    the device cannot be used, BundleRefused where it refuses the files.
    """

    name: ClassVar[str]
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]]
    devices: ClassVar[tuple[str, ...]]
    device_artefacts: ClassVar[Mapping[tuple[str, str], tuple[str, ...]]]  # (device, precision) → what it needs instead
    version: str

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        threads: int | None = None,
        device: str | None = None,
        precision: str | None = None,
    ) -> None: ...

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why this runtime cannot be used here and what to do, or None if it can."""

    def infer(self, image: NDArray[np.uint8]) -> float:
        """Return the score of one input ``(1, H, W, 3)`` uint8 RGB; raises InvalidInput for another shape or type."""

    def close(self) -> None:
        """Release the runtime's memory; calling it twice is fine, ``infer`` afterwards is not."""


@dataclass(frozen=True)
class _Entry:
    module: str
    attribute: str


_REGISTRY: dict[str, _Entry] = {
    "onnxruntime": _Entry("edge_iqa.backends.onnxruntime", "OnnxRuntimeBackend"),
    "openvino": _Entry("edge_iqa.backends.openvino", "OpenVinoBackend"),
    "tflite": _Entry("edge_iqa.backends.tflite", "TfliteBackend"),
    "tensorrt": _Entry("edge_iqa.backends.tensorrt", "TensorRtBackend"),
}
BACKEND_NAMES = tuple(_REGISTRY)
CPU_BACKENDS = ("onnxruntime", "openvino", "tflite")


def backend_class(name: str) -> type[Backend]:
    """Return the class of a runtime by name, without importing the runtime itself."""
    if name not in _REGISTRY:
        raise InvalidInput(f"There is no backend {name!r}", fix=f"one of: auto, {', '.join(BACKEND_NAMES)}")
    entry = _REGISTRY[name]
    found: type[Backend] = getattr(importlib.import_module(entry.module), entry.attribute)
    return found


def split_backend(text: str) -> tuple[str, str | None]:
    """Return runtime and device of ``openvino:gpu``; the device is None for a plain ``openvino``.

    Raises InvalidInput for a runtime that is not known or a device that it does not have.
    """
    name, colon, device = text.partition(":")
    found = backend_class(name)
    if not colon:
        return name, None
    if device.lower() not in found.devices:
        known = ", ".join(f"{name}:{each}" for each in found.devices)
        raise InvalidInput(f"{name} has no device {device!r}", fix=f"one of: {known}")
    return name, device.lower()


def needed_files(found: type[Backend], precision: str, device: str | None) -> tuple[str, ...]:
    """Return the bundle files that a runtime needs; raises InvalidInput where it has no such precision."""
    if precision not in found.artefacts:
        raise InvalidInput(
            f"The backend {found.name} has no precision {precision!r}", fix=f"one of: {', '.join(found.artefacts)}"
        )
    return found.device_artefacts.get((device or found.devices[0], precision), found.artefacts[precision])


def choose_backend(precision: str, files: Container[str]) -> str:
    """Return the fastest runtime present: OpenVINO first on x86, ONNX Runtime first elsewhere.

    One that finds its model among a bundle's ``files`` goes before one that does not.
    """
    x86 = platform.machine().lower() in {"x86_64", "amd64", "i686"}
    order = ("openvino", "onnxruntime", "tflite") if x86 else ("onnxruntime", "tflite", "openvino")
    reasons, present = [], []
    for name in order:
        reason = backend_class(name).unavailable()
        if reason is None:
            present.append(name)
        else:
            reasons.append(f"{name}: {reason}")
    if not present:
        raise DeviceUnavailable(
            "No runtime is usable", why="; ".join(reasons), fix="pip install --force-reinstall onnxruntime"
        )

    def served(name: str) -> bool:
        return all(file in files for file in backend_class(name).artefacts.get(precision, ()))

    return next(filter(served, present), present[0])


def check_input(image: NDArray[np.uint8], height: int, width: int) -> None:
    """Raise InvalidInput unless ``image`` is uint8 ``(1, height, width, 3)``."""
    if image.dtype != np.uint8 or image.shape != (1, height, width, 3):
        raise InvalidInput(
            f"The model takes uint8 (1, {height}, {width}, 3)",
            why=f"got {image.dtype} {image.shape}",
            fix="pass pictures through edge_iqa.preprocess.preprocess, or use a Scorer",
        )


def read_score(output: Any, backend: str) -> float:
    """Return the one finite score in [0, 1] of an output tensor; raises BackendMismatch for anything else."""
    values = np.asarray(output)
    value = float(values.reshape(-1)[0]) if values.size == 1 else math.nan
    if not -1e-6 <= value <= 1 + 1e-6:  # also false for NaN
        raise BackendMismatch(
            f"{backend} returned {values.reshape(-1)[:4].tolist()} (shape {values.shape})",
            why="the contract is one finite score in [0, 1]",
            fix="run 'edge-iqa score --backend onnxruntime' on the same picture to tell model from runtime",
        )
    return min(max(value, 0.0), 1.0)
