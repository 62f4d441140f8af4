"""The TFLite writer against ONNX Runtime: operator by operator, in float and in both int8 dialects."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

pytest.importorskip("ai_edge_litert")
pytest.importorskip("flatbuffers")

from edge_iqa.export.tflite import convert_graph

from .tflite_graphs import FLOAT_TOLERANCE, STEP, Graph, assert_same, operators, tolerance_of

every_kind = pytest.mark.parametrize("bits", ["float", "int8", "uint8"])


@every_kind
@pytest.mark.parametrize("size", [(8, 9), (9, 8), (7, 7)])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads"),
    [
        (3, 2, (0, 0, 1, 1)),
        (3, 2, (1, 1, 1, 1)),
        (5, 2, (1, 1, 2, 2)),
        (3, 1, (1, 1, 1, 1)),
        (1, 1, (0, 0, 0, 0)),
        (1, 2, (0, 0, 0, 0)),
        (7, 2, (3, 3, 3, 3)),
        (3, 1, (0, 2, 1, 0)),
    ],
)
def test_convolution_pads_as_onnx_does(
    bits: str, size: tuple[int, int], kernel: int, stride: int, pads: tuple[int, ...]
) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 3, *size)))
    y = graph.node(
        "Conv",
        x,
        graph.weight((8, 3, kernel, kernel)),
        graph.vector(8),
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=list(pads),
    )
    y = graph.activation(graph.node("Relu", y))
    out = [(size[k] + pads[k] + pads[k + 2] - kernel) // stride + 1 for k in (0, 1)]
    feeds = {"x": graph.picture((1, 3, *size))}
    content = assert_same(graph.model(y, (1, 8, *out)), feeds, tolerance_of(bits))
    assert "RELU" not in operators(content)


@pytest.mark.parametrize("alone", [False, True])
def test_clip_to_six_is_relu6(alone: bool) -> None:
    graph = Graph()
    x = graph.input("x", (1, 3, 8, 8))
    y = x if alone else graph.node("Conv", x, graph.constant(np.full((4, 3, 1, 1), 5, np.float32)))
    limits = graph.constant(np.float32(0)), graph.constant(np.float32(6))
    channels = 3 if alone else 4
    model = graph.model(graph.node("Clip", y, *limits), (1, channels, 8, 8))
    feeds = {"x": 9 * graph.picture((1, 3, 8, 8))}
    content = assert_same(model, feeds, FLOAT_TOLERANCE)
    assert ("RELU6" in operators(content)) is alone


@pytest.mark.parametrize(("least", "most"), [(0.0, 2.5), (-1.5, 1.0)])
@pytest.mark.parametrize("alone", [False, True])
def test_clip_to_other_limits_is_a_maximum_and_a_minimum(alone: bool, least: float, most: float) -> None:
    graph = Graph()
    x = graph.input("x", (1, 3, 8, 8))
    y = x if alone else graph.node("Conv", x, graph.constant(np.full((4, 3, 1, 1), 5, np.float32)))
    y = graph.node("Clip", y, graph.constant(np.float32(least)), graph.constant(np.float32(most)))
    model = graph.model(y, (1, 3 if alone else 4, 8, 8))
    content = assert_same(model, {"x": 9 * graph.picture((1, 3, 8, 8)) - 4}, FLOAT_TOLERANCE)
    assert {"MAXIMUM", "MINIMUM"} <= set(operators(content))


@pytest.mark.parametrize(("size", "padded"), [(8, True), (7, False)])
def test_pad_operator_only_where_same_differs(size: int, padded: bool) -> None:
    graph = Graph()
    x = graph.input("x", (1, 3, size, size))
    y = graph.node("Conv", x, graph.weight((4, 3, 3, 3)), strides=[2, 2], pads=[1, 1, 1, 1])
    assert ("PAD" in operators(convert_graph(graph.model(y, (1, 4, 4, 4))))) is padded


@every_kind
@pytest.mark.parametrize(
    ("stride", "pads", "multiplier"), [(1, (1, 1, 1, 1), 1), (2, (0, 0, 1, 1), 1), (1, (1, 1, 1, 1), 2)]
)
def test_depthwise_convolution(bits: str, stride: int, pads: tuple[int, ...], multiplier: int) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 6, 8, 10)))
    weight, bias = graph.weight((6 * multiplier, 1, 3, 3)), graph.vector(6 * multiplier)
    y = graph.node("Conv", x, weight, bias, group=6, strides=[stride] * 2, pads=list(pads))
    model = graph.model(graph.activation(y), (1, 6 * multiplier, 8 // stride, 10 // stride))
    content = assert_same(model, {"x": graph.picture((1, 6, 8, 10))}, tolerance_of(bits))
    assert "DEPTHWISE_CONV_2D" in operators(content)


@every_kind
def test_dilated_convolution_without_bias(bits: str) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 3, 9, 9)))
    y = graph.node("Conv", x, graph.weight((4, 3, 3, 3)), dilations=[2, 2], pads=[2, 2, 2, 2])
    model = graph.model(graph.activation(y), (1, 4, 9, 9))
    assert_same(model, {"x": graph.picture((1, 3, 9, 9))}, tolerance_of(bits))


@every_kind
@pytest.mark.parametrize("relu", [False, True])
def test_residual_add(bits: str, relu: bool) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 4, 6, 6)))
    y = graph.activation(graph.node("Conv", x, graph.weight((4, 4, 1, 1)), graph.vector(4)), 0.03)
    total = graph.node("Add", y, x)
    total = graph.activation(graph.node("Relu", total) if relu else total, 0.07)
    feeds = {"x": graph.picture((1, 4, 6, 6))}
    one_step_of_each = tolerance_of(bits, 0.07 + 0.03)
    content = assert_same(graph.model(total, (1, 4, 6, 6)), feeds, one_step_of_each)
    assert "RELU" not in operators(content)


@every_kind
@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("relu", [False, True])
def test_max_pool_ignores_its_padding(bits: str, size: int, relu: bool) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 4, size, size)))
    weight, bias = graph.weight((6, 4, 1, 1)), graph.constant(np.full(6, -2, np.float32))
    y = graph.node("Conv", x, weight, bias)
    y = graph.activation(graph.node("Relu", y) if relu else y)
    pooled = graph.node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    out = (size - 1) // 2 + 1
    model = graph.model(graph.activation(pooled), (1, 6, out, out))
    content = assert_same(model, {"x": graph.picture((1, 4, size, size))}, tolerance_of(bits))
    assert ("PADV2" in operators(content)) is (size == 8 and not relu)
    if bits != "float":
        assert operators(content).count("QUANTIZE") == 1  # of the input alone


@every_kind
def test_head_of_means_concat_gemm_sigmoid(bits: str) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 3, 8, 8)))
    taps = []
    for channels in (4, 5):
        tap = graph.node("Relu", graph.node("Conv", x, graph.weight((channels, 3, 1, 1))))
        axes = graph.constant(np.array([2, 3]))
        taps.append(graph.node("ReduceMean", graph.activation(tap), axes, keepdims=0))
    weight = graph.constant(graph.rng.normal(0, 0.5, (2, 9)).astype(np.float32))
    y = graph.node("Gemm", graph.node("Concat", *taps, axis=1), weight, graph.vector(2), transB=1)
    model, feeds = graph.model(graph.node("Sigmoid", y), (1, 2)), {"x": graph.picture((1, 3, 8, 8))}
    content = assert_same(model, feeds, FLOAT_TOLERANCE if bits == "float" else 0.02)
    assert operators(content).count("TRANSPOSE") == 1  # of the channels-first input alone


@pytest.mark.parametrize("bits", ["int8", "uint8"])
@pytest.mark.parametrize("outputs_first", [True, False])
def test_integer_gemm_and_mean(bits: str, outputs_first: bool) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 8, 4, 4)))
    pooled = graph.activation(graph.node("GlobalAveragePool", x), 0.02)
    flat = graph.node("Flatten", pooled)
    shape, axis = ((5, 8), 0) if outputs_first else ((8, 5), 1)
    y = graph.node("Gemm", flat, graph.weight(shape, axis), graph.vector(5), transB=int(outputs_first))
    model = graph.model(graph.activation(y), (1, 5))
    content = assert_same(model, {"x": graph.picture((1, 8, 4, 4))}, STEP * 1.001)
    assert operators(content).count("DEQUANTIZE") == 1  # of the output alone


@every_kind
def test_attention_pool(bits: str) -> None:
    graph = Graph(bits)
    x = graph.activation(graph.input("x", (1, 3, 4, 5)))
    feature = graph.activation(graph.node("Relu", graph.node("Conv", x, graph.weight((8, 3, 1, 1)))))
    flat = graph.node("Reshape", feature, graph.constant(np.array([1, 8, 20])))
    tokens = graph.node("Transpose", flat, perm=[0, 2, 1])
    mean = graph.node("ReduceMean", tokens, graph.constant(np.array([1])), keepdims=1)
    tokens = graph.node("Concat", mean, tokens, axis=1)

    def heads(source: str, perm: list[int]) -> str:
        weight = graph.constant(graph.rng.normal(0, 0.2, (8, 8)).astype(np.float32))
        linear = graph.node("Add", graph.node("MatMul", source, weight), graph.vector(8))
        split = graph.node("Reshape", linear, graph.constant(np.array([1, -1, 2, 4])))
        return graph.node("Transpose", split, perm=perm)

    scores = graph.node("MatMul", heads(mean, [0, 2, 1, 3]), heads(tokens, [0, 2, 3, 1]))
    scores = graph.node("Mul", scores, graph.constant(np.float32(0.5)))
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), heads(tokens, [0, 2, 1, 3]))
    mixed = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
    y = graph.node("Reshape", mixed, graph.constant(np.array([1, 8])))
    feeds = {"x": graph.picture((1, 3, 4, 5))}
    assert_same(graph.model(y, (1, 8)), feeds, FLOAT_TOLERANCE if bits == "float" else STEP)


def test_reshape_of_a_map_sees_channels_first() -> None:
    graph = Graph()
    x = graph.input("x", (1, 3, 4, 5))
    y = graph.node("Conv", x, graph.weight((6, 3, 1, 1)))
    y = graph.node("Reshape", y, graph.constant(np.array([1, 3, 40])))
    assert_same(graph.model(y, (1, 3, 40)), {"x": graph.picture((1, 3, 4, 5))}, FLOAT_TOLERANCE)


def test_constants_are_broadcast_in_the_maps_order() -> None:
    graph = Graph()
    x = graph.input("x", (1, 3, 4, 5))
    y = graph.node("Conv", x, graph.weight((6, 3, 1, 1)))
    y = graph.node("Mul", y, graph.constant(graph.rng.normal(size=(6, 1, 1)).astype(np.float32)))
    y = graph.node("Sub", graph.constant(graph.rng.normal(size=5).astype(np.float32)), y)
    y = graph.node("Softmax", graph.node("Relu", y), axis=2)
    y = graph.node("Concat", y, x, axis=1)
    assert_same(graph.model(y, (1, 9, 4, 5)), {"x": graph.picture((1, 3, 4, 5))}, FLOAT_TOLERANCE)


def test_layer_left_in_float_between_integer_layers() -> None:
    graph = Graph("int8")
    x = graph.activation(graph.input("x", (1, 3, 6, 6)))
    y = graph.activation(graph.node("Conv", x, graph.weight((4, 3, 1, 1))))
    weight = graph.constant(graph.rng.normal(0, 0.3, (4, 4, 3, 3)).astype(np.float32))
    y = graph.activation(graph.node("Conv", y, weight, pads=[1, 1, 1, 1]))
    y = graph.activation(graph.node("Conv", y, graph.weight((2, 4, 1, 1))))
    feeds = {"x": graph.picture((1, 3, 6, 6))}
    content = assert_same(graph.model(y, (1, 2, 6, 6)), feeds, 3 * STEP)
    assert operators(content).count("DEQUANTIZE") == 2


def test_pixels_read_as_they_are_keep_all_their_values() -> None:
    graph = Graph("uint8")
    picture = graph.input("image", (1, 16, 16, 1), TensorProto.UINT8)
    parameters = graph.constant(np.float32(1 / 128)), graph.constant(np.uint8(127))
    y = graph.node("Sigmoid", graph.node("DequantizeLinear", picture, *parameters))
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert_same(graph.model(y, (1, 16, 16, 1)), {"image": values}, FLOAT_TOLERANCE)  # a step would be .002


def test_pixels_read_as_they_are_go_into_integer_kernels() -> None:
    graph = Graph("uint8")
    picture = graph.input("image", (1, 8, 9, 3), TensorProto.UINT8)
    parameters = graph.constant(np.float32(1 / 128)), graph.constant(np.uint8(127))
    channels_first = graph.node("Transpose", picture, perm=[0, 3, 1, 2])
    pixels = graph.node("DequantizeLinear", channels_first, *parameters)
    y = graph.activation(graph.node("Conv", pixels, graph.weight((8, 3, 3, 3)), graph.vector(8), pads=[1] * 4))
    values = np.linspace(0, 255, 8 * 9 * 3).round().astype(np.uint8)
    content = assert_same(graph.model(y, (1, 8, 8, 9)), {"image": values.reshape(1, 8, 9, 3)}, tolerance_of("uint8"))
    assert operators(content)[:3] == ["DEQUANTIZE", "QUANTIZE", "CONV_2D"]
