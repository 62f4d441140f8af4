"""OpenVINO IR from a Q/DQ graph, in which OpenVINO rounds wherever the other runtimes round."""

from __future__ import annotations

import copy
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge_iqa.errors import MissingDependency
from edge_iqa.export.graph_view import GraphView

if TYPE_CHECKING:
    import onnx
    import openvino


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
    return stored(openvino.Core().read_model(io.BytesIO(keep_roundings(model).SerializeToString())))


def stored(model: openvino.Model) -> tuple[bytes, bytes]:
    """Return the IR (xml, bin) of a model that OpenVINO has read."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder, "model.xml")
        openvino.save_model(model, xml, compress_to_fp16=False)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()


def keep_roundings(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a Q/DQ graph that OpenVINO computes with every rounding in it.

    OpenVINO adds to a convolution's result what it is added to while that is not yet rounded (its pull request 5405). A
    max pool of one pixel passes integers on as they are, and keeps the two apart. That is needed where all lie on one
    grid too: a half above an even number goes down, and may be a half above an odd one in the sum, which goes up.
    """
    from onnx import helper

    result = copy.deepcopy(model)
    view = GraphView(result)
    for place, node in reversed([*enumerate(result.graph.node)]):
        if node.op_type != "Add":
            continue
        for index, name in enumerate(node.input):
            if view.pair_behind_convolution(name) is not None:
                held = f"{name}__held"
                pool = helper.make_node("MaxPool", [name], [held], kernel_shape=[1, 1], strides=[1, 1])
                node.input[index] = held
                result.graph.node.insert(place, pool)
    return result
