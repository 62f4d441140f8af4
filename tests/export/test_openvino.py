"""OpenVINO rounds what convolutions bring to a sum, as the other runtimes do."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from edge_iqa.export.openvino import keep_roundings

onnx = pytest.importorskip("onnx", reason="graphs are made with onnx")
CHANNELS, SIDE = 8, 24


def residual_block(*, around: float, branch: float, result: float) -> Any:
    """Return a Q/DQ graph relu(x + conv(relu(conv(x)))) with these steps on uint8 grids."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weight = rng.integers(-63, 64, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
    constants: dict[str, Any] = {
        "weight": weight,
        "weight_step": np.float32(0.002),
        "weight_zero": np.int8(0),
        "bias": np.zeros(CHANNELS, np.float32),
    }
    nodes = []

    def rounded(name: str, step: float, zero: int) -> str:
        constants[f"{name}_step"], constants[f"{name}_zero"] = np.float32(step), np.uint8(zero)
        grid = [f"{name}_step", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *grid], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", *grid], [f"{name}_d"]))
        return f"{name}_d"

    start = rounded("x", around, 0)
    nodes.append(helper.make_node("DequantizeLinear", ["weight", "weight_step", "weight_zero"], ["w"]))
    nodes.append(helper.make_node("Conv", [start, "w", "bias"], ["first"], pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("Relu", ["first"], ["middle"]))
    nodes.append(helper.make_node("Conv", [rounded("middle", 0.043, 0), "w", "bias"], ["branch"], pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("Add", [start, rounded("branch", branch, 128)], ["sum"]))
    nodes.append(helper.make_node("Relu", ["sum"], ["result"]))
    last = rounded("result", result, 0)
    shape = [1, CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def test_a_sum_is_of_rounded_terms() -> None:
    openvino = pytest.importorskip("openvino")
    import onnxruntime

    model = residual_block(around=0.0213, branch=0.151, result=0.0397)  # of no common measure: no ties
    x = np.random.default_rng(1).uniform(0, 5, (1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    [exact] = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    core = openvino.Core()
    converted = core.read_model(io.BytesIO(keep_roundings(model).SerializeToString()))
    compiled = core.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([x])[0]
    assert np.unique(exact).size > 100
    assert (np.abs(found - exact) > 0.5 * 0.0397).mean() < 0.001
    layers = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    convolutions = [info for info in layers if info["layerType"].astype(str) == "Convolution"]
    assert [info["runtimePrecision"].astype(str) for info in convolutions] == ["u8", "u8"]
