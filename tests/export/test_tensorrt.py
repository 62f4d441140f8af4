"""TensorRT's rules on a small residual network, one breach at a time, and its compiler if installed."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.errors import DeviceUnavailable, GraphUnsupported, InvalidInput, MissingDependency
from edge_iqa.export.qdq import unsigned_dialect
from edge_iqa.export.tensorrt import (
    check_tensorrt_graph,
    compile_ahead_of_time,
    dialect_for_tensorrt_8,
)
from edge_iqa.export.tensorrt_ahead import CONVOLUTION_KINDS, AheadOfTimeReport, EngineLayer, parse_layers
from edge_iqa.export.tensorrt_report import check_bundle_graph
from edge_iqa.export.tensorrt_variants import strip_additions, variants
from edge_iqa.export.trtexec import trtexec_command
from edge_iqa.golden import golden_image, read_golden
from edge_iqa.preprocess import preprocess

onnx = pytest.importorskip("onnx")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

SIZE = 16


def residual_graph() -> Any:
    """Return a signed Q/DQ model: uint8 ``(1, 16, 16, 3)``, two convolutions, an addition, a float head."""
    random = np.random.default_rng(3)
    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {
        "offset": np.full((1, 1, 1, 3), 120, np.float32),
        "factor": np.full((1, 1, 1, 3), 1 / 60, np.float32),
        "zero": np.zeros((), np.int8),
        "axes": np.array([2, 3]),
        "head": random.normal(size=(1, 4)).astype(np.float32),
    }

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"node_{output}", **attributes))
        return output

    def quantized(name: str, scale: float) -> str:
        constants[f"{name}_scale"] = np.array(scale, np.float32)
        add("QuantizeLinear", [name, f"{name}_scale", "zero"], f"{name}_q")
        return add("DequantizeLinear", [f"{name}_q", f"{name}_scale", "zero"], f"{name}_dq")

    def convolved(source: str, name: str, shape: tuple[int, ...]) -> str:
        constants[f"{name}_w"] = random.integers(-63, 64, shape).astype(np.int8)
        constants[f"{name}_w_scale"] = random.uniform(0.003, 0.006, shape[0]).astype(np.float32)
        constants[f"{name}_w_zero"] = np.zeros(shape[0], np.int8)
        operands = [f"{name}_w", f"{name}_w_scale", f"{name}_w_zero"]
        weight = add("DequantizeLinear", operands, f"{name}_w_dq", axis=0)
        return add("Conv", [source, weight], name, pads=[shape[2] // 2] * 4)

    add("Cast", ["image"], "float", to=TensorProto.FLOAT)
    add("Sub", ["float", "offset"], "centred")
    add("Mul", ["centred", "factor"], "scaled")
    add("Transpose", ["scaled"], "planes", perm=[0, 3, 1, 2])
    add("Relu", [convolved(quantized("planes", 0.02), "first", (4, 3, 3, 3))], "active")
    trunk = quantized("active", 0.01)
    branch = quantized(convolved(trunk, "second", (4, 4, 1, 1)), 0.01)
    add("Add", [trunk, branch], "sum")
    add("ReduceMean", [quantized("sum", 0.02), "axes"], "mean", keepdims=0, noop_with_empty_axes=0)
    add("Gemm", ["mean", "head"], "logit", transB=1)
    add("Sigmoid", ["logit"], "score")
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def constant(model: Any, name: str, value: np.ndarray) -> None:
    """Give an initialiser another value."""
    item = next(item for item in model.graph.initializer if item.name == name)
    item.CopyFrom(numpy_helper.from_array(value, name))


def node(model: Any, name: str) -> Any:
    return next(item for item in model.graph.node if item.name == f"node_{name}")


def rules(model: Any) -> set[str]:
    return {finding.rule for finding in check_tensorrt_graph(model)}


def run(model: Any) -> list[float]:
    """Return the scores of three pictures, computed without any rewriting of the graph."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(5)
    images = [random.integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8) // (step + 1) for step in range(3)]
    return [float(session.run(None, {"image": image})[0].item()) for image in images]


# --- the rules


def test_a_right_graph_passes() -> None:
    assert check_tensorrt_graph(residual_graph()) == []


