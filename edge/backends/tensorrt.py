"""TensorRT on an NVIDIA GPU, first of all a Jetson: engines are built there from the bundle's graph."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import check_input, read_score
from edge_iqa.backends.cuda_memory import CudaRuntime
from edge_iqa.backends.engine_cache import default_folder
from edge_iqa.backends.tensorrt_dla import dla_core
from edge_iqa.backends.tensorrt_engine import (
    OLDEST_VERSION,
    import_tensorrt,
    l4t_release,
    obtain_engine,
    parse_version,
)
from edge_iqa.errors import BundleRefused, DeviceUnavailable, EdgeIqaError, InvalidInput, MissingDependency

_SYSTEM_PACKAGES = Path("/usr/lib")


class TensorRtBackend:
    """Scores on TensorRT 8.5 to 11; int8 uses the signed Q/DQ graph, whose scales TensorRT takes as they are.

    The first load of a graph builds an engine, which takes minutes; later loads read it from the cache once
    it is verified. ``precision`` is ``int8``, ``fp16`` or ``fp32``; None means what the file is: int8 for
    ``model.int8.onnx``, fp32 for ``model.onnx``.
    ``device`` is ``gpu``, ``dla0`` or ``dla1``. ``threads`` has no meaning on a GPU and is ignored.
    """

    name: ClassVar[str] = "tensorrt"
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "int8": ("model.int8.onnx",),
        "fp16": ("model.onnx",),
        "fp32": ("model.onnx",),
    }
    devices: ClassVar[tuple[str, ...]] = ("gpu", "dla0", "dla1")
    device_artefacts: ClassVar[Mapping[tuple[str, str], tuple[str, ...]]] = {}

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        threads: int | None = None,
        device: str | None = None,
        precision: str | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        self._buffers: list[int] = []
        self._stream = 0
        self._context: Any = None
        self.precision = _precision_of(files, precision)
        device = device or "gpu"
        (graph,) = files.values()
        tensorrt = import_tensorrt()
        self.version: str = str(tensorrt.__version__)
        self._cuda = CudaRuntime()
        content = obtain_engine(graph, self.precision, tensorrt, self._cuda, cache_folder, device)
        # The runtime must outlive its engine, and the engine its context.
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        core = dla_core(device)
        if core is not None:
            self._runtime.DLA_core = core
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise BundleRefused(
                f"TensorRT {self.version} cannot load the engine it built",
                why="see its messages above",
                fix=f"delete the folder {cache_folder or default_folder()} and load again",
            )
        self._height, self._width = self._check_tensors(tensorrt)
        self._score = np.zeros((1, 1), np.float32)
        try:
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise DeviceUnavailable("TensorRT gave no execution context", why="too little memory is free")
            self._stream = self._cuda.create_stream()
            for name, size_bytes in ((self._input, self._height * self._width * 3), (self._output, 4)):
                self._buffers.append(self._cuda.allocate(size_bytes))
                self._context.set_tensor_address(name, self._buffers[-1])
        except EdgeIqaError:
            self.close()
            raise

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            tensorrt = import_tensorrt()
        except MissingDependency as error:
            return f"{error.why}; {_advice()}"
        version = str(tensorrt.__version__)
        if parse_version(version) < OLDEST_VERSION:
            return f"TensorRT {version} is too old to take uint8 inputs; use JetPack 5.1 or newer"
        try:
            CudaRuntime()
        except DeviceUnavailable as error:
            return f"TensorRT {version} is there, but: {error.what}, {error.why}; {error.fix}"
        return None

    def infer(self, image: NDArray[np.uint8]) -> float:
        if self._context is None:
            raise DeviceUnavailable("This backend is closed", fix="load it again")
        check_input(image, self._height, self._width)
        source = np.ascontiguousarray(image)
        self._cuda.copy_to_device(self._buffers[0], source, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise DeviceUnavailable("TensorRT could not run the engine", why="see its messages above")
        self._cuda.copy_to_host(self._score, self._buffers[1], self._stream)
        self._cuda.synchronize(self._stream)
        return read_score(self._score, self.name)

    def close(self) -> None:
        self._context = None
        self._engine = None
        for address in self._buffers:
            self._cuda.free(address)
        self._buffers = []
        if self._stream:
            self._cuda.destroy_stream(self._stream)
            self._stream = 0

    def _check_tensors(self, tensorrt: Any) -> tuple[int, int]:
        """Return height and width; raises BundleRefused unless it is uint8 (1, H, W, 3) to float32 (1, 1)."""
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
        outputs = [name for name in names if name not in inputs]
        shapes = {name: tuple(int(size) for size in engine.get_tensor_shape(name)) for name in names}
        fits = len(inputs) == len(outputs) == 1
        if fits:
            self._input, self._output = inputs[0], outputs[0]
            shape = shapes[self._input]
            fits = (
                engine.get_tensor_dtype(self._input) == tensorrt.DataType.UINT8
                and engine.get_tensor_dtype(self._output) == tensorrt.DataType.FLOAT
                and len(shape) == 4
                and shape[0] == 1
                and shape[3] == 3
                and min(shape) > 0
                and shapes[self._output] == (1, 1)
            )
        if not fits:
            raise BundleRefused(
                "The graph is not a quality model",
                why=f"inputs {inputs}, outputs {outputs}, shapes {shapes}",
                fix="the contract is uint8 (1, H, W, 3) in, float32 (1, 1) out",
            )
        return shape[1], shape[2]


def _precision_of(files: Mapping[str, bytes], wanted: str | None) -> str:
    names = tuple(files)
    if wanted is None:
        wanted = "int8" if names == TensorRtBackend.artefacts["int8"] else "fp32"
    if TensorRtBackend.artefacts.get(wanted) != names:
        raise InvalidInput(
            f"The precision {wanted!r} does not go with {', '.join(names)}",
            fix="; ".join(f"{key}: {value[0]}" for key, value in TensorRtBackend.artefacts.items()),
        )
    return wanted


def _advice() -> str:
    """Return what to do on this machine about a missing package ``tensorrt``."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    installed = sorted(_SYSTEM_PACKAGES.glob("python3*/dist-packages/tensorrt"))
    if installed:
        if sys.prefix != sys.base_prefix:
            return (
                f"it is in {installed[0]}, which this virtual environment (Python {running}) does not see: "
                "make it anew with '/usr/bin/python3 -m venv --system-site-packages'"
            )
        return f"it is in {installed[0]}, which this Python {running} does not see: use /usr/bin/python3"
    release = l4t_release()
    if release != "none":
        return f"this Jetson (L4T {release}) lacks it: sudo apt install python3-libnvinfer"
    return (
        f"this machine ({platform.machine()}) is not a Jetson: run it on one, or use another backend; if it "
        "has an NVIDIA GPU, 'pip install tensorrt' brings what is missing"
    )
