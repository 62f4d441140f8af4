"""What the TFLite writer cannot express exactly is refused in words, and nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

pytest.importorskip("ai_edge_litert")
pytest.importorskip("flatbuffers")

from edge_iqa.errors import GraphUnsupported, MissingDependency, ModelRefused
from edge_iqa.export.tflite import convert_graph, onnx_to_tflite, write_tflite

from .tflite_graphs import Graph, pointwise, scoring_graph


def test_bias_beyond_int32_is_refused() -> None:
    graph = Graph("int8")
    x = graph.activation(graph.input("x", (1, 4, 5, 5)))
    scales = np.array([0.004, 1e-4], np.float32)
    integers = np.full((2, 4, 1, 1), 63, np.int8)
    y = pointwise(graph, x, scales, graph.constant(np.array([0.1, 1e5], np.float32)), integers)
    with pytest.raises(GraphUnsupported, match="int32"):
        convert_graph(graph.model(y, (1, 2, 5, 5)))


def test_unknown_operator_is_refused_by_name_and_nothing_written(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.node("Cast", graph.input("image", (1, 4, 4, 3), TensorProto.UINT8), to=TensorProto.FLOAT)
    x = graph.node("Cos", graph.node("ReduceMean", x, graph.constant(np.array([1, 2, 3])), keepdims=0))
    model = graph.model(graph.node("Reshape", x, graph.constant(np.array([1, 1]))), (1, 1), "score")
    source, target = tmp_path / "model.onnx", tmp_path / "model.tflite"
    onnx.save(model, source)
    with pytest.raises(GraphUnsupported, match=r"node_cos_2.*Cos"):
        write_tflite(source, target)
    assert not target.exists()


def test_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(b"not a graph at all")
    with pytest.raises(ModelRefused):
        write_tflite(source, tmp_path / "model.tflite")
    with pytest.raises(ModelRefused):
        write_tflite(tmp_path / "absent.onnx", tmp_path / "model.tflite")


def test_other_contract_is_refused() -> None:
    graph = Graph()
    y = graph.node("Sigmoid", graph.input("image", (1, 1)))
    with pytest.raises(GraphUnsupported, match="contract"):
        onnx_to_tflite(graph.model(y, (1, 1), "score"))


def test_a_clip_without_a_limit_is_refused() -> None:
    graph = Graph()
    y = graph.node("Clip", graph.input("x", (1, 4)), graph.constant(np.float32(0)))
    with pytest.raises(GraphUnsupported, match="both limits"):
        convert_graph(graph.model(y, (1, 4)))


@pytest.mark.parametrize(
    ("kind", "attributes", "size", "rule"),
    [
        ("Conv", {"group": 2}, 5, "groups"),
        ("Conv", {"auto_pad": "SAME_LOWER"}, 7, "padding"),
        ("MaxPool", {"kernel_shape": [3, 3], "ceil_mode": 1}, 5, "ceil_mode"),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}, 5, "dilation"),
    ],
)
def test_inexpressible_attributes_are_refused(kind: str, attributes: dict[str, Any], size: int, rule: str) -> None:
    graph = Graph()
    inputs = [graph.input("x", (1, 4, 7, 7))]
    if kind == "Conv":
        inputs.append(graph.weight((4, 4 // attributes.get("group", 1), 3, 3)))
    y = graph.node(kind, *inputs, **attributes)
    with pytest.raises(GraphUnsupported, match=rule):
        convert_graph(graph.model(y, (1, 4, size, size)))


def test_asymmetric_weights_are_refused() -> None:
    graph = Graph("int8")
    x = graph.activation(graph.input("x", (1, 4, 5, 5)))
    integers = graph.constant(np.ones((2, 4, 1, 1), np.int8))
    scale, zero_point = graph.constant(np.float32(0.1)), graph.constant(np.int8(3))
    weight = graph.node("DequantizeLinear", integers, scale, zero_point)
    y = graph.activation(graph.node("Conv", x, weight))
    with pytest.raises(GraphUnsupported, match="symmetric"):
        convert_graph(graph.model(y, (1, 2, 5, 5)))


def test_integers_read_with_another_scale_are_refused() -> None:
    graph = Graph()
    zero_point = graph.constant(np.int8(0))
    q = graph.node("QuantizeLinear", graph.input("x", (1, 4)), graph.constant(np.float32(0.1)), zero_point)
    y = graph.node("DequantizeLinear", q, graph.constant(np.float32(0.2)), zero_point)
    with pytest.raises(GraphUnsupported, match="QuantizeLinear before it"):
        convert_graph(graph.model(y, (1, 4)))


def test_pixels_read_with_two_scales_are_refused() -> None:
    graph = Graph()
    picture, zero_point = graph.input("image", (1, 4), TensorProto.UINT8), graph.constant(np.uint8(127))
    read = [graph.node("DequantizeLinear", picture, graph.constant(np.float32(s)), zero_point) for s in (0.1, 0.2)]
    with pytest.raises(GraphUnsupported, match="stand for other numbers"):
        convert_graph(graph.model(graph.node("Add", *read), (1, 4)))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scoring_graph("float")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(MissingDependency) as caught:
        onnx_to_tflite(model)
    assert "edge-iqa[export]" in caught.value.fix
