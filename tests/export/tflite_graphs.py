"""Small ONNX graphs, float and int8, and their results in ONNX Runtime and, converted, in TFLite."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_iqa.export.tflite import convert_graph

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


def pointwise(graph: Graph, x: str, scales: Array, bias: str, integers: Array) -> str:
    zero_points = graph.constant(np.zeros(len(scales), np.int8))
    weight = graph.node("DequantizeLinear", graph.constant(integers), graph.constant(scales), zero_points, axis=0)
    return graph.activation(graph.node("Conv", x, weight, bias))


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
