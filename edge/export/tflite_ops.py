"""One function per ONNX operator that writes it as TFLite operators, and the registry that finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_iqa.export.tflite_builder import TensorScale
from edge_iqa.export.tflite_conversion import CHANNELS_LAST, Conversion
from edge_iqa.export.tflite_convolution import convolution, gemm, matrix_product, max_pool
from edge_iqa.export.tflite_graph import refuse

if TYPE_CHECKING:
    import onnx

Writer = Callable[[Conversion, "onnx.NodeProto"], None]

_INTEGER_ELEMENTWISE = ("ADD", "MUL")  # the ones that run on integers; SUB, seen only on pixels, stays float


def quantize(conversion: Conversion, node: onnx.NodeProto) -> None:
    """QuantizeLinear → nothing where the tensor is quantized so already, else QUANTIZE."""
    if node.input[0] in conversion.graph.constants:
        refuse(node, "constants must be stored as integers")
    scale = conversion.graph.tensor_scale(node)
    value = conversion.value(node, 0)
    if value.quantization != scale:
        value = conversion.derive("QUANTIZE", value, replace(value, quantization=scale))
    conversion.values[node.output[0]] = value


def dequantize(conversion: Conversion, node: onnx.NodeProto) -> None:
    """DequantizeLinear → nothing: the integers stand for the real numbers until an operator needs them.

    Pixels that are read as they are become int8 by way of float: one QUANTIZE would do, but took longer on x86.
    """
    if node.input[0] in conversion.graph.constants:
        conversion.graph.constants[node.output[0]] = conversion.graph.dequantized(node)
        return
    value, scale = conversion.value(node, 0), conversion.graph.tensor_scale(node)
    if value.quantization is None and conversion.graph.element_type(node.input[0]) == "UINT8":
        try:
            conversion.builder.set_scale(value.index, TensorScale(scale.scale, scale.zero_point + 128))
        except ValueError as error:
            refuse(node, str(error))
        value = conversion.derive("DEQUANTIZE", value, value)
        value = conversion.derive("QUANTIZE", value, replace(value, quantization=scale))
    if value.quantization != scale:
        refuse(node, "its scale and zero-point must be those of the QuantizeLinear before it")
    conversion.values[node.output[0]] = value


def cast(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Cast of the uint8 picture to float → CAST."""
    types = conversion.graph.element_type(node.input[0]), conversion.graph.element_type(node.output[0])
    if types != ("UINT8", "FLOAT"):
        refuse(node, f"only uint8 to float32, not {types[0]} to {types[1]}")
    builder = conversion.builder
    x = conversion.value(node, 0)
    conversion.emit(
        "CAST",
        [x.index],
        node.output[0],
        x.axes,
        nonnegative=True,
        inDataType=builder.schema_value("TensorType", "UINT8"),
        outDataType=builder.schema_value("TensorType", "FLOAT32"),
    )


def elementwise(kind: str) -> Writer:
    """Add, Mul, Sub → the operator of that kind, of two computed tensors or of one and a constant."""

    def write(conversion: Conversion, node: onnx.NodeProto) -> None:
        names = list(node.input)
        computed = [conversion.values[name] for name in names if name in conversion.values]
        if not computed:
            refuse(node, "one side must be computed")
        target = conversion.target(node)
        rank = len(conversion.graph.shape(target.name))
        axes = computed[0].axes
        if any(len(x.shape) != rank for x in computed):
            refuse(node, "computed sides must have as many dimensions as the result")
        integer = (
            kind in _INTEGER_ELEMENTWISE
            and target.quantization is not None
            and len(computed) == 2
            and all(x.quantization is not None for x in computed)
        )
        inputs = []
        for position, name in enumerate(names):
            if name in conversion.values:
                x = conversion.arranged(conversion.values[name], axes)
                inputs.append((x if integer else conversion.real(x)).index)
            else:
                constant = conversion.graph.constant(node, position, "other side").real()
                inputs.append(conversion.constant(_aligned(constant, axes)))
        conversion.emit_activated(kind, inputs, target, axes, target.quantization if integer else None)

    return write


def unary(kind: str) -> Writer:
    """Sigmoid, RELU and RELU6 → the operator of that kind, in float."""

    def write(conversion: Conversion, node: onnx.NodeProto) -> None:
        x = conversion.real(conversion.value(node, 0))
        conversion.emit(kind, [x.index], node.output[0], x.axes, nonnegative=True)

    return write


