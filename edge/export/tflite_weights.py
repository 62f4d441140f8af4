"""Weights and biases of a convolution or a matrix product as TFLite constants, in float or in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_iqa.export.tflite_builder import TensorScale
from edge_iqa.export.tflite_conversion import Conversion, Target, Value
from edge_iqa.export.tflite_graph import Constant, refuse

if TYPE_CHECKING:
    import onnx

INT32_MAX = 2**31 - 1
ACTIVATION_SPAN = 255  # the largest difference between an int8 activation and its zero-point
COARSE_BIAS = 2**24  # the bias of a constant channel, in steps: exact in float32


@dataclass(frozen=True)
class Layer:
    """The constants of an ONNX Conv, Gemm or MatMul.

    ``outputs_axis`` is the weight's axis of output channels, ``order`` the order of its axes in TFLite.
    """

    weight: Constant
    bias: Constant | None
    outputs_axis: int
    order: tuple[int, ...]

    @property
    def outputs(self) -> int:
        return int(self.weight.values.shape[self.outputs_axis])


def integer_scale(node: onnx.NodeProto, layer: Layer, x: Value, target: Target) -> TensorScale | None:
    """Return the scale of the result if input, weights and result are quantized, so that integers do it."""
    weight = layer.weight
    if weight.scales is None or x.quantization is None or target.quantization is None:
        return None
    if weight.values.dtype != np.int8 or weight.values.min(initial=0) < -127:
        refuse(node, "quantized weights must be int8 in -127..127")
    if weight.scales.size > 1 and weight.axis != layer.outputs_axis:
        refuse(node, "weight scales must be per output channel")
    return target.quantization


def layer_tensors(
    conversion: Conversion, node: onnx.NodeProto, layer: Layer, x: Value, scale: TensorScale | None
) -> list[int]:
    """Return the weight and bias tensors: integers for a result on ``scale``, float32 for None."""
    if scale is None:
        bias = np.zeros(layer.outputs, np.float32) if layer.bias is None else layer.bias.real().reshape(-1)
        weight = np.ascontiguousarray(layer.weight.real().transpose(layer.order))
        return [conversion.constant(weight), conversion.constant(bias)]
    assert x.quantization is not None
    integers, scales, steps = _on_integer_grid(node, layer, x.quantization, scale)
    products = (scales.astype(np.float64) * x.quantization.scale).astype(np.float32)
    stored = np.ascontiguousarray(integers.transpose(layer.order))
    stored_axis = layer.order.index(layer.outputs_axis)
    return [conversion.constant(stored, scales, axis=stored_axis), conversion.constant(steps, products)]


def _on_integer_grid(
    node: onnx.NodeProto, layer: Layer, x: TensorScale, y: TensorScale
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]:
    """Return the weights, their scales, and the bias in steps of ``s_in * s_w``.

    Dead channels have weights so small that their bias does not fit int32 on that grid. Such a channel is a
    constant: it keeps its bias, on a coarser grid, and loses the weights, which cannot move the result by
    half a step. Where they could, the node is refused.
    """
    assert layer.weight.scales is not None
    integers, scales = layer.weight.values, layer.weight.scales
    products = np.broadcast_to(scales.astype(np.float64) * x.scale, layer.outputs)
    steps = _bias_steps(layer, products)
    inward = tuple(axis for axis in range(integers.ndim) if axis != layer.outputs_axis)
    reach = np.abs(integers.astype(np.float64)).sum(inward) * ACTIVATION_SPAN
    overflowing = np.abs(steps) + reach > INT32_MAX
    if overflowing.any():
        if scales.size == 1 or ((reach * products)[overflowing] >= y.scale / 2).any():
            refuse(node, "its bias does not fit int32 in steps of input scale times weight scale")
        integers, scales = integers.copy(), scales.copy()
        np.moveaxis(integers, layer.outputs_axis, 0)[overflowing] = 0
        scales[overflowing] = np.abs(steps * products)[overflowing] / (COARSE_BIAS * x.scale)
        steps = np.where(overflowing, COARSE_BIAS * np.sign(steps), steps)
    return integers, scales, np.round(steps).astype(np.int32)


def _bias_steps(layer: Layer, products: NDArray[np.float64]) -> NDArray[np.float64]:
    bias = layer.bias
    if bias is None:
        return np.zeros(layer.outputs)
    if bias.scales is not None and np.allclose(bias.scales, products, rtol=1e-5, atol=0):
        return bias.values.astype(np.float64).reshape(-1)
    return bias.real().astype(np.float64).reshape(-1) / products
