"""Stand-ins for TensorRT and libcudart that work in the host's memory."""

from __future__ import annotations

import ctypes
import types
from pathlib import Path
from typing import Any

import numpy as np

from edge_iqa.backends.tensorrt import TensorRtBackend

HEIGHT, WIDTH = 4, 6


def graph(opset: int = 17) -> bytes:
    """Return the bytes of an ONNX model that holds an operator-set version and nothing else of interest."""
    return bytes([0x08, 8, 0x3A, 0, 0x42, 4, 0x0A, 0, 0x10, opset])


class FakeCudart:
    """libcudart's functions on host memory; ``open`` holds what was allocated and not given back."""

    def __init__(self, devices: int = 1, status: int = 0) -> None:
        self.open: dict[int, Any] = {}
        self.devices, self.status = devices, status

    def library(self) -> types.SimpleNamespace:
        def malloc(address: Any, size: int) -> int:
            buffer = ctypes.create_string_buffer(size)
            address._obj.value = ctypes.addressof(buffer)
            self.open[address._obj.value] = buffer
            return 0

        def copy(target: int, source: int, size: int, kind: int, stream: int) -> int:
            ctypes.memmove(target, source, size)
            return 0

        def stream_create(stream: Any) -> int:
            stream._obj.value = 77
            self.open[77] = None
            return 0

        def release(handle: int) -> int:
            del self.open[handle]
            return 0

        def count(value: Any) -> int:
            value._obj.value = self.devices
            return self.status

        def attribute(value: Any, which: int, device: int) -> int:
            value._obj.value = {75: 8, 76: 7}[which]
            return 0

        def properties(buffer: Any, device: Any) -> int:
            buffer.value = b"Orin"
            return 0

        return types.SimpleNamespace(
            cudaMalloc=malloc,
            cudaFree=release,
            cudaMemcpyAsync=copy,
            cudaStreamCreate=stream_create,
            cudaStreamSynchronize=lambda stream: self.status,
            cudaStreamDestroy=release,
            cudaGetDeviceCount=count,
            cudaDeviceGetAttribute=attribute,
            cudaGetDeviceProperties_v2=properties,
        )


class Flags:
    """An enumeration whose members have numbers, as TensorRT's do."""

    def __init__(self, *names: str) -> None:
        for number, name in enumerate(names):
            setattr(self, name, number)


class FakeTensorRt(types.ModuleType):
    """Just enough of TensorRT: an engine's score is the mean of its input over 255."""

    def __init__(self, version: str = "10.3.0") -> None:
        super().__init__("tensorrt")
        self.__version__ = version
        self.builds: list[dict[str, Any]] = []
        self.parse_error = ""
        self.builds_nothing = False
        self.score: float | None = None
        self.output_shape = (1, 1)
        self.deserialized: list[bytes] = []
        old = int(version.split(".")[0]) < 11
        self.BuilderFlag = Flags(*(("FP16", "INT8", "TF32") if old else ("TF32",)))
        self.NetworkDefinitionCreationFlag = Flags("EXPLICIT_BATCH", "STRONGLY_TYPED")
        self.MemoryPoolType = Flags("WORKSPACE")
        self.TensorIOMode = Flags("NONE", "INPUT", "OUTPUT")
        self.DataType = Flags("FLOAT", "HALF", "UINT8")
        self.ILogger = type("ILogger", (), {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2})
        self.Logger = type("Logger", (), {"WARNING": 2, "__init__": lambda self, level: None})
        self.Builder = lambda logger: FakeBuilder(self, logger)
        self.OnnxParser = lambda network, logger: FakeParser(self, network)
        self.Runtime = lambda logger: types.SimpleNamespace(deserialize_cuda_engine=self.load)

    def load(self, content: bytes) -> FakeEngine:
        self.deserialized.append(content)
        return FakeEngine(self)


class FakeParser:
    def __init__(self, tensorrt: FakeTensorRt, network: dict[str, Any]) -> None:
        self.tensorrt, self.network = tensorrt, network
        self.num_errors = 1

    def parse(self, content: bytes) -> bool:
        self.network["graph"] = content
        return not self.tensorrt.parse_error

    def get_error(self, index: int) -> Any:
        return types.SimpleNamespace(desc=lambda: self.tensorrt.parse_error)


class FakeBuilder:
    def __init__(self, tensorrt: FakeTensorRt, logger: Any) -> None:
        self.tensorrt, self.logger = tensorrt, logger

    def create_network(self, flags: int) -> dict[str, Any]:
        return {"network_flags": flags}

    def create_builder_config(self) -> FakeConfig:
        return FakeConfig()

    def build_serialized_network(self, network: dict[str, Any], config: FakeConfig) -> bytes | None:
        if self.tensorrt.builds_nothing:
            self.logger.log(1, "no implementation for node Conv_3")
            return None
        self.tensorrt.builds.append({**network, **config.__dict__})
        return b"engine %d" % len(self.tensorrt.builds)


class FakeConfig:
    def __init__(self) -> None:
        self.flags: set[int] = set()
        self.cleared: set[int] = set()
        self.timings = b""

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        self.workspace = size

    def set_flag(self, flag: int) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: int) -> None:
        self.cleared.add(flag)

    def create_timing_cache(self, content: bytes) -> bytes:
        return content

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> None:
        assert not ignore_mismatch
        self.timings = cache

    def get_timing_cache(self) -> Any:
        return types.SimpleNamespace(serialize=lambda: self.timings + b"timing ")


class FakeEngine:
    num_io_tensors = 2

    def __init__(self, tensorrt: FakeTensorRt) -> None:
        self.tensorrt = tensorrt
        self.addresses: dict[str, int] = {}

    def get_tensor_name(self, index: int) -> str:
        return ("image", "score")[index]

    def get_tensor_mode(self, name: str) -> int:
        return {"image": 1, "score": 2}[name]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (1, HEIGHT, WIDTH, 3) if name == "image" else self.tensorrt.output_shape

    def get_tensor_dtype(self, name: str) -> int:
        return {"image": 2, "score": 0}[name]

    def create_execution_context(self) -> FakeEngine:
        return self

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 77
        pixels = ctypes.string_at(self.addresses["image"], HEIGHT * WIDTH * 3)
        score = self.tensorrt.score
        if score is None:
            score = np.frombuffer(pixels, np.uint8).mean() / 255
        ctypes.memmove(self.addresses["score"], np.float32(score).tobytes(), 4)
        return True


def load(folder: Path, precision: str = "int8", opset: int = 17) -> TensorRtBackend:
    """Return a backend whose engine is built, or found, in the cache ``folder``."""
    name = TensorRtBackend.artefacts[precision][0]
    return TensorRtBackend({name: graph(opset)}, precision=precision, cache_folder=folder)
