"""Dialects of a Q/DQ graph: the same integers, written as each runtime's fast kernels want them.

The exporter writes a signed graph: every activation int8 with zero-point 0, which is what TensorRT demands. ONNX
Runtime, OpenVINO and TFLite run fused kernels when an activation after a ReLU is unsigned, so ``unsigned_dialect``
rewrites it: after a ReLU to uint8 with zero-point 0, elsewhere to uint8 with its zero-point plus 128. After a ReLU the
127 positive levels are re-cut into 255 over the same range, which are those that training for these runtimes had:
outliers are clipped exactly where training clipped them. The pixels of a graph that is for these runtimes alone may
have a zero-point, so that they come through exactly.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from edge_iqa.errors import MissingDependency

if TYPE_CHECKING:
    import onnx


def unsigned_dialect(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a signed Q/DQ graph with unsigned activations."""
    try:
        from onnx import checker, numpy_helper
    except ImportError as error:
        raise MissingDependency(
            "onnx is not installed", why=str(error), fix="pip install 'edge-iqa[export]'"
        ) from error

    result = copy.deepcopy(model)
    _separate_constants(result)
    graph = result.graph
    constants = {item.name: item for item in graph.initializer}
    producer = {name: node for node in graph.node for name in node.output}
    rewritten: dict[str, tuple[float, int]] = {}  # quantized tensor → scale, zero-point

    def upstream(name: str) -> onnx.NodeProto | None:
        node = producer.get(name)
        while node is not None and node.op_type in ("MaxPool", "Reshape", "Flatten", "Transpose"):
            node = producer.get(node.input[0])
        return node

    def store(name: str, value: float | int, kind: type[np.generic]) -> None:
        constants[name].CopyFrom(numpy_helper.from_array(np.array(value, kind), name))

    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            scale = float(numpy_helper.to_array(constants[node.input[1]]))
            zero_point = int(numpy_helper.to_array(constants[node.input[2]]))
            source = upstream(node.input[0])
            if source is not None and source.op_type == "DequantizeLinear" and source.input[0] in rewritten:
                new = rewritten[source.input[0]]
            elif source is not None and source.op_type == "Relu" and zero_point == 0:
                new = (scale * 127 / 255, 0)
            else:
                new = (scale, zero_point + 128)
            rewritten[node.output[0]] = new
        elif node.op_type != "DequantizeLinear" or node.input[0] not in rewritten:
            continue
        quantized = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
        store(node.input[1], rewritten[quantized][0], np.float32)
        store(node.input[2], rewritten[quantized][1], np.uint8)
    del graph.value_info[:]  # its types are those of the signed graph; runtimes infer them anew
    checker.check_model(result)
    return result


def integer_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of an unsigned graph whose pixels enter the integer layers as they are, where that is the same.

    Converting to float, normalising and rounding give back the pixel itself where the grid of the first QuantizeLinear
    holds all 256 values. Whether it does is tried out, for every value of each colour; if not, nothing is changed.
    """
    from onnx import checker, helper, numpy_helper

    result = copy.deepcopy(model)
    graph = result.graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    chain: list[onnx.NodeProto] = []
    name = graph.input[0].name
    for kind in ("Cast", "Sub", "Mul", "Transpose", "QuantizeLinear"):
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type != kind or readers[0].input[0] != name:
            return result
        chain.append(readers[0])
        name = readers[0].output[0]
    cast, subtract, multiply, transpose, quantize = chain
    offset, factor = (constants[node.input[1]] for node in (subtract, multiply))
    scale, zero_point = (constants[node_input] for node_input in quantize.input[1:3])
    values = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)
    rounded = np.rint((values - offset) * factor / scale) + zero_point
    if zero_point.dtype != np.uint8 or not np.array_equal(rounded, values):
        return result
    for node in (cast, subtract, multiply, quantize):
        graph.node.remove(node)
    perm = {item.name: helper.get_attribute_value(item) for item in transpose.attribute}["perm"]
    transpose.CopyFrom(
        helper.make_node("Transpose", [cast.input[0]], [quantize.output[0]], transpose.name, perm=list(perm))
    )
    used = {name for node in graph.node for name in node.input}
    for item in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(item)
    checker.check_model(result)
    return result


def round_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a Q/DQ graph whose convolution biases lie on the grid of the 32-bit accumulator.

    The grid is input scale times weight scale, per output channel. Integer kernels round there anyway; with the
    rounding in the graph, a float simulation of it and the integer kernels add the same numbers.
    """
    from onnx import numpy_helper

    result = copy.deepcopy(model)
    _separate_constants(result)
    constants = {item.name: item for item in result.graph.initializer}
    producer = {name: node for node in result.graph.node for name in node.output}
    for conv in result.graph.node:
        if conv.op_type != "Conv" or len(conv.input) < 3 or conv.input[2] not in constants:
            continue
        sources = [producer.get(name) for name in conv.input[:2]]
        if any(source is None or source.op_type != "DequantizeLinear" for source in sources):
            continue
        activation, weight = (
            numpy_helper.to_array(constants[source.input[1]]).astype(np.float64) for source in sources if source
        )
        bias = constants[conv.input[2]]
        grid = activation * weight
        rounded = np.round(numpy_helper.to_array(bias) / grid) * grid
        bias.CopyFrom(numpy_helper.from_array(rounded.astype(np.float32), bias.name))
    return result


def _separate_constants(model: onnx.ModelProto) -> None:
    """Give every use of an initialiser its own copy, in place, so that one can change without the others."""
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    used: set[str] = set()
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name not in constants:
                continue
            if name in used:
                own = copy.deepcopy(constants[name])
                own.name = f"{name}__{node.output[0]}_{position}"
                graph.initializer.append(own)
                node.input[position] = own.name
            used.add(name)