def test_the_embedded_bundles_signed_graph_passes() -> None:
    bundle = read_bundle(default_bundle_path())
    files = bundle.files
    signed = onnx.load_model_from_string(files["model.int8.onnx"])
    kept_float = [name for name in bundle.manifest.quantization.float_layers if name.startswith("trunk.")]
    assert check_tensorrt_graph(signed, float_convolutions=len(kept_float)) == []
    assert {finding.rule for finding in check_tensorrt_graph(signed)} <= {"float-conv"}
    unsigned = onnx.load_model_from_string(files["model.int8.u8.onnx"])
    assert {"signed", "zero-point"} <= rules(unsigned)


def test_the_unsigned_dialect_is_refused() -> None:
    assert {"signed", "zero-point"} <= rules(unsigned_dialect(residual_graph()))


def shifted_zero_point(model: Any) -> None:
    constant(model, "zero", np.array(3, np.int8))


def unsigned_zero_point(model: Any) -> None:
    constant(model, "zero", np.zeros((), np.uint8))


def no_zero_point(model: Any) -> None:
    del node(model, "planes_q").input[2]


def zero_points_fewer_than_scales(model: Any) -> None:
    node(model, "first_w_dq").input[2] = "zero"


def per_channel_activation(model: Any) -> None:
    constant(model, "planes_scale", np.full(3, 0.02, np.float32))


def negative_scale(model: Any) -> None:
    constant(model, "planes_scale", np.array(-0.02, np.float32))


def computed_scale(model: Any) -> None:
    node(model, "sum_q").input[1] = "logit"


def unlike_scales(model: Any) -> None:
    node(model, "sum_dq").input[1] = "active_scale"


def weight_along_inputs(model: Any) -> None:
    node(model, "second_w_dq").attribute[0].i = 1


def too_few_weight_scales(model: Any) -> None:
    constant(model, "first_w_scale", np.full(2, 0.01, np.float32))
    constant(model, "first_w_zero", np.zeros(2, np.int8))


def computed_weight(model: Any) -> None:
    node(model, "second").input[1] = "planes_dq"


def float_weight(model: Any) -> None:
    node(model, "second").input[1] = "head"


def float_input(model: Any) -> None:
    node(model, "first").input[0] = "planes"


def float_residual(model: Any) -> None:
    node(model, "sum").input[1] = "second"


def integers_read_directly(model: Any) -> None:
    node(model, "mean").input[0] = "sum_q"


def newer_opset(model: Any) -> None:
    model.opset_import[0].version = 23


def foreign_operator(model: Any) -> None:
    node(model, "sum").domain = "com.example"


def double_constant(model: Any) -> None:
    constant(model, "head", np.ones((1, 4), np.float64))


def computing_with_integers(model: Any) -> None:
    constant(model, "factor", np.ones((1, 1, 1, 3), np.int64))


def external_constant(model: Any) -> None:
    next(item for item in model.graph.initializer if item.name == "head").data_location = TensorProto.EXTERNAL


def uint8_computed_with(model: Any) -> None:
    node(model, "centred").input[0] = "image"


