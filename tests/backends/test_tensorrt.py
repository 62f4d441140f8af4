"""The TensorRT backend without a GPU: stand-ins for TensorRT and libcudart work in the host's memory."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_iqa.backends import cuda_memory, tensorrt_engine
from edge_iqa.backends import tensorrt as backend_module
from edge_iqa.backends.cuda_memory import CudaRuntime
from edge_iqa.backends.engine_cache import CacheMiss, EngineCache, EngineKey, default_folder
from edge_iqa.backends.onnx_opset import read_opset
from edge_iqa.backends.tensorrt import TensorRtBackend
from edge_iqa.backends.tensorrt_engine import BuildPlan, l4t_release, parse_version, plan_build
from edge_iqa.errors import BackendMismatch, BundleRefused, DeviceUnavailable, InvalidInput

HEIGHT, WIDTH = 4, 6
KEY = EngineKey("ab" * 32, "int8", "Orin", "8.7", "10.3.0", "36.4.3")


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


@pytest.fixture
def cudart(monkeypatch: pytest.MonkeyPatch) -> FakeCudart:
    fake = FakeCudart()
    monkeypatch.setattr(cuda_memory, "_find_library", fake.library)
    return fake


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, cudart: FakeCudart) -> FakeTensorRt:
    fake = FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    return fake


def load(folder: Path, precision: str = "int8", opset: int = 17) -> TensorRtBackend:
    name = TensorRtBackend.artefacts[precision][0]
    return TensorRtBackend({name: graph(opset)}, precision=precision, cache_folder=folder)


# --- which switches a version has


@pytest.mark.parametrize(
    ("version", "precision", "plan"),
    [
        ("8.6.2", "int8", BuildPlan(("EXPLICIT_BATCH",), ("INT8", "FP16"))),
        ("8.6.2", "fp16", BuildPlan(("EXPLICIT_BATCH",), ("FP16",))),
        ("8.6.2", "fp32", BuildPlan(("EXPLICIT_BATCH",), (), ("TF32",))),
        ("10.3.0", "int8", BuildPlan(("STRONGLY_TYPED",))),
        ("10.3.0", "fp16", BuildPlan((), ("FP16",))),
        ("10.16.1", "fp32", BuildPlan((), (), ("TF32",))),
        ("11.4.1", "int8", BuildPlan()),
        ("11.4.1", "fp16", BuildPlan()),
        ("11.4.1", "fp32", BuildPlan((), (), ("TF32",))),
    ],
)
def test_switches_by_version(version: str, precision: str, plan: BuildPlan) -> None:
    assert plan_build(parse_version(version), precision) == plan


def test_a_version_without_the_switch_is_refused() -> None:
    with pytest.raises(DeviceUnavailable, match="too old"):
        plan_build((8, 4), "int8")
    with pytest.raises(InvalidInput, match="int4"):
        plan_build((10, 3), "int4")
    with pytest.raises(InvalidInput, match="not a TensorRT version"):
        parse_version("ten")


@pytest.mark.parametrize(
    ("version", "network_flags", "flags"),
    [("8.6.2.3", 1, {0, 1}), ("10.3.0", 2, set()), ("11.4.1", 0, set())],
)
def test_the_build_uses_these_switches(
    tensorrt: FakeTensorRt, tmp_path: Path, version: str, network_flags: int, flags: set[int]
) -> None:
    tensorrt.__init__(version)  # type: ignore[misc]
    load(tmp_path / "c").close()
    (build,) = tensorrt.builds
    assert (build["network_flags"], build["flags"], build["graph"]) == (network_flags, flags, graph())
    assert build["workspace"] == 1024**3


def test_a_parser_never_sees_a_graph_that_is_too_new_for_it(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    tensorrt.OnnxParser = lambda network, logger: pytest.fail("the parser was called")
    with pytest.raises(BundleRefused, match="operator set 21") as caught:
        load(tmp_path / "c", opset=21)
    assert "up to 20" in caught.value.why


def test_refusals_carry_tensorrts_words(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    tensorrt.parse_error = "Non-zero zero point is not supported"
    with pytest.raises(BundleRefused, match="Non-zero zero point"):
        load(tmp_path / "c")
    tensorrt.parse_error, tensorrt.builds_nothing = "", True
    with pytest.raises(BundleRefused, match="Conv_3"):
        load(tmp_path / "c")
    assert not (tmp_path / "c").exists()


# --- the cache


def test_an_engine_is_built_once(tensorrt: FakeTensorRt, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        load(tmp_path / "c").close()
    assert "none was built on this device yet" in caplog.text
    caplog.clear()
    load(tmp_path / "c").close()
    assert len(tensorrt.builds) == 1
    assert tensorrt.deserialized == [b"engine 1", b"engine 1"]
    assert not caplog.text


def test_timings_serve_the_next_build(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    load(tmp_path / "c").close()
    load(tmp_path / "c", "fp32").close()
    assert [build["timings"] for build in tensorrt.builds] == [b"", b"timing "]


def test_an_altered_engine_is_never_deserialized(
    tensorrt: FakeTensorRt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "c"
    load(folder).close()
    (engine,) = folder.glob("*.engine")
    engine.write_bytes(b"engine X")
    tensorrt.deserialized.clear()
    load(folder).close()
    assert tensorrt.deserialized == [b"engine 2"]
    assert f"{engine.name} was altered" in caplog.text
    assert engine.read_bytes() == b"engine 2"


@pytest.mark.parametrize("change", ["version", "release", "gpu", "precision", "graph"])
def test_another_device_or_graph_gets_its_own_engine(
    tensorrt: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = tmp_path / "c"
    load(folder).close()
    if change == "version":
        tensorrt.__version__ = "10.4.0"
    elif change == "release":
        monkeypatch.setattr(tensorrt_engine, "l4t_release", lambda: "39.2.0")
    elif change == "gpu":
        monkeypatch.setattr(CudaRuntime, "device_name", lambda self: "Xavier")
    load(folder, "fp32" if change == "precision" else "int8", opset=16 if change == "graph" else 17).close()
    assert len(tensorrt.builds) == 2
    assert len(list(folder.glob("*.engine"))) == 2


def test_the_file_name_depends_on_every_field() -> None:
    changed = [EngineKey(**{**KEY.__dict__, field: "other"}).name for field in KEY.__dict__]
    assert len({KEY.name, *changed}) == len(KEY.__dict__) + 1
    assert EngineKey(**KEY.__dict__).name == KEY.name


@pytest.mark.parametrize("field", list(KEY.__dict__))
def test_a_sidecar_for_another_key_is_named(tmp_path: Path, field: str) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    assert cache.load(KEY) == b"engine"
    sidecar = path.with_name(path.name + ".json")
    document = json.loads(sidecar.read_text())
    document["key"][field] = "elsewhere"
    sidecar.write_text(json.dumps(document))
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert f"was built for {field} 'elsewhere'" in found.why


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_a_broken_sidecar_is_a_miss(tmp_path: Path, content: str) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    path.with_name(path.name + ".json").write_text(content)
    assert isinstance(cache.load(KEY), CacheMiss)


def test_an_engine_without_sidecar_is_a_miss(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    path.with_name(path.name + ".json").unlink()
    assert isinstance(cache.load(KEY), CacheMiss)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes are those of POSIX")
def test_what_others_can_write_is_not_used(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    assert path.stat().st_mode & 0o077 == 0
    assert cache.folder.stat().st_mode & 0o077 == 0
    path.chmod(0o666)
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert "written by other users" in found.why
    path.chmod(0o600)
    real = path.rename(tmp_path / "real")
    path.symlink_to(real)
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert "is a link" in found.why


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and modes are those of POSIX")
def test_what_belongs_to_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EngineCache(tmp_path / "c")
    cache.store(KEY, b"engine")
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    found = cache.load(KEY)
    assert isinstance(found, CacheMiss)
    assert "belongs to another user" in found.why


def test_storing_leaves_no_other_files(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    path = cache.store(KEY, b"engine")
    cache.store(KEY, b"engine 2")
    assert sorted(item.name for item in cache.folder.iterdir()) == [path.name, f"{path.name}.json"]
    assert cache.load(KEY) == b"engine 2"


def test_a_folder_that_cannot_be_written_costs_a_build_only(
    tensorrt: FakeTensorRt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    load(blocker / "c").close()
    load(blocker / "c").close()
    assert len(tensorrt.builds) == 2
    assert "it will be built again next time" in caplog.text


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "edge-iqa" / "engines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "edge-iqa" / "engines"


# --- scoring


def test_scores_and_gives_everything_back(tensorrt: FakeTensorRt, cudart: FakeCudart, tmp_path: Path) -> None:
    backend = load(tmp_path / "c")
    for level in (0, 51, 255):
        image = np.full((1, HEIGHT, WIDTH, 3), level, np.uint8)
        assert backend.infer(image) == pytest.approx(level / 255)
    strided = np.full((1, HEIGHT, 2 * WIDTH, 3), 102, np.uint8)[:, :, ::2]
    assert backend.infer(strided) == pytest.approx(0.4)
    with pytest.raises(InvalidInput, match="uint8"):
        backend.infer(np.zeros((1, WIDTH, HEIGHT, 3), np.uint8))
    assert cudart.open
    backend.close()
    backend.close()
    assert not cudart.open
    with pytest.raises(DeviceUnavailable, match="closed"):
        backend.infer(image)


@pytest.mark.parametrize("score", [float("nan"), 1.5])
def test_a_score_outside_the_contract_is_refused(tensorrt: FakeTensorRt, tmp_path: Path, score: float) -> None:
    tensorrt.score = score
    with pytest.raises(BackendMismatch, match="tensorrt"):
        load(tmp_path / "c").infer(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))


def test_a_graph_with_another_contract_is_refused(tensorrt: FakeTensorRt, cudart: FakeCudart, tmp_path: Path) -> None:
    tensorrt.output_shape = (1, 2)
    with pytest.raises(BundleRefused, match="not a quality model"):
        load(tmp_path / "c")
    assert not cudart.open


def test_the_precision_must_go_with_the_file(tensorrt: FakeTensorRt, tmp_path: Path) -> None:
    assert TensorRtBackend({"model.onnx": graph()}, cache_folder=tmp_path / "c").precision == "fp32"
    assert TensorRtBackend({"model.int8.onnx": graph()}, cache_folder=tmp_path / "c").precision == "int8"
    with pytest.raises(InvalidInput, match="does not go with"):
        TensorRtBackend({"model.onnx": graph()}, precision="int8", cache_folder=tmp_path / "c")


# --- saying what is missing


def test_says_where_the_package_is_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    hidden = tmp_path / "python3.10" / "dist-packages" / "tensorrt"
    hidden.mkdir(parents=True)
    monkeypatch.setattr(backend_module, "_SYSTEM_PACKAGES", tmp_path)
    monkeypatch.setattr(sys, "prefix", "/somewhere/venv")
    reason = TensorRtBackend.unavailable()
    assert reason is not None
    assert str(hidden) in reason
    assert "--system-site-packages" in reason


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(backend_module, "_SYSTEM_PACKAGES", tmp_path)
    monkeypatch.setattr(backend_module, "l4t_release", lambda: "36.4.3")
    reason = TensorRtBackend.unavailable() or ""
    assert "36.4.3" in reason
    assert "sudo apt install python3-libnvinfer" in reason
    monkeypatch.setattr(backend_module, "l4t_release", lambda: "none")
    assert "not a Jetson" in (TensorRtBackend.unavailable() or "")


def test_says_that_a_version_is_too_old_or_the_device_is_missing(tensorrt: FakeTensorRt, cudart: FakeCudart) -> None:
    assert TensorRtBackend.unavailable() is None
    cudart.devices = 0
    assert "no CUDA device" in (TensorRtBackend.unavailable() or "")
    tensorrt.__version__ = "8.4.1"
    assert "too old" in (TensorRtBackend.unavailable() or "")


def test_cuda_errors_are_named(cudart: FakeCudart) -> None:
    library = cudart.library()
    library.cudaGetErrorString = lambda status: b"CUDA driver version is insufficient"
    cudart.status = 35
    with pytest.raises(DeviceUnavailable, match="error 35: CUDA driver version is insufficient"):
        CudaRuntime(library)
    cudart.status = 0
    runtime = CudaRuntime(library)
    assert (runtime.device_name(), runtime.compute_capability()) == ("Orin", "8.7")
    cudart.status = 700
    with pytest.raises(DeviceUnavailable, match="cudaStreamSynchronize"):
        runtime.synchronize(77)


def test_a_missing_cuda_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY_NAMES", ("libno-such-library.so.1",))
    with pytest.raises(DeviceUnavailable, match=r"libno-such-library\.so\.1"):
        CudaRuntime()


def test_reads_the_jetson_release(tmp_path: Path) -> None:
    path = tmp_path / "nv_tegra_release"
    assert l4t_release(path) == "none"
    path.write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n")
    assert l4t_release(path) == "36.4.3"
    path.write_text("something else")
    assert l4t_release(path) == "none"


# --- the operator set of a graph


def test_reads_the_operator_set_of_a_real_file() -> None:
    onnx = pytest.importorskip("onnx")
    large = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [3000], [0.0] * 3000)
    made = onnx.helper.make_graph([], "g", [], [], [large])
    for domains in (["", "other"], ["other", ""]):
        imports = [onnx.helper.make_opsetid(domain, 19 if domain == "" else 3) for domain in domains]
        assert read_opset(onnx.helper.make_model(made, opset_imports=imports).SerializeToString()) == 19


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_and_nothing_else(content: bytes) -> None:
    with contextlib.suppress(BundleRefused):
        assert read_opset(content) >= 0
