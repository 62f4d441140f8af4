"""The int8 model of the shipped bundle runs on int8 kernels in every runtime, but for the layers declared float."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_iqa.backends.base import backend_class
from edge_iqa.benchmarks.int8_coverage import (
    RUNTIMES,
    coverage_document,
    declared_layers,
    int8_coverage,
    main,
    onnxruntime_operators,
)
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle

onnx = pytest.importorskip("onnx", reason="graphs are read with onnx")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


def skip_without(runtime: str) -> None:
    reason = backend_class(runtime).unavailable()
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_layer_falls_back_to_float(bundle: Bundle, runtime: str) -> None:
    skip_without(runtime)
    int8, floats = declared_layers(bundle.files["model.int8.onnx"])
    assert floats == len(bundle.manifest.quantization.float_layers)
    assert int8 > floats
    found = int8_coverage(bundle, runtime)
    assert (found.int8_layers, found.float_layers, found.fallbacks) == (int8, floats, 0)


def test_products_of_activations_are_no_layers() -> None:
    """HiRQA-S has two in its pool, beside five linear layers that stay float; each convolution runs in int8."""
    hirqa_s = Path(__file__).parents[2] / "models" / "bundles" / "hirqa-s.onnxruntime.eiqa"
    files = read_bundle(hirqa_s).files
    assert declared_layers(files["model.int8.u8.onnx"]) == (20, 5)
    assert onnxruntime_operators(dict(files))[:2] == (20, 5)


def test_onnx_runtime_fuses_convolutions_and_additions(bundle: Bundle) -> None:
    """What is left of Q/DQ in its optimized graph only leads from float to int8 and back."""
    model = onnx.load_from_string(bundle.files["model.int8.u8.onnx"])
    producer = {name: node.op_type for node in model.graph.node for name in node.output}
    additions = sum(
        node.op_type == "Add" and all(producer.get(name) == "DequantizeLinear" for name in node.input)
        for node in model.graph.node
    )
    operators = int8_coverage(bundle, "onnxruntime").operators
    assert operators.get("QLinearAdd", 0) == additions
    assert operators["QLinearConv"] == declared_layers(bundle.files["model.int8.u8.onnx"])[0]
    pairs = sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    assert operators.get("QuantizeLinear", 0) + operators.get("DequantizeLinear", 0) < pairs / 3


def test_openvino_names_int8_kernels(bundle: Bundle) -> None:
    skip_without("openvino")
    found = int8_coverage(bundle, "openvino")
    kernels = {name: count for name, count in found.operators.items() if name.startswith("Convolution")}
    assert sum(count for name, count in kernels.items() if "I8" in name) == found.int8_layers
    assert all("f32" in name or "I8" in name for name in kernels)


def test_tflite_operators_have_int8_types(bundle: Bundle) -> None:
    skip_without("tflite")
    operators = int8_coverage(bundle, "tflite").operators
    assert operators["CONV_2D (INT8)"] > operators.get("CONV_2D (FLOAT32)", 0)
    assert not any(name.startswith(("ADD (FLOAT32)", "HARD_SWISH", "TRANSPOSE")) for name in operators)


def test_a_fallback_is_seen(bundle: Bundle) -> None:
    """A convolution whose input has lost its quantization runs in float, and is counted so."""
    model = onnx.load_from_string(bundle.files["model.int8.u8.onnx"])
    producer = {name: node for node in model.graph.node for name in node.output}
    broken = copy.deepcopy(model)
    conv = next(node for node in broken.graph.node if node.op_type == "Conv" and _reads_a_sum(node, producer))
    dequantize = producer[conv.input[0]]
    conv.input[0] = producer[dequantize.input[0]].input[0]  # past its quantization, to the float activation
    before = int8_coverage(bundle, "onnxruntime")
    files = {**bundle.files, "model.int8.u8.onnx": broken.SerializeToString()}
    after = int8_coverage(replace(bundle, files=files), "onnxruntime")
    assert (after.int8_layers, after.float_layers) == (before.int8_layers - 1, before.float_layers + 1)
    assert after.fallbacks == 1


def _reads_a_sum(node: Any, producer: dict[str, Any]) -> bool:
    """Tell whether a node reads a rounded sum: no other convolution loses its integers with that rounding."""
    kinds = []
    source = producer.get(node.input[0])
    while source is not None and len(kinds) < 3:
        kinds.append(source.op_type)
        source = producer.get(source.input[0])
    return kinds == ["DequantizeLinear", "QuantizeLinear", "Add"]


def test_document_and_command(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "coverage.json"
    monkeypatch.setattr("sys.argv", ["int8_coverage", "--json", str(output)])
    main()
    document = json.loads(output.read_text())
    assert document == json.loads(json.dumps(coverage_document(bundle)))
    assert document["schema_version"] == 1
    assert [row["runtime"] for row in document["runtimes"]] == list(RUNTIMES)
    assert f"| onnxruntime | {document['runtimes'][0]['int8_layers']} |" in capsys.readouterr().out