def float_picture(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def uint8_inside(model: Any) -> None:
    model.graph.node.append(helper.make_node("Cast", ["float"], ["again"], to=TensorProto.UINT8))


def open_height(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"


def half_output(model: Any) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def second_output(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("logit", TensorProto.FLOAT, [1, 1]))


def computed_axes(model: Any) -> None:
    node(model, "mean").input[1] = "logit"


@pytest.mark.parametrize(
    ("breach", "rule"),
    [
        (shifted_zero_point, "zero-point"),
        (unsigned_zero_point, "signed"),
        (no_zero_point, "signed"),
        (zero_points_fewer_than_scales, "zero-point"),
        (per_channel_activation, "scale"),
        (negative_scale, "scale"),
        (computed_scale, "scale"),
        (unlike_scales, "pair"),
        (integers_read_directly, "pair"),
        (weight_along_inputs, "weight"),
        (too_few_weight_scales, "weight"),
        (computed_weight, "conv"),
        (float_weight, "conv"),
        (float_input, "conv"),
        (float_residual, "residual"),
        (newer_opset, "opset"),
        (foreign_operator, "domain"),
        (double_constant, "constant-type"),
        (computing_with_integers, "constant-type"),
        (external_constant, "external-data"),
        (uint8_computed_with, "input"),
        (float_picture, "input"),
        (uint8_inside, "uint8"),
        (open_height, "static-shape"),
        (half_output, "output"),
        (second_output, "output"),
        (computed_axes, "constant-operand"),
    ],
)
def test_each_breach_is_found(breach: Callable[[Any], None], rule: str) -> None:
    model = residual_graph()
    breach(model)
    assert rule in rules(model)


def test_a_finding_names_the_node() -> None:
    model = residual_graph()
    float_residual(model)
    (finding,) = check_tensorrt_graph(model)
    assert (finding.rule, finding.node) == ("residual", "node_sum")
    assert "second" in str(finding)


# --- the dialect for JetPack 5


def test_the_dialect_for_tensorrt_8_computes_the_same() -> None:
    model = residual_graph()
    before = model.SerializeToString()
    older = dialect_for_tensorrt_8(model)
    assert model.SerializeToString() == before
    assert run(older) == run(model)
    assert len(set(run(model))) == 3
    assert check_tensorrt_graph(older) == []


def test_the_dialect_for_tensorrt_8_has_the_older_form() -> None:
    older = dialect_for_tensorrt_8(residual_graph())
    assert [item.version for item in older.opset_import] == [17]
    assert older.ir_version == 8
    mean = node(older, "mean")
    assert len(mean.input) == 1
    assert {item.name: list(item.ints) for item in mean.attribute if item.name == "axes"} == {"axes": [2, 3]}
    names = {item.name: item.data_type for item in older.graph.initializer}
    assert "first_w" not in names
    assert "axes" not in names
    quantize = next(item for item in older.graph.node if item.output[0] == node(older, "first_w_dq").input[0])
    assert names[quantize.input[0]] == TensorProto.FLOAT
    assert dialect_for_tensorrt_8(older).SerializeToString() == older.SerializeToString()


def test_the_dialect_for_tensorrt_8_refuses_what_it_does_not_know() -> None:
    model = residual_graph()
    node(model, "score").op_type = "Gelu"
    with pytest.raises(GraphUnsupported, match="Gelu"):
        dialect_for_tensorrt_8(model)
    model = residual_graph()
    computed_axes(model)
    with pytest.raises(GraphUnsupported, match="node_mean"):
        dialect_for_tensorrt_8(model)


# --- trtexec


@pytest.mark.parametrize(
    ("version", "precision", "expected"),
    [
        ("8.6.2", "int8", {"--int8", "--fp16"}),
        ("10.3", "int8", {"--stronglyTyped"}),
        ("11.4", "int8", set()),
        ("10.3", "fp16", {"--fp16"}),
        ("11.4", "fp16", set()),
        ("11.4", "fp32", {"--noTF32"}),
    ],
)
def test_trtexec_takes_the_switches_of_its_version(version: str, precision: str, expected: set[str]) -> None:
    words = shlex.split(trtexec_command("my graph.onnx", "out/a.engine", version, precision))
    assert words[:3] == ["trtexec", "--onnx=my graph.onnx", "--saveEngine=out/a.engine"]
    assert "--timingCacheFile=out/a.timing" in words
    assert {word for word in words if "=" not in word} - {"trtexec"} == expected


def test_trtexec_refuses_what_no_switch_can_do() -> None:
    with pytest.raises(DeviceUnavailable, match="too old"):
        trtexec_command("a.onnx", "a.engine", "8.4", "fp16")


# --- compiling ahead of time


def test_layers_are_read_from_the_log() -> None:
    line = (
        "Name: conv_1, LayerType: correlation, "
        "Inputs: [ { Name: x, Dimensions: [1,4,8,8], Datatype: Int8, Format: y }], "
        "Constants: [ { Name: w, Dimensions: [4,4,1,1], Datatype: Int8 }, { Name: s, Datatype: Float }], "
        "Outputs: [ { Name: o, Datatype: Float, Format: y }], TacticName: t, StreamId: 0, Metadata: "
    )
    (layer,) = parse_layers(["Layers:", line, "Name: image, IOMode: Input"])
    assert layer == EngineLayer("conv_1", "correlation", ("Int8",), ("Int8", "Float"), ("Float",))
    assert layer.is_int8_convolution
    report = AheadOfTimeReport("8.6", "compiler", 1.0, 10, 1, (layer,))
    assert report.all_convolutions_int8
    assert not AheadOfTimeReport("8.6", "compiler", 1.0, 10, 2, (layer,)).all_convolutions_int8
    assert not AheadOfTimeReport("8.6", "compiler", 1.0, 10, 0, ()).all_convolutions_int8


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingDependency, match="trt-check"):
        compile_ahead_of_time(b"")


@pytest.mark.parametrize("capability", ["8.6", "8.9"])
def test_the_compiler_makes_every_convolution_int8(capability: str) -> None:
    pytest.importorskip("tensorrt_rtx")
    model = residual_graph()
    for form in (model, dialect_for_tensorrt_8(model)):
        report = compile_ahead_of_time(form.SerializeToString(), capability)
        assert report.convolutions == 2
        assert report.all_convolutions_int8
        assert report.engine_bytes > 0


def test_the_compiler_takes_the_embedded_bundle() -> None:
    pytest.importorskip("tensorrt_rtx")
    bundle = read_bundle(default_bundle_path())
    files = bundle.files
    report = compile_ahead_of_time(files["model.int8.onnx"])
    assert report.convolutions > 10
    kept_float = [name for name in bundle.manifest.quantization.float_layers if name.startswith("trunk.")]
    assert report.convolutions - report.int8_convolutions <= len(kept_float)
    assert not compile_ahead_of_time(files["model.onnx"]).int8_convolutions


def test_the_compiler_refuses_what_the_checker_refuses() -> None:
    pytest.importorskip("tensorrt_rtx")
    with pytest.raises(GraphUnsupported, match="zero point"):
        compile_ahead_of_time(unsigned_dialect(residual_graph()).SerializeToString())
    with pytest.raises(InvalidInput, match=r"8\.7"):
        compile_ahead_of_time(b"", "8.7")


# --- variants


def test_the_variants_pass_the_checker_and_score_as_the_graph() -> None:
    bundle = read_bundle(default_bundle_path())
    made = variants(bundle.files["model.int8.onnx"], bundle.files["model.onnx"])
    kept_float = len(bundle.manifest.quantization.float_layers)
    for name, fused in (("model.int8.opset17.onnx", False), ("model.int8.fused-add.onnx", True)):
        graph = onnx.load_model_from_string(made[name])
        assert check_tensorrt_graph(graph, float_convolutions=kept_float, fused_additions=fused) == []
    stripped = onnx.load_model_from_string(made["model.int8.fused-add.onnx"])
    assert {finding.rule for finding in check_tensorrt_graph(stripped, float_convolutions=kept_float)} == {"residual"}
    picture = preprocess(golden_image(bundle, read_golden(bundle).pictures[0]), bundle.manifest.preprocess)
    for name, original in (
        ("model.int8.opset17.onnx", "model.int8.onnx"),
        ("model.int8.fused-add.onnx", "model.int8.onnx"),
        ("model.opset17.onnx", "model.onnx"),
        ("model.fp16.onnx", "model.onnx"),
    ):
        assert session_score(made[name], picture) == pytest.approx(
            session_score(bundle.files[original], picture), abs=bundle.manifest.golden_tolerance
        )


def session_score(content: bytes, picture: Any) -> float:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return float(session.run(None, {"image": picture})[0].item())


def test_stripping_keeps_one_input_of_each_addition_quantized() -> None:
    model = residual_graph()
    before = [node.op_type for node in model.graph.node]
    after = strip_additions(model)
    left = [node.op_type for node in after.graph.node]
    assert before.count("QuantizeLinear") - left.count("QuantizeLinear") == 1
    assert [node.op_type for node in model.graph.node] == before
    assert check_tensorrt_graph(after, fused_additions=True) == []


def test_the_compiler_takes_the_variants() -> None:
    pytest.importorskip("tensorrt_rtx")
    bundle = read_bundle(default_bundle_path())
    made = variants(bundle.files["model.int8.onnx"], bundle.files["model.onnx"])
    whole = compile_ahead_of_time(bundle.files["model.int8.onnx"])
    for name in ("model.int8.opset17.onnx", "model.int8.fused-add.onnx"):
        assert compile_ahead_of_time(made[name]).int8_convolutions == whole.int8_convolutions
    half = compile_ahead_of_time(made["model.fp16.onnx"])
    kinds = [layer.inputs[0] for layer in half.layers if layer.kind in CONVOLUTION_KINDS]
    assert kinds == ["Half"] * half.convolutions


def test_the_report_of_a_bundle_names_what_is_broken() -> None:
    bundle = read_bundle(default_bundle_path())
    assert "no breach" in check_bundle_graph(bundle)
    broken = onnx.load_model_from_string(bundle.files["model.int8.onnx"])
    quantize = next(item for item in broken.graph.node if item.op_type == "QuantizeLinear")
    constant(broken, quantize.input[2], np.array(3, np.int8))
    other = dataclasses.replace(bundle, files={**bundle.files, "model.int8.onnx": broken.SerializeToString()})
    with pytest.raises(GraphUnsupported, match="zero-point") as caught:
        check_bundle_graph(other)
    assert quantize.name in caught.value.why
