"""TFLite: LiteRT's interpreter with XNNPACK, else the older tflite-runtime; delegates by name."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edge_iqa.backends.base import check_input, read_score
from edge_iqa.errors import BundleRefused, DeviceUnavailable, MissingDependency

# Device → the delegate's library, in the order tried. They come with a board's system, not with a package.
DELEGATES: Mapping[str, tuple[str, ...]] = {
    "gpu": ("libtensorflowlite_gpu_delegate.so", "libLiteRtGpuAccelerator.so"),
    "nnapi": ("libnnapi_delegate.so", "libvx_delegate.so"),  # the second is NXP's and VeriSilicon's, for NPUs
    "edgetpu": ("libedgetpu.so.1", "libedgetpu.1.dylib", "edgetpu.dll"),
}
_EDGETPU_OPERATOR = b"edgetpu-custom-op"


class TfliteBackend:
    """Scores through the TFLite interpreter; ``ai_edge_litert`` first, ``tflite_runtime`` else.

    On the CPU XNNPACK runs what it can, with ``threads`` threads. Other devices are delegates whose library must be
    on the machine; what a delegate does not take stays on the CPU.
    """

    name: ClassVar[str] = "tflite"
    artefacts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "int8": ("model.int8.tflite",),
        "fp32": ("model.tflite",),
    }
    devices: ClassVar[tuple[str, ...]] = ("cpu", *DELEGATES)
    device_artefacts: ClassVar[Mapping[tuple[str, str], tuple[str, ...]]] = {}

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        threads: int | None = None,
        device: str | None = None,
        precision: str | None = None,
    ) -> None:
        interpreter_type, self.version = _import()
        (content,) = files.values()
        delegates = [] if device in (None, "cpu") else [_load_delegate(interpreter_type, str(device), content)]
        try:
            self._interpreter: Any = interpreter_type(
                model_content=content, num_threads=threads, experimental_delegates=delegates
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise BundleRefused(
                "TFLite cannot load the model",
                why=" ".join(str(error).split())[:300],
                fix="update ai-edge-litert; rebuild the bundle if it is current",
            ) from error
        (picture,), (score,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shape = tuple(int(size) for size in picture["shape"])
        if picture["dtype"] is not np.uint8 or len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
            raise BundleRefused(
                "The TFLite model does not take a picture",
                why=f"its input is {picture['dtype'].__name__} {shape}",
                fix="rebuild the bundle with 'edge-iqa quantize'",
            )
        self._height, self._width = shape[1], shape[2]
        self._input, self._output = picture["index"], score["index"]

    @classmethod
    def unavailable(cls) -> str | None:
        try:
            _import()
        except MissingDependency as error:
            return f"{error.why}; {error.fix}"
        return None

    def infer(self, image: NDArray[np.uint8]) -> float:
        if self._interpreter is None:
            raise DeviceUnavailable("This backend is closed", fix="load it again")
        check_input(image, self._height, self._width)
        self._interpreter.set_tensor(self._input, image)
        self._interpreter.invoke()
        return read_score(self._interpreter.get_tensor(self._output), self.name)

    def close(self) -> None:
        self._interpreter = None


def runtime_version() -> str:
    """Return the version of the interpreter that is used here; raises MissingDependency without one."""
    return _import()[1]


def _load_delegate(interpreter_type: Any, device: str, content: bytes) -> Any:
    if device == "edgetpu" and _EDGETPU_OPERATOR not in content:
        raise DeviceUnavailable(
            "This model was not compiled for the Edge TPU",
            why="the Edge TPU runs only files made by edgetpu_compiler; any other would run on the CPU",
            fix="'edge-iqa export --to tflite', then edgetpu_compiler on model.int8.tflite (docs/reach.md)",
        )
    load = importlib.import_module(interpreter_type.__module__).load_delegate
    problems = []
    for library in DELEGATES[device]:
        try:
            ctypes.CDLL(library)  # first, since LiteRT's own class prints a traceback where this fails
            return load(library)
        except (OSError, ValueError) as error:
            problems.append(" ".join(str(error).split()) or f"{library} failed")
    raise DeviceUnavailable(
        f"TFLite has no delegate for {device} here",
        why="; ".join(problems)[:300],
        fix=f"install {DELEGATES[device][0]} with the board's software, or leave the device out for the CPU",
    )


def _import() -> tuple[Any, str]:
    """Return the Interpreter class and its package's version."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        return _import_legacy(str(error))
    return Interpreter, metadata.version("ai-edge-litert")


def _import_legacy(reason: str) -> tuple[Any, str]:
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError as error:
        raise MissingDependency("TFLite is not installed", why=reason, fix="pip install 'edge-iqa[tflite]'") from error
    if int(np.__version__.split(".")[0]) >= 2:
        raise MissingDependency(
            "tflite-runtime cannot run here",
            why=f"it was built for numpy 1, and this is numpy {np.__version__}",
            fix="pip install 'edge-iqa[tflite]', or 'edge-iqa[tflite-legacy]' on an old device",
        )
    return Interpreter, f"{metadata.version('tflite-runtime')} (tflite-runtime)"
