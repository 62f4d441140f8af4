"""Variants of a bundle's graphs for TensorRT: half precision with the types written out, and fused additions.

Since TensorRT 11 a network computes in the types that its graph states, so that fp16 needs a graph with explicit
casts. A pair QuantizeLinear/DequantizeLinear between a convolution and the addition behind it is what integer
kernels elsewhere need; TensorRT may fuse convolution and addition better without it. Which is faster is for a
measurement on the device.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from edge_iqa.errors import GraphUnsupported
from edge_iqa.export.graph_view import GraphView
from edge_iqa.export.tensorrt import dialect_for_tensorrt_8, require_onnx

if TYPE_CHECKING:
    import onnx

# The body of the network; normalisation, means, head and sigmoid stay float32.
_HALF_OPERATORS = frozenset({"Add", "Clip", "Conv", "MaxPool", "Relu"})
_HALF_MAX = 65504.0


def half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a float graph whose body computes in float16 between explicit casts.

    Input, normalisation, the means over positions, the head and the output stay as they are. Raises
    GraphUnsupported for a constant that float16 cannot hold, MissingDependency where onnx is not installed.
    """
    require_onnx()
    from onnx import TensorProto, checker, helper

    result = copy.deepcopy(model)
    view = GraphView(result)
    half = {output for node in result.graph.node if node.op_type in _HALF_OPERATORS for output in node.output}
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to: int) -> str:
        """Return the name of ``name`` in another type, with the Cast that makes it."""
        if (name, to) not in casts:
            casts[name, to] = f"{name}__{'half' if to == TensorProto.FLOAT16 else 'float'}"
            nodes.append(helper.make_node("Cast", [name], [casts[name, to]], name=f"{casts[name, to]}__cast", to=to))
        return casts[name, to]

    for node in list(result.graph.node):
        for index, name in enumerate(node.input):
            if node.op_type in _HALF_OPERATORS:
                if name in view.constants:
                    node.input[index] = _half_constant(view, name)
                elif name and name not in half:
                    node.input[index] = cast(name, TensorProto.FLOAT16)
            elif name in half:
                node.input[index] = cast(name, TensorProto.FLOAT)
        nodes.append(node)
    if any(item.name in half for item in result.graph.output):
        raise GraphUnsupported("The graph ends in its body", why="the score must be float32")
    _replace_nodes(result, nodes)
    checker.check_model(result)
    return result


def strip_additions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a Q/DQ graph without the pair between a convolution and the addition that alone reads it.

    The other input of each addition stays quantized. One rounding to 8 bits fewer per addition: scores differ a
    little from those of the graph as trained. Raises MissingDependency where onnx is not installed.
    """
    require_onnx()
    from onnx import checker

    result = copy.deepcopy(model)
    view = GraphView(result)
    removed: set[str] = set()  # by the first output, which is unique
    for addition in [node for node in result.graph.node if node.op_type == "Add"]:
        for index, name in enumerate(addition.input):
            pair = view.pair_behind_convolution(name)
            others = [other for place, other in enumerate(addition.input) if place != index]
            if pair is None or any(view.maker(other) != "DequantizeLinear" for other in others):
                continue
            addition.input[index] = pair[0].input[0]
            removed.update(node.output[0] for node in pair)
            break
    _replace_nodes(result, [node for node in result.graph.node if node.output[0] not in removed])
    checker.check_model(result)
    return result


def variants(int8_graph: bytes, float_graph: bytes) -> dict[str, bytes]:
    """Return the variants of a bundle's two graphs as files: opset 17 (TensorRT 8), fp16 (11), fused additions.

    Raises MissingDependency where onnx is not installed.
    """
    require_onnx()
    import onnx

    signed, plain = onnx.load_model_from_string(int8_graph), onnx.load_model_from_string(float_graph)
    made = {
        "model.int8.opset17.onnx": dialect_for_tensorrt_8(signed),
        "model.opset17.onnx": dialect_for_tensorrt_8(plain),
        "model.fp16.onnx": half_precision(plain),
        "model.int8.fused-add.onnx": strip_additions(signed),
    }
    return {name: model.SerializeToString() for name, model in made.items()}


def _half_constant(view: GraphView, name: str) -> str:
    """Store a float constant a second time as float16 and return its name; other types keep theirs."""
    from onnx import numpy_helper

    stored = f"{name}__half"
    values = view.values(name)
    if values is None or values.dtype != np.float32:
        return name
    if stored not in view.constants:
        if not np.all(np.abs(values) <= _HALF_MAX):
            raise GraphUnsupported(f"The constant {name} does not fit into float16", why="it exceeds 65504")
        view.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), stored))
        view.constants[stored] = view.graph.initializer[-1]
    return stored


def _replace_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put ``nodes`` in place of the graph's, and drop constants and types that nothing uses any more."""
    kept = [copy.deepcopy(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    constants = [item for item in model.graph.initializer if item.name in used]
    constants = [copy.deepcopy(item) for item in constants]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    del model.graph.value_info[:]
