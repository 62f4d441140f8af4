"""The state of one ONNX → TFLite conversion: which tensor holds which ONNX tensor, in which order of axes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.export.tflite_builder import TensorScale, TfliteBuilder
from edge_iqa.export.tflite_graph import OnnxGraph, refuse

if TYPE_CHECKING:
    import onnx

CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """An ONNX tensor and the TFLite tensor that holds it.

    ``shape`` is in ONNX order; stored dimension ``i`` is ONNX dimension ``axes[i]``, so that a feature map
    ``(N, C, H, W)`` with axes ``(0, 2, 3, 1)`` is stored as ``(N, H, W, C)``. With ``quantization`` the
    tensor is int8 and stands for the real numbers behind it. ``nonnegative``: all are known to be 0 or more.
    """

    index: int
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    quantization: TensorScale | None = None
    nonnegative: bool = False

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def dtype(self) -> str:
        return "FLOAT32" if self.quantization is None else "INT8"


@dataclass(frozen=True)
class Target:
    """Where an operator's result goes: the ONNX tensor after a fused activation (NONE, RELU, RELU6), and its scale."""

    name: str
    activation: str
    quantization: TensorScale | None


class Conversion:
    """Builds the TFLite graph operator by operator; ``values`` maps ONNX tensor names to what holds them."""

    def __init__(self, graph: OnnxGraph, builder: TfliteBuilder) -> None:
        self.graph = graph
        self.builder = builder
        self.values: dict[str, Value] = {}
        self._derived: dict[tuple[Any, ...], Value] = {}
        self._constants: dict[tuple[Any, ...], int] = {}

    def value(self, node: onnx.NodeProto, position: int) -> Value:
        """Return the computed tensor at a node's input; refuses the node where it is a constant."""
        name = node.input[position]
        if name not in self.values:
            refuse(node, f"input {position} ({name!r}) must be computed by the graph, not a constant")
        return self.values[name]

    def quantized_by(self, name: str) -> TensorScale | None:
        """Return the scale onto which every use of an ONNX tensor quantizes it; None where uses differ."""
        scales = {
            self.graph.tensor_scale(user) if user.op_type == "QuantizeLinear" else None
            for user in self.graph.consumers(name)
        }
        return scales.pop() if len(scales) == 1 and name not in self.graph.outputs else None

    def target(self, node: onnx.NodeProto) -> Target:
        """Return where the node's result goes, taking in a ReLU or ReLU6 that is its only use."""
        name, activation = node.output[0], "NONE"
        users = self.graph.consumers(name)
        if len(users) == 1 and users[0].op_type in ("Relu", "Clip") and name not in self.graph.outputs:
            taken_in = self.activation(users[0])
            if taken_in is not None:
                name, activation = users[0].output[0], taken_in
        return Target(name, activation, self.quantized_by(name))

    def activation(self, node: onnx.NodeProto) -> str | None:
        """Return what TFLite calls a Relu, or a Clip to 0..6; None for another Clip."""
        if node.op_type == "Relu":
            return "RELU"
        return "RELU6" if self.limits(node) == (0.0, 6.0) else None

    def limits(self, clip: onnx.NodeProto) -> tuple[float, float]:
        """Return the least and the largest value of a Clip; raises GraphUnsupported where one is missing."""
        least, most = (self.graph.optional(clip, position, "limit") for position in (1, 2))
        if least is None or most is None:
            refuse(clip, "it must have both limits")
        return float(least.real().item()), float(most.real().item())

    def emit(
        self,
        kind: str,
        inputs: Sequence[int],
        name: str,
        axes: tuple[int, ...],
        quantization: TensorScale | None = None,
        *,
        nonnegative: bool = False,
        version: int | None = None,
        **options: Any,
    ) -> None:
        """Add an operator and enter its result as the ONNX tensor ``name``."""
        value = Value(0, self.graph.shape(name), axes, quantization, nonnegative)
        index = self.builder.tensor(name, value.stored_shape, value.dtype, quantization)
        self.builder.operator(kind, inputs, [index], version=version, **options)
        self.values[name] = replace(value, index=index)

    def emit_activated(
        self,
        kind: str,
        inputs: Sequence[int],
        target: Target,
        axes: tuple[int, ...],
        quantization: TensorScale | None = None,
        *,
        nonnegative: bool = False,
        version: int | None = None,
        **options: Any,
    ) -> None:
        """Like ``emit``, for the operators that take in a ReLU or ReLU6."""
        activation = self.builder.schema_value("ActivationFunctionType", target.activation)
        self.emit(
            kind,
            inputs,
            target.name,
            axes,
            quantization,
            nonnegative=nonnegative or target.activation != "NONE",
            version=version,
            fusedActivationFunction=activation,
            **options,
        )

    def real(self, value: Value) -> Value:
        """Return the same numbers as float32, with a DEQUANTIZE where they are integers."""
        if value.quantization is None:
            return value
        return self.derive("DEQUANTIZE", value, replace(value, quantization=None))

    def arranged(self, value: Value, axes: tuple[int, ...]) -> Value:
        """Return the same numbers stored in the order ``axes``, moved only where memory would differ."""
        if value.axes == axes:
            return value
        result = replace(value, axes=axes)
        order = [value.axes.index(axis) for axis in axes]
        if _moves_nothing(value.stored_shape, order):
            return self.reshaped(value, result)
        return self.derive("TRANSPOSE", value, result, self.integers(order))

    def identity(self, value: Value) -> Value:
        """Return the same numbers stored in ONNX order."""
        return self.arranged(value, tuple(range(len(value.shape))))

    def reshaped(self, value: Value, result: Value) -> Value:
        """Return ``result``: the numbers of ``value`` in the same order in memory, under another shape."""
        shape = result.stored_shape
        if shape == value.stored_shape:
            return replace(result, index=value.index)
        return self.derive("RESHAPE", value, result, self.integers(shape), newShape=list(shape))

    def derive(self, kind: str, value: Value, result: Value, *parameters: int, **options: Any) -> Value:
        """Add an operator between a value and a form of it, once for each pair; fills in ``result.index``."""
        key = (kind, value.index, replace(result, index=0), parameters)
        if key not in self._derived:
            name = f"{kind.lower()}/{len(self._derived)}"
            index = self.builder.tensor(name, result.stored_shape, result.dtype, result.quantization)
            self.builder.operator(kind, [value.index, *parameters], [index], **options)
            self._derived[key] = replace(result, index=index)
        return self._derived[key]

    def integers(self, numbers: Sequence[int]) -> int:
        """Return a constant int32 vector: axes, a shape or a permutation."""
        return self.constant(np.asarray(numbers, np.int32))

    def constant(
        self,
        data: NDArray[Any],
        scales: NDArray[np.float32] | None = None,
        *,
        axis: int = 0,
        zero_point: int = 0,
    ) -> int:
        """Return a constant tensor, the same one for the same content."""
        scale_bytes = None if scales is None else scales.tobytes()
        digest = hashlib.sha256(data.tobytes()).digest()
        key = (data.dtype.name, data.shape, digest, scale_bytes, axis, zero_point)
        if key not in self._constants:
            name = f"constant/{len(self._constants)}"
            self._constants[key] = self.builder.constant(name, data, scales, axis=axis, zero_point=zero_point)
        return self._constants[key]


def _moves_nothing(shape: tuple[int, ...], order: list[int]) -> bool:
    longer = [dimension for dimension in order if shape[dimension] > 1]
    return longer == sorted(longer)
