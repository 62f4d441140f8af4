"""ONNX Runtime on the CPU: the core dependency, hence the runtime that is always there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import check_input, read_score
from edge_iqa.errors import BundleRefused, DeviceUnavailable, MissingDependency


class OnnxRuntimeBackend:
    """Scores on ONNX Runtime's CPU execution provider; int8 uses the unsigned dialect, whose kernels are fused."""

    name: ClassVar[str] = "onnxruntime"
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "int8": ("model.int8.u8.onnx",),
        "fp32": ("model.onnx",),
    }

    def __init__(self, files: Mapping[str, bytes], *, threads: int | None = None) -> None:
        runtime = _import()
        (content,) = files.values()
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has no common error class
            raise BundleRefused(
                "ONNX Runtime cannot load the model",
                why=str(error).splitlines()[0][:300],
                fix="edge-iqa needs onnxruntime 1.18 or newer; rebuild the bundle if it is",
            ) from error
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


def _import() -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency(
            "ONNX Runtime is not installed", why=str(error), fix="pip install onnxruntime"
        ) from error
    return onnxruntime
