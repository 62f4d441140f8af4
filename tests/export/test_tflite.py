"""The TFLite file that is written: exact integers and scales, contract, layout, and the backend that runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("flatbuffers")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edge_iqa.backends.tflite import TfliteBackend
from edge_iqa.errors import BundleRefused, DeviceUnavailable, InvalidInput
from edge_iqa.export.qdq import unsigned_dialect
from edge_iqa.export.tflite import convert_graph, onnx_to_tflite, write_tflite

from .tflite_graphs import (
    STEP,
    Graph,
    assert_same,
    operators,
    pictures,
    pointwise,
    read,
    run_onnx,
    run_tflite,
    scoring_graph,
)


@pytest.mark.parametrize("bits", ["int8", "uint8"])
def test_int32_bias_is_carried_as_it_is(bits: str) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 4, 5, 5)))
    scales = np.array([0.004, 0.002, 0.01], np.float32)
    steps = np.array([700, -1234, 55], np.int32)
    products = graph.constant((scales * np.float32(STEP)).astype(np.float32))
    bias = graph.node("DequantizeLinear", graph.constant(steps), products, axis=0)
    integers = graph.rng.integers(-63, 64, (3, 4, 1, 1)).astype(np.int8)
    y = pointwise(graph, x, scales, bias, integers)
    content = assert_same(graph.model(y, (1, 3, 5, 5)), {"x": graph.picture((1, 4, 5, 5))}, STEP * 1.001)
    model = read(content)
    stored = {bytes(item.data) for item in model.buffers if item.data is not None}
    assert steps.tobytes() in stored
    assert integers.transpose(0, 2, 3, 1).tobytes() in stored


def test_scales_are_carried_exactly() -> None:
    graph = Graph("uint8")
    x = graph.activation(graph.input("x", (1, 4, 5, 5)), 0.05000001)
    scales = np.array([0.0041, 0.0023, 0.0107], np.float32)
    integers = graph.rng.integers(-63, 64, (3, 4, 1, 1)).astype(np.int8)
    y = pointwise(graph, x, scales, graph.vector(3), integers)
    tensors = read(convert_graph(graph.model(y, (1, 3, 5, 5)))).subgraphs[0].tensors
    found = {
        tuple(np.asarray(item.quantization.scale, np.float32)): list(item.quantization.zeroPoint)
        for item in tensors
        if item.quantization is not None and item.quantization.scale is not None
    }
    assert found[(np.float32(0.05000001),)] == [0]  # uint8 with zero-point 128
    assert found[tuple(scales)] == [0, 0, 0]


@pytest.mark.parametrize("bias", [0.7, -0.7])
def test_dead_channel_keeps_its_bias(bias: float) -> None:
    graph = Graph("int8")
    x = graph.activation(graph.input("x", (1, 4, 5, 5)))
    scales = np.array([0.004, 1e-10, 0.01], np.float32)
    integers = graph.rng.integers(-63, 64, (3, 4, 1, 1)).astype(np.int8)
    y = pointwise(graph, x, scales, graph.constant(np.array([0.1, bias, 0.2], np.float32)), integers)
    model, feeds = graph.model(y, (1, 3, 5, 5)), {"x": graph.picture((1, 4, 5, 5))}
    content = assert_same(model, feeds, STEP * 1.001)
    np.testing.assert_allclose(run_tflite(content, feeds)[0, 1], bias, atol=1e-6)


@pytest.mark.parametrize(("dialect", "bound"), [("float", 1e-5), ("signed", 0.005), ("unsigned", 0.005)])
def test_scoring_graph_keeps_contract_and_score(dialect: str, bound: float) -> None:
    model = scoring_graph("float" if dialect == "float" else "int8")
    if dialect == "unsigned":
        model = unsigned_dialect(model)
    content = onnx_to_tflite(model)
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (image,), (score,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["name"], image["dtype"], list(image["shape"])) == ("image", np.uint8, [1, 16, 20, 3])
    assert (score["name"], score["dtype"], list(score["shape"])) == ("score", np.float32, [1, 1])
    assert interpreter.get_signature_list()["serving_default"] == {"inputs": ["image"], "outputs": ["score"]}
    assert "TRANSPOSE" not in operators(content)
    expected = [run_onnx(model, {"image": picture}).item() for picture in pictures(8)]
    found = [run_tflite(content, {"image": picture}).item() for picture in pictures(8)]
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=bound)


def test_file_is_identified_aligned_and_reproducible(tmp_path: Path) -> None:
    source, target = tmp_path / "model.onnx", tmp_path / "model.tflite"
    onnx.save(scoring_graph("int8"), source)
    write_tflite(source, target)
    content = target.read_bytes()
    assert content[4:8] == b"TFL3"
    assert content == onnx_to_tflite(onnx.load(source))
    model = schema.Model.GetRootAs(content, 0)
    sizes = 0
    for position in range(model.BuffersLength()):
        buffer = model.Buffers(position)
        if buffer.DataLength():
            sizes += 1
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0
    assert sizes > 4


def test_backend_scores_and_refuses() -> None:
    model = scoring_graph("int8")
    backend = TfliteBackend({"model.int8.tflite": onnx_to_tflite(model)}, threads=1)
    (picture,) = pictures(1)
    assert backend.infer(picture) == pytest.approx(run_onnx(model, {"image": picture}).item(), abs=0.005)
    assert backend.infer(picture) == backend.infer(picture)
    assert backend.version
    with pytest.raises(InvalidInput):
        backend.infer(picture[:, :8])
    backend.close()
    backend.close()
    with pytest.raises(DeviceUnavailable):
        backend.infer(picture)


def test_backend_refuses_a_broken_file() -> None:
    content = onnx_to_tflite(scoring_graph("float"))
    for broken in (b"", content[: len(content) // 2], b"TFL3" * 100):
        with pytest.raises(BundleRefused):
            TfliteBackend({"model.tflite": broken}, threads=1)


def test_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TfliteBackend.unavailable() is None
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    reason = TfliteBackend.unavailable()
    assert reason is not None
    assert "edge-iqa[tflite]" in reason
