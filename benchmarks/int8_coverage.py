"""Which layers really run on int8 kernels: asked of each runtime's own compiled graph, not of the file.

    python -m edge_iqa.benchmarks.int8_coverage [--bundle B.eiqa] [--json F]

An int8 file is no proof: a runtime may put a layer back to float where it has no kernel for it. ONNX Runtime is
asked for its optimized graph, OpenVINO for its execution graph with the kernel of each node, TFLite's operators
carry their types. Layers are those with weights: convolutions and matrix products with a constant. A product of two
activations, as in an attention pool, is none.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.errors import EdgeIqaError
from edge_iqa.export.graph_view import GraphView
from edge_iqa.lazy import need

SCHEMA_VERSION = 1
WEIGHTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Coverage:
    """How one runtime runs the int8 model.

    ``int8_layers`` and ``float_layers`` count layers with weights; ``fallbacks`` is how many of those that the graph
    wants in int8 are not. ``operators`` counts every operator as the runtime names it, with its kernel or types where
    it tells.
    """

    runtime: str
    int8_layers: int
    float_layers: int
    fallbacks: int
    operators: dict[str, int]


def declared_layers(graph: bytes) -> tuple[int, int]:
    """Return how many layers of a Q/DQ ONNX graph are meant to run in int8, and how many in float.

    A layer is meant to run in int8 where both its input and its weights come from a DequantizeLinear.
    """
    need("onnx", "export")
    import onnx

    view = GraphView(onnx.load_from_string(graph))
    layers = _weighted(view)
    int8 = sum(all(view.maker(name) == "DequantizeLinear" for name in node.input[:2]) for node in layers)
    return int8, len(layers) - int8


def _weighted(view: GraphView) -> list[Any]:
    """Return the float nodes, fused ones too, whose second input is a constant, quantized or not."""

    def constant(name: str) -> bool:
        maker = view.producer.get(name)
        return name in view.constants or (
            maker is not None and maker.op_type == "DequantizeLinear" and view.stored_weights(maker) is not None
        )

    return [
        node for node in view.graph.node if node.op_type.removeprefix("Fused") in WEIGHTED and constant(node.input[1])
    ]


def onnxruntime_operators(files: dict[str, bytes]) -> tuple[int, int, Counter[str]]:
    """Return int8 layers, float layers and operators of the graph that ONNX Runtime runs after its optimizations."""
    need("onnx", "export")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "optimized.onnx")
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(files["model.int8.u8.onnx"], options, providers=["CPUExecutionProvider"])
        view = GraphView(onnx.load(path))
    operators = Counter(node.op_type for node in view.graph.node)
    int8 = sum(operators[name] for name in ("QLinearConv", "QGemm", "QLinearMatMul", "ConvInteger", "MatMulInteger"))
    return int8, len(_weighted(view)), operators


def openvino_operators(files: dict[str, bytes]) -> tuple[int, int, Counter[str]]:
    """Return int8 layers, float layers and ``type (kernel)`` of OpenVINO's execution graph."""
    need("openvino", "openvino")
    import openvino

    core = openvino.Core()
    model = core.read_model(files["openvino/model.xml"], files["openvino/model.bin"])
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    operators: Counter[str] = Counter()
    int8 = floats = 0
    for node in compiled.get_runtime_model().get_ordered_ops():
        facts = node.get_rt_info()
        kind, kernel = (_text(facts, key) for key in ("layerType", "primitiveType"))
        if kind in ("Const", "Reshape", "Input", "Output"):
            continue
        operators[f"{kind} ({kernel})"] += 1
        if kind in ("Convolution", "GroupConvolution", "FullyConnected", "MatMul"):
            runs_int8 = kernel.upper().endswith(("_I8", "_U8"))
            int8, floats = int8 + runs_int8, floats + (not runs_int8)
    return int8, floats, operators


def tflite_operators(files: dict[str, bytes]) -> tuple[int, int, Counter[str]]:
    """Return int8 layers, float layers and ``operator (input type)`` of the TFLite file.

    TFLite chooses a kernel by the types of an operator, so the types are the answer; with XNNPACK as without it.
    """
    need("ai_edge_litert", "tflite")
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    types = {value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(files["model.int8.tflite"], 0))
    graph = model.subgraphs[0]
    operators: Counter[str] = Counter()
    int8 = floats = 0
    for operator in graph.operators:
        kind = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        read = [types[graph.tensors[index].type] for index in operator.inputs if index >= 0]
        operators[f"{kind} ({read[0]})"] += 1
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            runs_int8 = read[:2] == ["INT8", "INT8"]
            int8, floats = int8 + runs_int8, floats + (not runs_int8)
    return int8, floats, operators


RUNTIMES: dict[str, tuple[tuple[str, ...], Callable[[dict[str, bytes]], tuple[int, int, Counter[str]]]]] = {
    "onnxruntime": (("model.int8.u8.onnx",), onnxruntime_operators),
    "openvino": (("openvino/model.xml", "openvino/model.bin"), openvino_operators),
    "tflite": (("model.int8.tflite",), tflite_operators),
}


def int8_coverage(bundle: Bundle, runtime: str) -> Coverage:
    """Return how a runtime runs a bundle's int8 model.

    Raises MissingDependency where the runtime is not installed, BundleRefused where the bundle has nothing for it.
    """
    names, count = RUNTIMES[runtime]
    wanted, _ = declared_layers(bundle.take(("model.int8.onnx",), "int8 coverage")["model.int8.onnx"])
    int8, floats, operators = count(bundle.take(names, f"{runtime} int8"))
    return Coverage(runtime, int8, floats, wanted - int8, dict(sorted(operators.items())))


def coverage_document(bundle: Bundle) -> dict[str, Any]:
    """Return the coverage of every CPU runtime; one that cannot say has its error in its place."""
    rows: list[dict[str, Any]] = []
    for runtime in RUNTIMES:
        try:
            rows.append(asdict(int8_coverage(bundle, runtime)))
        except EdgeIqaError as error:
            rows.append({"runtime": runtime, "error": error.as_dict()})
    declared = list(bundle.manifest.quantization.float_layers)
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.sha256},
        "declared_float_layers": declared,
        "runtimes": rows,
    }


def _text(facts: Any, key: str) -> str:
    return str(facts[key].astype(str)) if key in facts else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the layers that run on int8 kernels, per runtime.")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    document = coverage_document(read_bundle(options.bundle))
    print(f"declared float: {', '.join(document['declared_float_layers']) or 'none'}\n")
    print("| runtime | int8 layers | float layers | fallbacks |\n| --- | --- | --- | --- |")
    for row in document["runtimes"]:
        counts = [str(row.get(key, "-")) for key in ("int8_layers", "float_layers", "fallbacks")]
        print(f"| {row['runtime']} | {' | '.join(counts)} |")
    for row in document["runtimes"]:
        text = row["error"]["message"] if "error" in row else ", ".join(f"{n} {k}" for k, n in row["operators"].items())
        print(f"\n{row['runtime']}: {text}")
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
