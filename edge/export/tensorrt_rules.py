"""The rules of ``check_tensorrt_graph``, one function each, on a graph with its producers and consumers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.export.graph_view import GraphView

OLDEST_OPSET = 9
NEWEST_OPSET = 20  # TensorRT 10.3
# Operators whose operand at this position is a list of integers and must be constant.
INTEGER_OPERANDS: dict[str, tuple[int, ...]] = {
    "Expand": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "Unsqueeze": (1,),
}


@dataclass(frozen=True)
class Finding:
    """One breach of a rule: the rule's name, the node (or tensor) it is about, and what is wrong there."""

    rule: str
    node: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.node}: {self.message}"


def label(node: Any) -> str:
    """Return what a node is called in messages."""
    return str(node.name or (node.output[0] if node.output else node.op_type))


def check_types(view: GraphView) -> Iterator[Finding]:
    """Yield breaches of the rules on versions, constants, inputs and outputs."""
    yield from _check_opset(view)
    yield from _check_constants(view)
    yield from _check_input(view)
    yield from _check_output(view)
    yield from _check_operands(view)


def check_quantization(view: GraphView, *, fused_additions: bool = False) -> Iterator[Finding]:
    """Yield breaches of the rules on QuantizeLinear, DequantizeLinear, Conv and residual Add.

    ``fused_additions`` allows one input of an addition to come straight from a convolution that nothing else reads.
    """
    for node in view.graph.node:
        if node.op_type == "QuantizeLinear":
            yield from _check_quantize(view, node)
        elif node.op_type == "DequantizeLinear":
            yield from _check_dequantize(view, node)
        elif node.op_type == "Conv":
            yield from _check_conv(view, node)
        elif node.op_type == "Add":
            yield from _check_residual(view, node, fused_additions)


def _check_opset(view: GraphView) -> Iterator[Finding]:
    for item in view.model.opset_import:
        if item.domain in ("", "ai.onnx") and not OLDEST_OPSET <= item.version <= NEWEST_OPSET:
            message = f"operator set {item.version}; TensorRT 10.3 reads {OLDEST_OPSET} to {NEWEST_OPSET}"
            yield Finding("opset", "graph", message)
    for node in view.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield Finding("domain", label(node), f"{node.domain}.{node.op_type} is not a standard operator")


def _check_constants(view: GraphView) -> Iterator[Finding]:
    from onnx import TensorProto

    for name, item in view.constants.items():
        if item.data_location == TensorProto.EXTERNAL:
            yield Finding("external-data", name, "its values lie in another file")
        kind = TensorProto.DataType.Name(item.data_type)
        if kind in ("INT32", "INT64"):
            for node in view.consumers[name]:
                places = {index for index, operand in enumerate(node.input) if operand == name}
                if not places <= set(INTEGER_OPERANDS.get(node.op_type, ())):
                    yield Finding("constant-type", name, f"{label(node)} computes with {kind}")
        elif kind not in ("FLOAT", "INT8"):
            yield Finding("constant-type", name, f"a constant is {kind}, neither float32 nor int8")


def _check_input(view: GraphView) -> Iterator[Finding]:
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    inputs = [item for item in view.graph.input if item.name not in view.constants]
    if len(inputs) != 1:
        yield Finding("input", "graph", f"{len(inputs)} inputs instead of one")
    for item in inputs:
        yield from _check_shape(item)
        if item.type.tensor_type.elem_type != TensorProto.UINT8:
            yield Finding("input", item.name, "it is not uint8")
            continue
        # TensorRT has uint8 only for inputs and outputs, which must be cast from and to a float.
        for node in view.consumers[item.name]:
            if node.op_type != "Cast" or _attribute(node, "to", 0) not in floats:
                yield Finding("input", label(node), f"{node.op_type} reads uint8; only a Cast to float may")


def _check_output(view: GraphView) -> Iterator[Finding]:
    from onnx import TensorProto

    if len(view.graph.output) != 1:
        yield Finding("output", "graph", f"{len(view.graph.output)} outputs instead of one")
    for item in view.graph.output:
        yield from _check_shape(item)
        if item.type.tensor_type.elem_type != TensorProto.FLOAT:
            yield Finding("output", item.name, "it is not float32")
    for node in view.graph.node:
        if node.op_type == "Cast" and _attribute(node, "to", 0) == TensorProto.UINT8:
            yield Finding("uint8", label(node), "a Cast to uint8 inside the graph")


def _check_shape(item: Any) -> Iterator[Finding]:
    sizes = item.type.tensor_type.shape.dim
    if not sizes or any(size.WhichOneof("value") != "dim_value" or size.dim_value < 1 for size in sizes):
        yield Finding("static-shape", item.name, "its shape is not fixed")


def _check_operands(view: GraphView) -> Iterator[Finding]:
    for node in view.graph.node:
        positions = INTEGER_OPERANDS.get(node.op_type, ())
        if node.op_type == "Conv":
            positions = (2,)
        for index in positions:
            if index < len(node.input) and node.input[index] and node.input[index] not in view.constants:
                yield Finding("constant-operand", label(node), f"operand {index} is computed")


