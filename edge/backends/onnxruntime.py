"""ONNX Runtime: the core dependency, hence the runtime that is always there; other processors by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import check_input, read_score
from edge_iqa.errors import BundleRefused, DeviceUnavailable, MissingDependency

# Device → execution provider. Only CPU is in the plain package; the others come with onnxruntime-gpu and
# onnxruntime-openvino, which replace it.
PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_PACKAGES = {"cuda": "onnxruntime-gpu", "tensorrt": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}


class OnnxRuntimeBackend:
    """Scores on ONNX Runtime, by default on the CPU; int8 uses the unsigned dialect, whose kernels are fused there.

    The TensorRT provider takes the signed graph in int8, since TensorRT refuses unsigned activations. A provider
    that is named and cannot start is an error: ONNX Runtime's own silent return to the CPU is switched off.
    """

    name: ClassVar[str] = "onnxruntime"
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "int8": ("model.int8.u8.onnx",),
        "fp32": ("model.onnx",),
    }
    devices: ClassVar[tuple[str, ...]] = tuple(PROVIDERS)
    device_artefacts: ClassVar[Mapping[tuple[str, str], tuple[str, ...]]] = {("tensorrt", "int8"): ("model.int8.onnx",)}

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        threads: int | None = None,
        device: str | None = None,
        precision: str | None = None,
    ) -> None:
        runtime = _import()
        device = device or "cpu"
        provider = _require_provider(runtime, device)
        (content,) = files.values()
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if device == "openvino":
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = runtime.InferenceSession(content, options, providers=[provider])
        except Exception as error:  # the runtime has no common error class
            raise BundleRefused(
                "ONNX Runtime cannot load the model",
                why=str(error).splitlines()[0][:300],
                fix="edge-iqa needs onnxruntime 1.18 or newer; rebuild the bundle if it is",
            ) from error
        if provider not in self._session.get_providers():
            raise DeviceUnavailable(
                f"ONNX Runtime could not start {provider}",
                why="it fell back to the CPU, and a score from there is not one of the device that was named",
                fix="its log says which library is missing; 'edge-iqa doctor' tells what this machine has",
            )
        self._session.disable_fallback()
        self.version: str = runtime.__version__
        node = self._session.get_inputs()[0]
        self._input = node.name
        self._height, self._width = int(node.shape[1]), int(node.shape[2])

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            _import()
        except MissingDependency as error:
            return f"{error.why}; {error.fix}"
        return None

    def infer(self, image: NDArray[np.uint8]) -> float:
        if self._session is None:
            raise DeviceUnavailable("This backend is closed", fix="load it again")
        check_input(image, self._height, self._width)
        return read_score(self._session.run(None, {self._input: image})[0], self.name)

    def close(self) -> None:
        self._session = None


def _require_provider(runtime: Any, device: str) -> str:
    provider = PROVIDERS[device]
    present = runtime.get_available_providers()
    if provider not in present:
        raise DeviceUnavailable(
            f"This ONNX Runtime has no {provider}",
            why=f"it has {', '.join(present)}",
            fix=f"pip uninstall onnxruntime, then pip install {_PACKAGES[device]}, where it has a wheel",
        )
    return provider


def _import() -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency(
            "ONNX Runtime is not installed", why=str(error), fix="pip install onnxruntime"
        ) from error
    return onnxruntime
