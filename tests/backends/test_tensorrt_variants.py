"""The form of the graph per TensorRT version, DLA, and side-by-side checks, on stand-ins for TensorRT and CUDA.

TensorRT itself needs an NVIDIA GPU; what is tested here is which switches and which graph it would get. The graphs
are run by ONNX Runtime, and compiled by TensorRT for RTX in tests/export where that is installed.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from edge_iqa.backends import tensorrt_graph
from edge_iqa.backends.engine_cache import CacheMiss, EngineCache, EngineKey
from edge_iqa.backends.onnx_opset import read_opset
from edge_iqa.backends.tensorrt_dla import check_dla, configure_dla, dla_core
from edge_iqa.backends.tensorrt_graph import graph_for_version
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.errors import DeviceUnavailable, GraphUnsupported, InvalidInput, MissingDependency
from edge_iqa.verify import TargetRow, Verification


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


# --- the graph that a version gets


def test_each_version_gets_the_graph_that_it_reads(bundle: Bundle) -> None:
    onnx = pytest.importorskip("onnx")
    int8, plain = bundle.files["model.int8.onnx"], bundle.files["model.onnx"]
    assert graph_for_version(int8, "int8", (10, 3)) is int8
    assert graph_for_version(int8, "int8", (11, 4)) is int8
    assert graph_for_version(plain, "fp16", (10, 3)) is plain
    older = graph_for_version(int8, "int8", (8, 6))
    assert (read_opset(int8), read_opset(older)) == (20, 17)
    half = onnx.load_model_from_string(graph_for_version(plain, "fp16", (11, 4)))
    kinds = {item.data_type for item in half.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert onnx.TensorProto.FLOAT in kinds  # the head stays float32


def test_rewriting_without_onnx_says_what_to_install(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_graph.importlib.util, "find_spec", lambda name: None)
    int8 = bundle.files["model.int8.onnx"]
    assert graph_for_version(int8, "int8", (10, 3)) is int8
    with pytest.raises(MissingDependency, match="pip install onnx"):
        graph_for_version(int8, "int8", (8, 6))


# --- DLA


@pytest.mark.parametrize(("version", "works"), [((8, 6), True), ((10, 3), True), ((10, 7), True), ((10, 16), False)])
def test_dla_by_version(version: tuple[int, int], works: bool) -> None:
    if works:
        check_dla(version, "fp16")
        return
    with pytest.raises(DeviceUnavailable, match="no DLA"):
        check_dla(version, "fp16")


def test_dla_takes_fp16_only() -> None:
    check_dla((11, 4), "fp16")
    for precision in ("int8", "fp32"):
        with pytest.raises(InvalidInput, match=f"DLA cannot run the precision {precision}"):
            check_dla((10, 3), precision)
    assert (dla_core("gpu"), dla_core("dla0"), dla_core("dla1")) == (None, 0, 1)


def dla_parts(layers: int, capable: int, cores: int = 2) -> tuple[Any, Any, Any, Any]:
    flags: list[str] = []
    tensorrt = types.SimpleNamespace(
        DeviceType=types.SimpleNamespace(DLA="DLA"), BuilderFlag=types.SimpleNamespace(GPU_FALLBACK="GPU_FALLBACK")
    )
    config = types.SimpleNamespace(can_run_on_DLA=lambda layer: layer < capable, set_flag=flags.append, flags=flags)
    network = types.SimpleNamespace(num_layers=layers, get_layer=lambda index: index)
    return tensorrt, types.SimpleNamespace(num_DLA_cores=cores), config, network


def test_dla_counts_what_falls_back(caplog: pytest.LogCaptureFixture) -> None:
    tensorrt, builder, config, network = dla_parts(10, 7)
    assert configure_dla(tensorrt, builder, config, network, 1) == (7, 10)
    assert (config.default_device_type, config.DLA_core, config.flags) == ("DLA", 1, ["GPU_FALLBACK"])
    assert "DLA core 1 takes 7 of 10 layers" in caplog.text


def test_dla_that_is_not_there_or_takes_nothing() -> None:
    with pytest.raises(DeviceUnavailable, match="no DLA core 0"):
        configure_dla(*dla_parts(10, 7, cores=0), 0)
    with pytest.raises(DeviceUnavailable, match="no layer"):
        configure_dla(*dla_parts(10, 0), 0)


# --- the cache names what an engine was built for


@pytest.mark.parametrize(
    ("field", "value"), [("tensorrt", "8.6.2"), ("l4t", "36.3.0"), ("gpu", "Xavier"), ("compute_capability", "7.2")]
)
def test_an_engine_for_another_system_is_named(tmp_path: Path, field: str, value: str) -> None:
    cache = EngineCache(tmp_path)
    here = EngineKey("ab" * 32, "int8", "Orin", "8.7", "10.3.0", "36.4.3")
    path = cache.store(EngineKey(**{**here.__dict__, field: value}), b"engine")
    found = cache.load(here)
    assert isinstance(found, CacheMiss)
    assert found.why.startswith(path.name)
    assert f"was built for {field} {value!r}" in found.why
    assert repr(here.__dict__[field]) in found.why


def test_an_engine_for_another_graph_is_not_worth_a_word(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    key = EngineKey("ab" * 32, "int8", "Orin", "8.7", "10.3.0", "36.4.3")
    cache.store(EngineKey(**{**key.__dict__, "graph_sha256": "cd" * 32}), b"engine")
    (tmp_path / "other.engine.json").write_text("[]")
    found = cache.load(key)
    assert isinstance(found, CacheMiss)
    assert found.why == "none was built on this device yet"


# --- int8 and fp16 side by side


def row(precision: str, status: str, median_ms: float) -> TargetRow:
    return TargetRow("tensorrt", precision, status, median_ms=median_ms)


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([row("int8", "pass", 2.0), row("fp16", "pass", 1.5)], "fp16"),
        ([row("int8", "pass", 1.0), row("fp16", "pass", 1.5)], "int8"),
        ([row("int8", "miss", 1.0), row("fp16", "pass", 1.5)], "fp16"),
        ([row("int8", "miss", 1.0), row("fp16", "miss", 1.5), row("fp32", "pass", 4.0)], "fp32"),
    ],
)
def test_the_faster_precision_at_equal_verdict_is_recommended(rows: list[TargetRow], best: str) -> None:
    recommended = Verification((), tuple(rows)).recommended()
    assert recommended is not None
    assert recommended.precision == best


def test_half_precision_refuses_what_it_cannot_hold(bundle: Bundle) -> None:
    onnx = pytest.importorskip("onnx")
    from edge_iqa.export.tensorrt_variants import half_precision

    model = onnx.load_model_from_string(bundle.files["model.onnx"])
    bias = next(item for item in model.graph.initializer if item.name.endswith("bias"))
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] = 1e6
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    with pytest.raises(GraphUnsupported, match="float16"):
        half_precision(model)
