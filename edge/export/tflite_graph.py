"""An ONNX graph opened for conversion: constants, shapes, consumers, quantization parameters and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import GraphUnsupported, MissingDependency
from edge_iqa.export.tflite_builder import TensorScale

if TYPE_CHECKING:
    import onnx

MIN_OPSET = 18  # from here on, the axes of ReduceMean are an input


@dataclass(frozen=True)
class Constant:
    """A fixed tensor: float32, or integers with zero-point 0 and ``scales``, one or one per ``axis`` entry.

    Quantized weights are int8, quantized biases int32.
    """

    values: NDArray[Any]
    scales: NDArray[np.float32] | None = None
    axis: int = 0

    def real(self) -> NDArray[np.float32]:
        """Return the values as float32, dequantized as ONNX does."""
        if self.scales is None:
            return self.values.astype(np.float32)
        scales = self.scales
        if scales.size > 1:
            scales = scales.reshape([-1 if axis == self.axis else 1 for axis in range(self.values.ndim)])
        return self.values.astype(np.float32) * scales


def refuse(node: onnx.NodeProto, rule: str) -> NoReturn:
    """Raise GraphUnsupported for a node, with the rule that it breaks."""
    raise GraphUnsupported(
        f"TFLite cannot express node {node.name or node.output[0]!r} ({node.op_type})",
        why=rule,
        fix="change the network, or keep this target out of the export",
    )


class OnnxGraph:
    """The static facts of one ONNX graph of opset 18 or newer."""

    def __init__(self, model: onnx.ModelProto) -> None:
        library = import_onnx()
        opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
        if opset < MIN_OPSET:
            raise GraphUnsupported(
                f"The graph has ONNX opset {opset}",
                why=f"the TFLite writer reads {MIN_OPSET} and newer",
                fix="export the graph again",
            )
        bare = library.ModelProto()
        bare.CopyFrom(model)
        del bare.graph.value_info[:]  # inferred anew: what is stated may date from before a rewrite
        graph = library.shape_inference.infer_shapes(bare, data_prop=True).graph
        self._onnx = library
        self.nodes: list[onnx.NodeProto] = [node for node in graph.node if node.op_type != "Constant"]
        self.inputs: list[str] = [item.name for item in graph.input]
        self.outputs: list[str] = [item.name for item in graph.output]
        self.constants: dict[str, Constant] = {
            item.name: Constant(library.numpy_helper.to_array(item)) for item in graph.initializer
        }
        for node in graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = Constant(self._stated_value(node))
        self.inputs = [name for name in self.inputs if name not in self.constants]
        described = [*graph.value_info, *graph.input, *graph.output]
        self._types = {item.name: item.type.tensor_type for item in described}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the static shape of a tensor, in ONNX order."""
        if name in self._types:
            dimensions = self._types[name].shape.dim
            if all(dimension.HasField("dim_value") for dimension in dimensions):
                return tuple(dimension.dim_value for dimension in dimensions)
        raise GraphUnsupported(
            f"The shape of tensor {name!r} is not fixed",
            why="a .tflite file is written for one input size",
            fix="export the graph with a fixed height, width and batch 1",
        )

    def element_type(self, name: str) -> str:
        """Return the ONNX element type of a tensor as a name, such as ``FLOAT`` or ``UINT8``."""
        element_type = self._types[name].elem_type if name in self._types else 0
        return str(self._onnx.TensorProto.DataType.Name(element_type))

    def attributes(self, node: onnx.NodeProto) -> dict[str, Any]:
        """Return a node's attributes as Python values."""
        return {item.name: self._onnx.helper.get_attribute_value(item) for item in node.attribute}

    def _stated_value(self, node: onnx.NodeProto) -> NDArray[Any]:
        value = self.attributes(node).get("value")
        if value is None:
            refuse(node, "a constant must be stated as a tensor")
        return np.asarray(self._onnx.numpy_helper.to_array(value))

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that read a tensor; the graph's output counts as none of them."""
        return self._consumers.get(name, [])

    def constant(self, node: onnx.NodeProto, position: int, role: str) -> Constant:
        """Return an input of a node that must be constant; raises GraphUnsupported where it is computed."""
        found = self.constants.get(node.input[position]) if len(node.input) > position else None
        if found is None:
            refuse(node, f"its {role} must be a constant")
        return found

    def optional(self, node: onnx.NodeProto, position: int, role: str) -> Constant | None:
        """Return a constant input that may be left out."""
        if len(node.input) <= position or not node.input[position]:
            return None
        return self.constant(node, position, role)

    def tensor_scale(self, node: onnx.NodeProto) -> TensorScale:
        """Return the parameters of a QuantizeLinear or DequantizeLinear of an activation, for int8.

        An unsigned zero-point ``z`` becomes the signed ``z - 128``: the same real numbers.
        """
        scale = self.constant(node, 1, "scale").values
        if scale.size != 1:
            refuse(node, "an activation has one scale for the whole tensor")
        zero_point = self.optional(node, 2, "zero-point")
        if zero_point is None:
            refuse(node, "its zero-point, which gives the integer type, must be stated")
        shift = _unsigned_shift(node, zero_point.values)
        return TensorScale(float(scale.reshape(())), int(zero_point.values.reshape(())) - shift)

    def dequantized(self, node: onnx.NodeProto) -> Constant:
        """Return the constant behind a DequantizeLinear of an initialiser: int8 weights or an int32 bias."""
        values = self.constants[node.input[0]].values
        scales = self.constant(node, 1, "scale").values
        stated = self.optional(node, 2, "zero-point")
        zero_points = np.zeros(1, values.dtype) if stated is None else stated.values
        axis = int(self.attributes(node).get("axis", 1))
        if scales.ndim > 1 or (scales.size > 1 and scales.size != values.shape[axis]):
            refuse(node, "scales are one per tensor or one per channel")
        shift = 0
        if values.dtype != np.int32:
            shift = _unsigned_shift(node, values)
        if (zero_points.astype(np.int32) != shift).any():
            refuse(node, "constants must be symmetric (zero-point 0, or 128 for uint8)")
        if shift:
            values = (values.astype(np.int32) - shift).astype(np.int8)
        return Constant(values, scales.reshape(-1).astype(np.float32), axis % max(values.ndim, 1))


def _unsigned_shift(node: onnx.NodeProto, integers: NDArray[Any]) -> int:
    if integers.dtype == np.int8:
        return 0
    if integers.dtype == np.uint8:
        return 128
    refuse(node, f"integers must be int8 or uint8, not {integers.dtype}")


def import_onnx() -> Any:
    """Return the onnx package; raises MissingDependency."""
    try:
        import onnx
        import onnx.shape_inference
    except ImportError as error:
        raise MissingDependency(
            "onnx is not installed", why=str(error), fix="pip install 'edge-iqa[export]'"
        ) from error
    return onnx
