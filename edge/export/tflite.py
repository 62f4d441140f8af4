"""Write a ``.tflite`` file from an ONNX graph: the same numbers, the same scales, channels last.

The integers and scales of a Q/DQ graph are carried over as they are, in either dialect (signed with zero-
point 0; or unsigned, which becomes int8 with zero-point ``z - 128``); nothing is calibrated again. An
operator runs on integers where everything that goes into it and its result are quantized, else in float32.
TFLite holds biases on the int32 grid ``s_in * s_w``, may round halves away from zero where ONNX rounds them
to even, and may rescale with fixed-point numbers: the result of one int8 operator may differ by one step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_iqa.errors import GraphUnsupported, ModelRefused
from edge_iqa.export.tflite_builder import TfliteBuilder
from edge_iqa.export.tflite_conversion import Conversion, Value
from edge_iqa.export.tflite_graph import OnnxGraph, import_onnx
from edge_iqa.export.tflite_ops import write_node

if TYPE_CHECKING:
    import onnx

INPUT_NAME = "image"
OUTPUT_NAME = "score"

_TENSOR_TYPES = {"UINT8": "UINT8", "FLOAT": "FLOAT32"}


def write_tflite(onnx_path: Path, tflite_path: Path) -> None:
    """Convert a graph file; nothing is written unless the whole graph can be expressed.

    Raises ModelRefused for a file that is no ONNX graph, and what ``onnx_to_tflite`` raises.
    """
    loader = import_onnx()
    try:
        model = loader.load(onnx_path)
    except Exception as error:  # protobuf's errors have no common base that can be named here
        raise ModelRefused(
            f"{onnx_path} cannot be read as an ONNX graph",
            why=f"{type(error).__name__}: {error}",
            fix="give a file written by 'edge-iqa quantize' or 'edge-iqa export'",
        ) from error
    tflite_path.write_bytes(onnx_to_tflite(model))


def onnx_to_tflite(model: onnx.ModelProto) -> bytes:
    """Return the TFLite file of a scoring graph, float or Q/DQ, with the same contract.

    Input ``image``: uint8 ``(1, H, W, 3)``; output ``score``: float32 ``(1, 1)``. Raises GraphUnsupported,
    naming the node and the rule, for a graph with another contract or an operator that TFLite cannot express
    exactly, and MissingDependency where onnx, flatbuffers or the TFLite schema is not installed.
    """
    graph = OnnxGraph(model)
    _check_contract(graph)
    return _convert(graph)


def convert_graph(model: onnx.ModelProto) -> bytes:
    """Return the TFLite file of any static graph of the known operators, with its own inputs and outputs.

    Inputs are uint8 or float32, outputs float32; each keeps its name and ONNX order of axes. Raises as
    ``onnx_to_tflite`` does.
    """
    return _convert(OnnxGraph(model))


def _check_contract(graph: OnnxGraph) -> None:
    problem = ""
    if graph.inputs != [INPUT_NAME] or graph.outputs != [OUTPUT_NAME]:
        problem = f"it has inputs {graph.inputs} and outputs {graph.outputs}"
    else:
        picture, score = graph.shape(INPUT_NAME), graph.shape(OUTPUT_NAME)
        types = graph.element_type(INPUT_NAME), graph.element_type(OUTPUT_NAME)
        is_picture = len(picture) == 4 and picture[0] == 1 and picture[3] == 3
        if not is_picture or score != (1, 1) or types != ("UINT8", "FLOAT"):
            problem = f"it maps {types[0]} {picture} to {types[1]} {score}"
    if problem:
        raise GraphUnsupported(
            f"The graph is not a scoring graph: {problem}",
            why=f"the contract is {INPUT_NAME!r} uint8 (1, H, W, 3) to {OUTPUT_NAME!r} float32 (1, 1)",
            fix="export it with 'edge-iqa quantize'",
        )


def _convert(graph: OnnxGraph) -> bytes:
    builder = TfliteBuilder()
    conversion = Conversion(graph, builder)
    inputs = {}
    for name in graph.inputs:
        element_type = graph.element_type(name)
        if element_type not in _TENSOR_TYPES:
            raise GraphUnsupported(f"Input {name!r} is {element_type}", why="inputs are uint8 or float32")
        shape = graph.shape(name)
        inputs[name] = builder.tensor(name, shape, _TENSOR_TYPES[element_type])
        conversion.values[name] = Value(inputs[name], shape, tuple(range(len(shape))))
    for node in graph.nodes:
        if node.output[0] not in conversion.values:  # a ReLU may have been taken in by the operator before it
            write_node(conversion, node)
    outputs = {}
    for name in graph.outputs:
        if name not in conversion.values:
            raise GraphUnsupported(f"Output {name!r} is a constant", why="nothing computes it")
        index = conversion.identity(conversion.real(conversion.values[name])).index
        if index in inputs.values():
            raise GraphUnsupported(f"Output {name!r} is an input", why="nothing computes it")
        builder.rename(index, name)
        outputs[name] = index
    return builder.finish(inputs, outputs)
