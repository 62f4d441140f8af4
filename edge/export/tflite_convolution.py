"""ONNX operators with weights or windows as TFLite operators: Conv, Gemm, MatMul, MaxPool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_iqa.export.tflite_builder import TensorScale
from edge_iqa.export.tflite_conversion import CHANNELS_LAST, Conversion, Value
from edge_iqa.export.tflite_graph import refuse
from edge_iqa.export.tflite_weights import Layer, integer_scale, layer_tensors

if TYPE_CHECKING:
    import onnx

Pads = tuple[tuple[int, int], tuple[int, int]]

DEPTHWISE_ORDER = (1, 2, 3, 0)
FULLY_CONNECTED_KEEPING_DIMENSIONS = 5  # versions of FULLY_CONNECTED
FULLY_CONNECTED_PER_CHANNEL = 12


def convolution(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Conv with one group → CONV_2D; with one group per input channel → DEPTHWISE_CONV_2D."""
    attributes = conversion.graph.attributes(node)
    x = conversion.value(node, 0)
    weight = conversion.graph.constant(node, 1, "weight")
    if len(x.shape) != 4:
        refuse(node, "only 2-D convolutions")
    outputs, _, *kernel = weight.values.shape
    groups = int(attributes.get("group", 1))
    depthwise = groups > 1
    if depthwise and groups != x.shape[1]:
        refuse(node, "groups must be 1 or one per input channel")
    strides = [int(step) for step in attributes.get("strides", (1, 1))]
    dilations = [int(step) for step in attributes.get("dilations", (1, 1))]
    extent = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]

    # (outputs, inputs / groups, kh, kw) → (1, kh, kw, outputs) or (outputs, kh, kw, inputs)
    layer = Layer(
        weight,
        conversion.graph.optional(node, 2, "bias"),
        outputs_axis=0,
        order=DEPTHWISE_ORDER if depthwise else CHANNELS_LAST,
    )
    target = conversion.target(node)
    x = conversion.arranged(x, CHANNELS_LAST)
    scale = integer_scale(node, layer, x, target)
    if scale is None:
        x = conversion.real(x)
    constants = layer_tensors(conversion, node, layer, x, scale)
    x, padding = _padded(conversion, x, extent, strides, _pads(node, attributes))
    options: dict[str, Any] = {"depthMultiplier": outputs // groups} if depthwise else {}
    conversion.emit_activated(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [x.index, *constants],
        target,
        CHANNELS_LAST,
        scale,
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilations[0],
        dilationWFactor=dilations[1],
        **options,
    )


def gemm(conversion: Conversion, node: onnx.NodeProto) -> None:
    """Gemm with a constant right side → FULLY_CONNECTED."""
    graph, attributes = conversion.graph, conversion.graph.attributes(node)
    if attributes.get("transA", 0):
        refuse(node, "the left side must not be transposed")
    if attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
        refuse(node, "alpha and beta must be 1")
    outputs_axis = 0 if attributes.get("transB", 0) else 1
    layer = Layer(
        graph.constant(node, 1, "right side"),
        graph.optional(node, 2, "bias"),
        outputs_axis,
        order=(outputs_axis, 1 - outputs_axis),
    )
    _fully_connected(conversion, node, layer)


def matrix_product(conversion: Conversion, node: onnx.NodeProto) -> None:
    """MatMul with a constant 2-D right side → FULLY_CONNECTED; of two computed tensors → BATCH_MATMUL."""
    constant = conversion.graph.constants.get(node.input[1])
    if constant is not None:
        if constant.values.ndim != 2:
            refuse(node, "a constant right side must have two dimensions")
        _fully_connected(conversion, node, Layer(constant, None, outputs_axis=1, order=(1, 0)))
        return
    left, right = (conversion.identity(conversion.real(conversion.value(node, k))) for k in (0, 1))
    if min(len(left.shape), len(right.shape)) < 2:
        refuse(node, "both sides need two dimensions or more")
    rank = len(conversion.graph.shape(node.output[0]))
    conversion.emit("BATCH_MATMUL", [left.index, right.index], node.output[0], tuple(range(rank)))


def max_pool(conversion: Conversion, node: onnx.NodeProto) -> None:
    """MaxPool → MAX_POOL_2D, on integers where the input is quantized."""
    attributes = conversion.graph.attributes(node)
    if len(node.output) > 1 and node.output[1]:
        refuse(node, "the places of the largest values are not available")
    kernel = [int(size) for size in attributes["kernel_shape"]]
    strides = [int(step) for step in attributes.get("strides", (1,) * len(kernel))]
    if len(kernel) != 2 or any(step != 1 for step in attributes.get("dilations", (1, 1))):
        refuse(node, "only 2-D windows without dilation")
    if attributes.get("ceil_mode", 0):
        refuse(node, "ceil_mode must be 0")
    target = conversion.target(node)
    x = conversion.arranged(conversion.value(node, 0), CHANNELS_LAST)
    x, padding = _padded(conversion, x, kernel, strides, _pads(node, attributes), with_lowest=True)
    conversion.emit_activated(
        "MAX_POOL_2D",
        [x.index],
        target,
        CHANNELS_LAST,
        x.quantization,
        nonnegative=x.nonnegative,
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
    )


def _fully_connected(conversion: Conversion, node: onnx.NodeProto, layer: Layer) -> None:
    if layer.bias is not None and layer.bias.values.size != layer.outputs:
        refuse(node, "the bias must hold one number per output")
    x = conversion.identity(conversion.value(node, 0))
    target = conversion.target(node)
    scale = integer_scale(node, layer, x, target)
    version = None
    if scale is None:
        x = conversion.real(x)
    elif layer.weight.scales is not None and layer.weight.scales.size > 1:
        version = FULLY_CONNECTED_PER_CHANNEL
    constants = layer_tensors(conversion, node, layer, x, scale)
    rank = len(x.shape)
    conversion.emit_activated(
        "FULLY_CONNECTED",
        [x.index, *constants],
        target,
        tuple(range(rank)),
        scale,
        version=version or (FULLY_CONNECTED_KEEPING_DIMENSIONS if rank > 2 else None),
        keepNumDims=rank > 2,
    )


def _pads(node: onnx.NodeProto, attributes: dict[str, Any]) -> Pads:
    """Return ((top, bottom), (left, right)) of ONNX's (top, left, bottom, right)."""
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic not in (b"NOTSET", b"VALID"):
        refuse(node, "padding must be stated as numbers (auto_pad NOTSET or VALID)")
    top, left, bottom, right = (int(amount) for amount in attributes.get("pads", (0, 0, 0, 0)))
    if min(top, left, bottom, right) < 0:
        refuse(node, "padding must not be negative")
    return (top, bottom), (left, right)


def _padded(
    conversion: Conversion,
    x: Value,
    extent: list[int],
    strides: list[int],
    pads: Pads,
    *,
    with_lowest: bool = False,
) -> tuple[Value, int]:
    """Return a channels-last map and TFLite's ``Padding``, which together pad as ``pads`` says.

    Where neither SAME nor VALID does it, the map itself is padded: with real zeros, or the lowest
    numbers, which never win a maximum (zeros do as well where none is below).
    """
    sides = zip(x.shape[2:], extent, strides, pads, strict=True)
    if all(_is_same(size, length, step, pad) for size, length, step, pad in sides):
        return x, conversion.builder.schema_value("Padding", "SAME")
    if pads != ((0, 0), (0, 0)):
        amounts = conversion.constant(np.array([(0, 0), *pads, (0, 0)], np.int32))
        (top, bottom), (left, right) = pads
        batch, channels, height, width = x.shape
        grown = replace(x, shape=(batch, channels, height + top + bottom, width + left + right))
        zero_is_lowest = x.nonnegative or (x.quantization is not None and x.quantization.zero_point == -128)
        if with_lowest and not zero_is_lowest:
            x = conversion.derive("PADV2", x, grown, amounts, _lowest(conversion, x.quantization))
        else:
            x = conversion.derive("PAD", x, grown, amounts)
    return x, conversion.builder.schema_value("Padding", "VALID")


def _lowest(conversion: Conversion, quantization: TensorScale | None) -> int:
    """Return a constant of the lowest number; an integer carries the scale of its map, as PADV2 wants."""
    if quantization is None:
        return conversion.constant(np.array([np.finfo(np.float32).min], np.float32))
    scales = np.array([quantization.scale], np.float32)
    return conversion.constant(np.array([-128], np.int8), scales, zero_point=quantization.zero_point)


def _is_same(size: int, extent: int, stride: int, pads: tuple[int, int]) -> bool:
    """Tell whether TFLite's SAME gives these pads: the fewest that cover the map, the odd one at the end."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return pads == (total // 2, total - total // 2)
