"""Costs of layers against graphs with known sizes, limits against hand-made devices, estimates and their mark."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from edge_iqa.benchmarks.layer_costs import LayerCost, bundle_costs, graph_costs
from edge_iqa.benchmarks.onnx_shapes import read_graph
from edge_iqa.benchmarks.report_estimates import estimate_csv, estimate_lines, print_estimates
from edge_iqa.benchmarks.report_files import json_text, schema
from edge_iqa.benchmarks.roofline import MARK, Machine, estimates, measured_roofline, network_limit, processor_kind
from edge_iqa.benchmarks.run import BenchRequest, estimate_bench
from edge_iqa.benchmarks.sampling import PLANS
from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.devices.profile import DeviceProfile, Processor, load_profiles
from edge_iqa.errors import BundleRefused

# 1000 multiply-accumulates; 600 elements: 100 weights, 300 in, 200 out
LAYER = LayerCost("a", "Conv", 1000, 100, 300, 200, True, True, True, False)
FLOAT_LAYER = LayerCost("b", "Gemm", 1000, 100, 300, 200, False, True, False, False)


def device(memory_gb_s: float | None = 1.0, **rates: float) -> DeviceProfile:
    processor = Processor("gpu", "made up for this test", "https://example.org", **rates)  # type: ignore[arg-type]
    return DeviceProfile(1, "made-up", "Made up", (processor,), memory_gb_s)


def test_costs_of_the_embedded_network_are_those_of_its_graph() -> None:
    onnx = pytest.importorskip("onnx")
    bundle = read_bundle(default_bundle_path())
    costs = bundle_costs(bundle)
    assert costs is not None
    graph = onnx.load_from_string(bundle.files["model.onnx"]).graph
    shapes = {item.name: [d.dim_value for d in item.type.tensor_type.shape.dim] for item in graph.value_info}
    weights = {item.name: list(item.dims) for item in graph.initializer}
    macs = 0
    for node in graph.node:
        if node.op_type == "Conv":
            _, channels, height, width = shapes[node.output[0]]
            _, per_group, *kernel = weights[node.input[1]]
            macs += channels * height * width * per_group * kernel[0] * kernel[1]
        elif node.op_type in ("Gemm", "MatMul"):
            macs += weights[node.input[1]][0] * weights[node.input[1]][1]
    assert sum(cost.macs for cost in costs) == macs
    assert sum(not cost.quantized for cost in costs) == len(bundle.manifest.quantization.float_layers)
    assert [cost.from_picture for cost in costs] == [True] + [False] * (len(costs) - 1)
    assert sum(cost.input_quantized != cost.quantized for cost in costs) <= 2


def test_a_graph_without_layers_or_shapes_has_no_costs(sharpness_bundle: Path) -> None:
    assert bundle_costs(read_bundle(sharpness_bundle)) is None
    bundle = read_bundle(default_bundle_path())
    without_shapes = read_graph(bundle.files["model.int8.u8.onnx"])
    if len(without_shapes.shapes) < len(without_shapes.nodes):
        assert graph_costs(without_shapes) is None


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x0b\x0b", b"\xff" * 12])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(BundleRefused):
        read_graph(content)


def test_bytes_by_precision() -> None:
    assert [LAYER.bytes_moved(kind) for kind in ("int8", "fp16", "fp32")] == [600, 1200, 2400]
    # in the int8 model: weights and output in float32, input still int8
    assert FLOAT_LAYER.bytes_moved("int8") == 400 + 300 + 800
    assert FLOAT_LAYER.bytes_moved("fp16") == 1200


def test_the_larger_of_arithmetic_and_memory_is_the_limit() -> None:
    slow_memory = network_limit([LAYER], device(memory_gb_s=1e-3, int8_tops=1.0), _gpu(int8_tops=1.0), "int8")
    assert slow_memory is not None
    assert (slow_memory.limit_ms, slow_memory.compute_bound) == (pytest.approx(0.6), 0.0)
    slow_rate = network_limit([LAYER], device(), _gpu(int8_tops=1e-6), "int8")
    assert slow_rate is not None
    assert (slow_rate.limit_ms, slow_rate.compute_bound) == (pytest.approx(2.0), 1.0)
    both = network_limit([LAYER, LAYER], device(memory_gb_s=None), _gpu(int8_tops=1e-6), "int8")
    assert both is not None
    assert both.limit_ms == pytest.approx(4.0)


def test_float_layers_of_the_int8_model_run_at_the_float_rate() -> None:
    processor = _gpu(int8_tops=1.0, fp32_tops=1e-6)
    limit = network_limit([LAYER, FLOAT_LAYER], device(memory_gb_s=None), processor, "int8")
    assert limit is not None
    assert limit.limit_ms == pytest.approx(2.0, rel=1e-3)
    assert network_limit([FLOAT_LAYER], device(), _gpu(int8_tops=1.0), "int8") is None


def test_an_accelerator_leaves_float_layers_to_its_fallback() -> None:
    dla = Processor("dla", "b", "s", int8_tops=1.0, fallback="gpu")
    profile = DeviceProfile(1, "a", "A", (_gpu(fp32_tops=1e-6), dla))
    limit = network_limit([FLOAT_LAYER], profile, dla, "int8")
    assert limit is not None
    assert limit.limit_ms == pytest.approx(2.0)


def test_the_limit_of_a_processor_depends_on_cores_and_clock() -> None:
    generic = Processor("cpu", "b", "s", fp32_tops=32.0, per_core_and_ghz=True)
    profile = DeviceProfile(1, "a", "A", (generic,))
    two = network_limit([LAYER], profile, generic, "fp32", Machine(2, 2000.0))
    assert two is not None
    assert two.limit_ms == pytest.approx(2000 / (32 * 2 * 2 * 1e9) * 1e3)
    assert network_limit([LAYER], profile, generic, "fp32", Machine(2, None)) is None
    four_cores = Processor("cpu", "b", "s", fp32_tops=1e-6, cores=4)
    one = network_limit([LAYER], profile, four_cores, "fp32", Machine(1, None))
    all_of_them = network_limit([LAYER], profile, four_cores, "fp32", Machine(64, None))
    assert one is not None
    assert all_of_them is not None
    assert one.limit_ms == pytest.approx(4 * all_of_them.limit_ms)


def test_the_share_is_limit_over_measured_time() -> None:
    profile = device(memory_gb_s=None, int8_tops=1e-6)
    found = measured_roofline([LAYER], profile, "jetson", "int8", Machine(1, None), infer_ms=8.0)
    assert (found.limit_ms, found.share, found.profile, found.compute_bound) == (2.0, 0.25, "made-up", 1.0)
    assert measured_roofline([LAYER], profile, "tflite", "int8", Machine(1, None), 8.0).limit_ms is None
    assert measured_roofline(None, profile, "jetson", "int8", Machine(1, None), 8.0).profile is None
    assert measured_roofline([LAYER], profile, "jetson", "int8", Machine(1, None), None).share is None


@pytest.mark.parametrize(
    ("target", "kind"),
    [("tflite", "cpu"), ("openvino", "cpu"), ("openvino:gpu", "gpu"), ("jetson", "gpu"), ("jetson:dla1", "dla")],
)
def test_processor_of_a_target(target: str, kind: str) -> None:
    assert processor_kind(target) == kind


def test_estimates_for_a_kind_of_device_are_marked() -> None:
    found = estimates([LAYER, FLOAT_LAYER], load_profiles(), "jetson")
    assert {entry.device for entry in found} == {
        "jetson-orin-nano",
        "jetson-orin-nx",
        "jetson-agx-orin",
        "jetson-thor",
        "jetson-xavier-nx",
    }
    assert {entry.precision for entry in found} == {"fp32", "fp16", "int8"}
    assert all(entry.mark == MARK == "ESTIMATE" and entry.source.startswith("https://") for entry in found)
    accelerators = estimates([LAYER], load_profiles(), "jetson:dla0")
    assert {entry.processor for entry in accelerators} == {"dla"}
    everything = estimates([LAYER], load_profiles(), "cpu")
    assert {"raspberry-pi-5", "intel-n100", "jetson-thor"} <= {entry.device for entry in everything}
    assert not any(entry.device.startswith("x86") for entry in everything)


def test_a_result_of_estimates_has_no_rows_and_says_estimate_in_every_form() -> None:
    result = estimate_bench(BenchRequest(None, "jetson", PLANS["quick"], precision="int8"))
    assert result.rows == []
    assert {entry.precision for entry in result.estimates} == {"int8"}
    document = json.loads(json_text(result))
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(document, schema())
    assert {entry["mark"] for entry in document["estimates"]} == {"ESTIMATE"}
    stream = io.StringIO()
    print_estimates(result, stream)
    lines = stream.getvalue().splitlines()[1:]
    assert len(lines) == len(result.estimates)
    assert all(line.startswith("ESTIMATE ") and len(line) <= 120 for line in lines)
    assert estimate_lines(result)[0].startswith("ESTIMATE")
    rows = list(csv.DictReader(io.StringIO(estimate_csv(result.estimates))))
    assert {row["mark"] for row in rows} == {"ESTIMATE"}


def test_a_bundle_without_layers_cannot_be_estimated(sharpness_bundle: Path) -> None:
    with pytest.raises(BundleRefused, match="estimated"):
        estimate_bench(BenchRequest(sharpness_bundle, "jetson", PLANS["quick"]))


def _gpu(**rates: float) -> Processor:
    return Processor("gpu", "b", "s", **rates)  # type: ignore[arg-type]
