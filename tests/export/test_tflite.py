"""The TFLite writer against ONNX Runtime: operator by operator, in float and in both int8 dialects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("ai_edge_litert")
pytest.importorskip("flatbuffers")

import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edge_iqa.backends.tflite import TfliteBackend
from edge_iqa.errors import (
    BundleRefused,
    DeviceUnavailable,
    GraphUnsupported,
    InvalidInput,
    MissingDependency,
    ModelRefused,
)
from edge_iqa.export.qdq import unsigned_dialect
from edge_iqa.export.tflite import convert_graph, onnx_to_tflite, write_tflite

Array = NDArray[Any]
STEP = 0.05  # the scale of activations in these graphs
FLOAT_TOLERANCE = 2e-5
KERNELS = {
    "xnnpack": OpResolverType.AUTO,
    "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


class Graph:
    """A small ONNX graph under construction, with seeded weights; ``bits`` is float, int8 or uint8."""

    def __init__(self, bits: str = "float", seed: int = 7) -> None:
        self.bits = bits
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.positive: set[str] = set()

    def input(self, name: str, shape: tuple[int, ...], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: ArrayLike) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node_{name}", **attributes))
        if kind == "Relu" or (kind == "MaxPool" and inputs[0] in self.positive):
            self.positive.add(name)
        return name

    def activation(self, x: str, scale: float = STEP) -> str:
        """Quantize and dequantize, in the dialect of this graph; nothing in a float graph."""
        if self.bits == "float":
            return x
        unsigned_zero = 0 if x in self.positive else 128
        zero_point = np.int8(0) if self.bits == "int8" else np.uint8(unsigned_zero)
        parameters = self.constant(np.float32(scale)), self.constant(zero_point)
        result = self.node("DequantizeLinear", self.node("QuantizeLinear", x, *parameters), *parameters)
        if x in self.positive:
            self.positive.add(result)
        return result

    def weight(self, shape: tuple[int, ...], axis: int = 0) -> str:
        integers = self.rng.integers(-63, 64, shape).astype(np.int8)
        scales = self.rng.uniform(0.002, 0.01, shape[axis]).astype(np.float32)
        if self.bits == "float":
            wide = scales.reshape([-1 if k == axis else 1 for k in range(len(shape))])
            return self.constant(integers.astype(np.float32) * wide)
        stored = self.constant(integers), self.constant(scales), self.constant(np.zeros(shape[axis], np.int8))
        return self.node("DequantizeLinear", *stored, axis=axis)

    def vector(self, length: int) -> str:
        return self.constant(self.rng.normal(0, 0.5, length).astype(np.float32))

    def model(self, output: str, shape: tuple[int, ...], name: str = "out") -> onnx.ModelProto:
        for node in self.nodes:
            for position, tensor in enumerate(node.output):
                if tensor == output:
                    node.output[position] = name
            for position, tensor in enumerate(node.input):
                if tensor == output:
                    node.input[position] = name
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "graph", self.inputs, [out], self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model

    def picture(self, shape: tuple[int, ...]) -> Array:
        """Return an input that lies exactly on the activation grid, so that no rounding of it can differ."""
        return (self.rng.integers(-100, 101, shape) * np.float32(STEP)).astype(np.float32)


def run_onnx(model: onnx.ModelProto, feeds: dict[str, Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


def run_tflite(content: bytes, feeds: dict[str, Array], kernels: str = "xnnpack") -> Array:
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=KERNELS[kernels])
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], feeds[details["name"]])
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def assert_same(model: onnx.ModelProto, feeds: dict[str, Array], tolerance: float) -> bytes:
    """Convert and compare on both sets of kernels; the result must vary, or the comparison would be empty."""
    content = convert_graph(model)
    expected = run_onnx(model, feeds)
    assert np.std(expected) > 0.01
    for kernels in KERNELS:
        found = run_tflite(content, feeds, kernels)
        assert found.shape == expected.shape
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() <= tolerance, kernels
    return content


def tolerance_of(bits: str, scale: float = STEP) -> float:
    return FLOAT_TOLERANCE if bits == "float" else scale * 1.001  # one step


def read(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def operators(content: bytes) -> list[str]:
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = read(content)
    return [names[model.operatorCodes[item.opcodeIndex].builtinCode] for item in model.subgraphs[0].operators]


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


def pointwise(graph: Graph, x: str, scales: Array, bias: str, integers: Array) -> str:
    zero_points = graph.constant(np.zeros(len(scales), np.int8))
    weight = graph.node("DequantizeLinear", graph.constant(integers), graph.constant(scales), zero_points, axis=0)
    return graph.activation(graph.node("Conv", x, weight, bias))


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


def test_bias_beyond_int32_is_refused() -> None:
    graph = Graph("int8")
    x = graph.activation(graph.input("x", (1, 4, 5, 5)))
    scales = np.array([0.004, 1e-4], np.float32)
    integers = np.full((2, 4, 1, 1), 63, np.int8)
    y = pointwise(graph, x, scales, graph.constant(np.array([0.1, 1e5], np.float32)), integers)
    with pytest.raises(GraphUnsupported, match="int32"):
        convert_graph(graph.model(y, (1, 2, 5, 5)))


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


def scoring_graph(bits: str, size: tuple[int, int] = (16, 20)) -> onnx.ModelProto:
    """Return a small network with the product's contract: picture in, score out."""
    graph = Graph(bits)
    x = graph.input("image", (1, *size, 3), TensorProto.UINT8)
    x = graph.node("Cast", x, to=TensorProto.FLOAT)
    x = graph.node("Sub", x, graph.constant(np.array([120, 115, 100], np.float32)))
    x = graph.node("Mul", x, graph.constant(np.array([0.017, 0.016, 0.018], np.float32)))
    x = graph.activation(graph.node("Transpose", x, perm=[0, 3, 1, 2]), 0.02)
    y = graph.node("Conv", x, graph.weight((8, 3, 3, 3)), graph.vector(8), strides=[2, 2], pads=[0, 0, 1, 1])
    y = graph.activation(graph.node("Relu", y), 0.03)
    z = graph.node("Conv", y, graph.weight((8, 1, 3, 3)), graph.vector(8), group=8, pads=[1, 1, 1, 1])
    y = graph.activation(graph.node("Add", graph.activation(z, 0.03), y))
    mean = graph.node("ReduceMean", y, graph.constant(np.array([2, 3])), keepdims=0)
    weight = graph.constant(graph.rng.normal(0, 1, (1, 8)).astype(np.float32))
    score = graph.node("Sigmoid", graph.node("Gemm", mean, weight, graph.vector(1), transB=1))
    return graph.model(score, (1, 1), "score")


def pictures(count: int, size: tuple[int, int] = (16, 20)) -> list[Array]:
    rng = np.random.default_rng(3)
    blocks = rng.integers(0, 256, (count, 1, size[0] // 4, size[1] // 4, 3)).astype(np.uint8)
    return [block.repeat(4, axis=1).repeat(4, axis=2) for block in blocks]


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


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scoring_graph("float")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(MissingDependency) as caught:
        onnx_to_tflite(model)
    assert "edge-iqa[export]" in caught.value.fix


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
