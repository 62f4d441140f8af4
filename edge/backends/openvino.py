"""OpenVINO: the fastest int8 runtime on x86 CPUs; Intel GPUs and NPUs by name."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import check_input, read_score
from edge_iqa.backends.engine_cache import default_folder, private_folder
from edge_iqa.errors import BundleRefused, DeviceUnavailable, MissingDependency

CACHE_VARIABLE = "EDGE_IQA_OPENVINO_CACHE"


class OpenVinoBackend:
    """Scores on OpenVINO with the latency hint; int8 is stored as IR, fp32 is read from ONNX.

    GPU and NPU keep what they compiled in the user's cache folder, since compiling takes seconds there. On the CPU
    nothing is kept unless the environment variable EDGE_IQA_OPENVINO_CACHE names a folder. Threads are not tied to
    processors: OpenVINO would tie those of every scorer, the caller's among them, to the same first ones. What is float
    stays float32: on processors that know bfloat16 OpenVINO would compute the head of an int8 model in it.
    """

    name: ClassVar[str] = "openvino"
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "int8": ("openvino/model.xml", "openvino/model.bin"),
        "fp32": ("model.onnx",),
    }
    devices: ClassVar[tuple[str, ...]] = ("cpu", "gpu", "npu")
    device_artefacts: ClassVar[Mapping[tuple[str, str], tuple[str, ...]]] = {}

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        threads: int | None = None,
        device: str | None = None,
        precision: str | None = None,
    ) -> None:
        runtime = _import()
        core = runtime.Core()
        plugin = (device or "cpu").upper()
        _require_device(core, plugin)
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if plugin == "CPU":
            settings["ENABLE_CPU_PINNING"] = False
            settings["INFERENCE_PRECISION_HINT"] = "f32"
            if threads is not None:
                settings["INFERENCE_NUM_THREADS"] = threads
        cache = _cache_folder(plugin)
        if cache is not None:
            settings["CACHE_DIR"] = str(cache)
        try:
            if "model.onnx" in files:
                settings["INFERENCE_PRECISION_HINT"] = "f32"
                model = core.read_model(io.BytesIO(files["model.onnx"]))
            else:
                model = core.read_model(files["openvino/model.xml"], files["openvino/model.bin"])
            self._compiled = core.compile_model(model, plugin, settings)
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


def _require_device(core: Any, plugin: str) -> None:
    present = [str(name) for name in core.available_devices]
    if not any(name == plugin or name.startswith(f"{plugin}.") for name in present):
        raise DeviceUnavailable(
            f"OpenVINO finds no {plugin} here",
            why=f"it finds {', '.join(present) or 'nothing'}",
            fix="install the driver of the device (Intel: compute runtime for GPU, linux-npu-driver for NPU)",
        )


def _cache_folder(plugin: str) -> Path | None:
    """Return where compiled models are kept, or None; only a folder that belongs to the user alone is used."""
    named = os.environ.get(CACHE_VARIABLE, "")
    if plugin == "CPU" and not named:
        return None
    return private_folder(Path(named) if named else default_folder().with_name("openvino"))


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed", why=str(error), fix="pip install 'edge-iqa[openvino]'"
        ) from error
    return openvino
