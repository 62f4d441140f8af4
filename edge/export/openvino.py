"""OpenVINO IR from a Q/DQ graph, in which OpenVINO rounds wherever the other runtimes round."""

from __future__ import annotations

import copy
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_iqa.errors import MissingDependency

if TYPE_CHECKING:
    import onnx


def to_openvino(model: onnx.ModelProto) -> tuple[bytes, bytes]:
    """Return the IR (xml, bin) of a Q/DQ graph in the unsigned dialect; its scales are kept, not calibrated anew.

    Raises MissingDependency where openvino is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingDependency(
            "OpenVINO is not installed", why=str(error), fix="pip install 'edge-iqa[openvino]'"
        ) from error
    converted = openvino.Core().read_model(io.BytesIO(keep_roundings(model).SerializeToString()))
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder, "model.xml")
        openvino.save_model(converted, xml, compress_to_fp16=False)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()


def keep_roundings(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a Q/DQ graph that OpenVINO computes with every rounding in it.

    OpenVINO adds to a convolution's result what it is added to while that is not yet rounded (its pull request 5405). A
    max pool of one pixel passes integers on as they are, and keeps the two apart. Where all that is added lies on the
    grid of the sum, leaving the rounding out gives the same number, and nothing is put there.
    """
    from onnx import helper, numpy_helper

    result = copy.deepcopy(model)
    graph = result.graph
    producer = {name: node for node in graph.node for name in node.output}
    constants = {item.name: item for item in graph.initializer}

    def readers(name: str) -> list[onnx.NodeProto]:
        return [node for node in graph.node if name in node.input]

    def step(node: onnx.NodeProto) -> float:
        return float(numpy_helper.to_array(constants[node.input[1]]))

    for place, add in reversed([*enumerate(graph.node)]):
        terms = [producer.get(name) for name in add.input] if add.op_type == "Add" else []
        rounded = [term for term in terms if term is not None and term.op_type == "DequantizeLinear"]
        after = readers(add.output[0])
        if after and after[0].op_type == "Relu":
            after = readers(after[0].output[0])
        grids = {step(node) for node in (*rounded, *after) if node.op_type.endswith("uantizeLinear")}
        if len(rounded) < 2 or len(grids) == 1:
            continue
        for index, term in enumerate(rounded):
            quantize = producer.get(term.input[0])
            source = None if quantize is None else producer.get(quantize.input[0])
            if source is None or source.op_type != "Conv":
                continue
            held = f"{term.output[0]}_held_{index}"
            pool = helper.make_node("MaxPool", [term.output[0]], [held], kernel_shape=[1, 1], strides=[1, 1])
            add.input[list(add.input).index(term.output[0])] = held
            graph.node.insert(place, pool)
    return result