def _check_quantize(view: GraphView, node: Any) -> Iterator[Finding]:
    yield from _check_zero_point(view, node)
    yield from _check_scale(view, node, per_tensor=node.input[0] not in view.constants)
    for reader in view.consumers[node.output[0]]:
        if reader.op_type != "DequantizeLinear":
            yield Finding("pair", label(node), f"{label(reader)} reads the integers directly")


def _check_dequantize(view: GraphView, node: Any) -> Iterator[Finding]:
    yield from _check_zero_point(view, node)
    source = view.producer.get(node.input[0])
    scale = view.values(node.input[1])
    weights = view.stored_weights(node)
    yield from _check_scale(view, node, per_tensor=weights is None)
    if source is not None and source.op_type == "QuantizeLinear":
        theirs = view.values(source.input[1])
        # Weights that are integers already pass through a QuantizeLinear of scale 1.
        prequantized = weights is not None and theirs is not None and bool(np.all(theirs == 1))
        known = scale is not None and theirs is not None
        if known and not prequantized and not np.array_equal(np.asarray(scale), np.asarray(theirs)):
            yield Finding("pair", label(node), f"its scale differs from that of {label(source)}")
    elif weights is None:
        yield Finding("weight", label(node), "it dequantizes what is neither quantized nor constant")
    elif weights.dtype != np.int8:
        yield Finding("weight", label(node), f"its weights are {weights.dtype}, not int8")
    if weights is not None and scale is not None and scale.size > 1:
        yield from _check_channels(view, node, weights, scale)


def _check_channels(view: GraphView, node: Any, weights: NDArray[Any], scale: NDArray[Any]) -> Iterator[Finding]:
    axis = _attribute(node, "axis", 1) % max(weights.ndim, 1)
    if scale.size != weights.shape[axis]:
        yield Finding("weight", label(node), f"{scale.size} scales for {weights.shape[axis]} channels")
    for reader in view.consumers[node.output[0]]:
        if axis != _output_axis(reader, weights.ndim):
            yield Finding("weight", label(node), f"axis {axis} is not the output channel of {label(reader)}")


def _output_axis(reader: Any, rank: int) -> int:
    if reader.op_type == "MatMul":
        return rank - 1
    if reader.op_type == "Gemm":
        return 0 if _attribute(reader, "transB", 0) else 1
    return 1 if reader.op_type == "ConvTranspose" else 0


def _check_zero_point(view: GraphView, node: Any) -> Iterator[Finding]:
    name = node.input[2] if len(node.input) > 2 else ""
    if not name:
        if node.op_type == "QuantizeLinear":
            yield Finding("signed", label(node), "without a zero-point it makes uint8")
        return
    zero_point = view.values(name)
    if zero_point is None:
        yield Finding("zero-point", label(node), "its zero-point is computed")
        return
    if zero_point.dtype != np.int8:
        yield Finding("signed", label(node), f"{zero_point.dtype} instead of int8")
    scale = view.values(node.input[1])
    if scale is not None and scale.size != zero_point.size:
        yield Finding("zero-point", label(node), f"{zero_point.size} zero-points for {scale.size} scales")
    if np.any(zero_point != 0):
        yield Finding("zero-point", label(node), f"its zero-point is {zero_point.reshape(-1)[0]}, not 0")


def _check_scale(view: GraphView, node: Any, *, per_tensor: bool) -> Iterator[Finding]:
    scale = view.values(node.input[1])
    if scale is None:
        yield Finding("scale", label(node), "its scale is computed")
        return
    if scale.dtype != np.float32 or not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        yield Finding("scale", label(node), "its scale is not positive float32")
    if per_tensor and scale.size != 1:
        yield Finding("scale", label(node), f"{scale.size} scales for an activation, which takes one")


def _check_conv(view: GraphView, node: Any) -> Iterator[Finding]:
    if all(view.maker(name) != "DequantizeLinear" for name in node.input[:2]):
        yield Finding("float-conv", label(node), "neither its input nor its weight is quantized: it runs in float")
        return
    for index, role in ((0, "input"), (1, "weight")):
        name = node.input[index]
        if view.maker(name) != "DequantizeLinear":
            yield Finding("conv", label(node), f"its {role} is not quantized, so that it runs in float")
        elif role == "weight" and view.stored_weights(view.producer[name]) is None:
            yield Finding("conv", label(node), "its weight is not a constant")


def _check_residual(view: GraphView, node: Any, fused: bool) -> Iterator[Finding]:
    makers = [view.maker(name) for name in node.input]
    if any(name in view.constants for name in node.input) or not {"DequantizeLinear", "Conv"} & set(makers):
        return
    for name, maker in zip(node.input, makers, strict=True):
        if fused and maker == "Conv" and "DequantizeLinear" in makers and len(view.consumers[name]) == 1:
            continue
        if maker != "DequantizeLinear":
            yield Finding("residual", label(node), f"its input {name} is not quantized")


def _attribute(node: Any, name: str, default: int) -> int:
    return next((int(item.i) for item in node.attribute if item.name == name), default)