def activation(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Relu or Clip that no operator before it took in → RELU, RELU6, or MAXIMUM and MINIMUM, in float."""
    kind = conversion.activation(node)
    if kind is not None:
        unary(kind)(conversion, node)
        return
    least, most = conversion.limits(node)
    x = conversion.real(conversion.value(node, 0))
    lower, upper = (conversion.constant(np.array(limit, np.float32)) for limit in (least, most))
    raised = conversion.derive("MAXIMUM", x, x, lower)
    conversion.emit("MINIMUM", [raised.index, upper], node.output[0], x.axes, nonnegative=least >= 0)


def softmax(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Softmax → SOFTMAX, which works along the last stored dimension."""
    x = conversion.real(conversion.value(node, 0))
    rank = len(x.shape)
    axis = int(conversion.graph.attributes(node).get("axis", -1)) % rank
    if x.axes[-1] != axis:
        x = conversion.arranged(x, (*(other for other in x.axes if other != axis), axis))
    conversion.emit("SOFTMAX", [x.index], node.output[0], x.axes, nonnegative=True, beta=1.0)


def mean(conversion: Conversion, node: onnx.NodeProto) -> None:
    """ReduceMean and GlobalAveragePool → MEAN."""
    attributes = conversion.graph.attributes(node)
    x = conversion.value(node, 0)
    rank = len(x.shape)
    if node.op_type == "GlobalAveragePool":
        reduced, keep = list(range(2, rank)), True
    else:
        stated = conversion.graph.optional(node, 1, "list of axes")
        if stated is None or stated.values.size == 0:
            refuse(node, "its axes must be stated")
        reduced = [int(axis) % rank for axis in stated.values.reshape(-1)]
        keep = bool(attributes.get("keepdims", 1))
    quantization = conversion.quantized_by(node.output[0]) if x.quantization is not None else None
    if quantization is None:
        x = conversion.real(x)
    kept = [axis for axis in range(rank) if keep or axis not in reduced]
    axes = tuple(kept.index(axis) for axis in x.axes if axis in kept)
    stored_axes = sorted(x.axes.index(axis) for axis in reduced)
    conversion.emit(
        "MEAN",
        [x.index, conversion.integers(stored_axes)],
        node.output[0],
        axes,
        quantization,
        nonnegative=x.nonnegative,
        keepDims=keep,
    )


def transpose(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Transpose → nothing: only the meaning of the stored dimensions changes, until an order is needed."""
    x = conversion.value(node, 0)
    rank = len(x.shape)
    order = [int(axis) for axis in conversion.graph.attributes(node).get("perm", range(rank)[::-1])]
    conversion.values[node.output[0]] = replace(
        x, shape=tuple(x.shape[axis] for axis in order), axes=tuple(order.index(axis) for axis in x.axes)
    )


def reshape(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze → RESHAPE."""
    x = conversion.value(node, 0)
    shape = conversion.graph.shape(node.output[0])
    if x.axes == CHANNELS_LAST and len(shape) == 3 and shape[:2] == x.shape[:2]:
        # (N, C, H, W) → (N, C, H * W), stored as (N, H, W, C) → (N, H * W, C): the numbers stay in place.
        result = replace(x, shape=shape, axes=(0, 2, 1))
    else:
        x = conversion.identity(x)
        result = replace(x, shape=shape, axes=tuple(range(len(shape))))
    conversion.values[node.output[0]] = conversion.reshaped(x, result)


def concatenate(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Concat of computed tensors → CONCATENATION, on integers where all share one scale."""
    parts = [conversion.value(node, position) for position in range(len(node.input))]
    axes = parts[0].axes
    axis = int(conversion.graph.attributes(node)["axis"]) % len(axes)
    quantization = parts[0].quantization
    if any(part.quantization != quantization for part in parts):
        quantization = None
        parts = [conversion.real(part) for part in parts]
    parts = [conversion.arranged(part, axes) for part in parts]
    conversion.emit(
        "CONCATENATION",
        [part.index for part in parts],
        node.output[0],
        axes,
        quantization,
        nonnegative=all(part.nonnegative for part in parts),
        axis=axes.index(axis),
    )


def _aligned(constant: NDArray[np.float32], axes: tuple[int, ...]) -> NDArray[np.float32]:
    """Give a constant the rank and the order of the tensor it is combined with."""
    full_rank = constant.reshape((1,) * (len(axes) - constant.ndim) + constant.shape)
    return np.ascontiguousarray(full_rank.transpose(axes))


WRITERS: dict[str, Writer] = {
    "Add": elementwise("ADD"),
    "Cast": cast,
    "Clip": activation,
    "Concat": concatenate,
    "Conv": convolution,
    "DequantizeLinear": dequantize,
    "Flatten": reshape,
    "Gemm": gemm,
    "GlobalAveragePool": mean,
    "MatMul": matrix_product,
    "MaxPool": max_pool,
    "Mul": elementwise("MUL"),
    "QuantizeLinear": quantize,
    "ReduceMean": mean,
    "Relu": activation,
    "Reshape": reshape,
    "Sigmoid": unary("LOGISTIC"),
    "Softmax": softmax,
    "Squeeze": reshape,
    "Sub": elementwise("SUB"),
    "Transpose": transpose,
    "Unsqueeze": reshape,
}
"""ONNX operator → the function that writes it."""


def write_node(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Write one ONNX node; raises GraphUnsupported where TFLite has no exact counterpart."""
    writer = WRITERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if writer is None:
        refuse(node, f"the operators known are {', '.join(sorted(WRITERS))}")
    writer(conversion, node)
