"""What TensorRT demands of a Q/DQ graph, checked on the graph itself, without TensorRT and without a GPU.

The rules are NVIDIA's ("Working with Quantized Types" in the TensorRT documentation, the operator list of its
ONNX parser), measured against TensorRT 10.3 of JetPack 6, the oldest that reads the graph of a bundle
unchanged. One is ours: both inputs of a residual addition are quantized, so that convolution and addition can
fuse in int8.

``dialect_for_tensorrt_8`` writes the same model for the older parser of JetPack 5. ``compile_ahead_of_time``
asks NVIDIA's own parser and compiler, where the package tensorrt-rtx is installed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from edge_iqa.errors import GraphUnsupported, MissingDependency
from edge_iqa.export.graph_view import GraphView
from edge_iqa.export.tensorrt_ahead import AheadOfTimeReport, EngineLayer, compile_ahead_of_time
from edge_iqa.export.tensorrt_rules import (
    Finding,
    check_quantization,
    check_types,
    label,
)

if TYPE_CHECKING:
    import onnx

__all__ = [
    "AheadOfTimeReport",
    "EngineLayer",
    "Finding",
    "check_tensorrt_graph",
    "compile_ahead_of_time",
    "dialect_for_tensorrt_8",
]

# Operators that mean the same in opset 17 as in 20, but for the attributes and operands named below.
_SAME_IN_17 = frozenset(
    {
        "Add",
        "Cast",
        "Clip",
        "Concat",
        "Conv",
        "DequantizeLinear",
        "Div",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "HardSigmoid",
        "MatMul",
        "MaxPool",
        "Mul",
        "QuantizeLinear",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Softmax",
        "Sub",
        "Transpose",
    }
)
_NEWER_ATTRIBUTES = frozenset({"noop_with_empty_axes", "saturate"})
_OPSET = 17
_IR_VERSION = 8  # of opset 17


def check_tensorrt_graph(
    model: onnx.ModelProto, *, float_convolutions: int = 0, fused_additions: bool = False
) -> list[Finding]:
    """Return every breach of TensorRT's rules for a signed int8 Q/DQ graph; an empty list is a pass.

    ``float_convolutions`` is how many convolutions were meant to stay float (a bundle's manifest names them);
    more than that are findings. ``fused_additions`` is for the variant that ``strip_additions`` makes. A pass says
    that format and placement are right, not that every layer is fast.
    Raises MissingDependency where onnx is not installed.
    """
    require_onnx()
    view = GraphView(model)
    findings = [*check_types(view), *check_quantization(view, fused_additions=fused_additions)]
    float_findings = [finding for finding in findings if finding.rule == "float-conv"]
    if len(float_findings) <= float_convolutions:
        findings = [finding for finding in findings if finding.rule != "float-conv"]
    return findings


def dialect_for_tensorrt_8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a signed Q/DQ or float graph in the form of TensorRT 8.5 and 8.6 (JetPack 5).

    The computation is the same. The operator set becomes 17: the axes of ReduceMean move from an operand,
    which that parser does not look at, to an attribute. Weights are the same integers stored as float32
    behind a QuantizeLinear of scale 1, since the quantization tools of that time export float32 weights
    behind Q/DQ pairs. TensorRT for RTX 1.7 reads this form too; on a JetPack 5 device it has not been tried.
    Raises GraphUnsupported for an operator whose older form is not known here, MissingDependency where onnx
    is not installed.
    """
    require_onnx()
    from onnx import checker

    result = copy.deepcopy(model)
    nodes = []
    for node in result.graph.node:
        if node.op_type not in _SAME_IN_17 or node.domain not in ("", "ai.onnx"):
            raise GraphUnsupported(
                f"{node.op_type} has no known form for TensorRT 8",
                why=f"node {label(node)}",
                fix="use JetPack 6.1 or newer, whose TensorRT reads the graph as it is",
            )
    view = GraphView(result)
    for node in list(result.graph.node):
        if node.op_type == "DequantizeLinear" and node.input[0] in view.constants:
            nodes.append(_float_weights(view, node))
        elif node.op_type == "ReduceMean":
            _axes_as_attribute(view, node)
        kept = [item for item in node.attribute if item.name not in _NEWER_ATTRIBUTES]
        del node.attribute[:]
        node.attribute.extend(kept)
        del node.metadata_props[:]
        nodes.append(node)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    _drop_unused(result)
    for item in result.opset_import:
        item.version = min(item.version, _OPSET)
    result.ir_version = min(result.ir_version, _IR_VERSION)
    checker.check_model(result)
    return result


def _float_weights(view: GraphView, node: onnx.NodeProto) -> onnx.NodeProto:
    """Store a DequantizeLinear's weights as float32; return the QuantizeLinear of scale 1 before it."""
    from onnx import helper, numpy_helper

    stem = node.output[0]
    weights, scale = view.values(node.input[0]), view.values(node.input[1])
    if weights is None or scale is None or len(node.input) < 3:
        raise GraphUnsupported(f"{label(node)} lacks a constant operand", why="TensorRT 8 needs all three")
    names = (f"{stem}__float", f"{stem}__one", node.input[2])
    view.graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), names[0]))
    view.graph.initializer.append(numpy_helper.from_array(np.ones_like(scale), names[1]))
    axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
    node.input[0] = f"{stem}__int8"
    return helper.make_node("QuantizeLinear", names, [node.input[0]], name=f"{stem}__quantize", axis=axis)


def _axes_as_attribute(view: GraphView, node: onnx.NodeProto) -> None:
    from onnx import helper

    if any(item.name == "axes" for item in node.attribute):
        return
    axes = view.values(node.input[1]) if len(node.input) > 1 else None
    if axes is None or axes.size == 0:
        raise GraphUnsupported(f"The axes of {label(node)} are not constant", why="TensorRT 8 needs them")
    node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes.reshape(-1)]))
    del node.input[1:]


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [item for item in model.graph.initializer if item.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def require_onnx() -> None:
    """Raise MissingDependency, naming the extra, where onnx is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            "onnx is not installed", why=str(error), fix="pip install 'edge-iqa[export]'"
        ) from error
