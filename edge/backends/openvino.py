"""OpenVINO on the CPU: the fastest int8 runtime on x86."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import check_input, read_score
from edge_iqa.errors import BundleRefused, DeviceUnavailable, MissingDependency


class OpenVinoBackend:
    """Scores on OpenVINO's CPU plugin with the latency hint; int8 is stored as IR, fp32 is read from ONNX."""

    name: ClassVar[str] = "openvino"
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "int8": ("openvino/model.xml", "openvino/model.bin"),
        "fp32": ("model.onnx",),
    }

    def __init__(self, files: Mapping[str, bytes], *, threads: int | None = None) -> None:
        runtime = _import()
        core = runtime.Core()
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            if "model.onnx" in files:
                # The float reference stays float32 on machines whose default would be bfloat16.
                settings["INFERENCE_PRECISION_HINT"] = "f32"
                model = core.read_model(io.BytesIO(files["model.onnx"]))
            else:
                model = core.read_model(files["openvino/model.xml"], files["openvino/model.bin"])
            self._compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise BundleRefused(
                "OpenVINO cannot load the model",
                why=str(error).strip().splitlines()[0][:300],
                fix="edge-iqa needs openvino 2025.2 or newer; rebuild the bundle if it is",
            ) from error
        self._request = self._compiled.create_infer_request()
        self.version: str = runtime.__version__.split("-")[0]
        shape = self._compiled.input(0).shape
        self._height, self._width = int(shape[1]), int(shape[2])

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            _import()
        except MissingDependency as error:
            return f"{error.why}; {error.fix}"
        return None

    def infer(self, image: NDArray[np.uint8]) -> float:
        if self._request is None:
            raise DeviceUnavailable("This backend is closed", fix="load it again")
        check_input(image, self._height, self._width)
        self._request.infer([image], share_inputs=True)
        return read_score(self._request.get_output_tensor(0).data, self.name)

    def close(self) -> None:
        self._request = None
        self._compiled = None


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed", why=str(error), fix="pip install 'edge-iqa[openvino]'"
        ) from error
    return openvino
