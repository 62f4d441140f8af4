"""The Q/DQ graph and its unsigned dialect: same scores as training, right types, the clip kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import fx

import edge_iqa
from edge_iqa.decode import read_image
from edge_iqa.export.qdq import integer_pixels, round_biases, unsigned_dialect
from edge_iqa.models.lite import HirqaSLite
from edge_iqa.models.teacher import normalised
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.freeze import PixelInput, export_float, export_int8
from edge_iqa.quantize.pixel_grid import pixel_grid
from edge_iqa.quantize.prepare import prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.reconstruct import reconstruct

SIZE = (128, 160)


@dataclass(frozen=True)
class Exported:
    """A seeded student in all its forms."""

    network: HirqaSLite
    prepared: fx.GraphModule
    for_tensorrt: fx.GraphModule
    float_graph: onnx.ModelProto
    signed: onnx.ModelProto
    unsigned: onnx.ModelProto
    pictures: list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def exported(student: HirqaSLite, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("graphs")
    network = student
    photographs = sorted((Path(edge_iqa.__file__).parent / "assets" / "photographs").glob("*.jpg"))[:6]
    pictures = [preprocess(read_image(path), PreprocessSpec(*SIZE)) for path in photographs]
    pixels = normalised(torch.from_numpy(np.concatenate(pictures)), network.mean, network.std)
    grid = pixel_grid(network.mean, network.std)
    prepared, for_tensorrt = (prepare(network, pixels=grid, signed=signed) for signed in (False, True))
    graphs = []
    for one in (prepared, for_tensorrt):
        set_ranges(one, [pixels])
        reconstruct(one, [pixels])
        export_int8(one, network.mean, network.std, SIZE, folder / "int8.onnx")
        graphs.append(onnx.load(folder / "int8.onnx"))
    export_float(network, network.mean, network.std, SIZE, folder / "float.onnx")
    float_graph, unsigned, signed = onnx.load(folder / "float.onnx"), unsigned_dialect(graphs[0]), graphs[1]
    return Exported(network, prepared, for_tensorrt, float_graph, signed, unsigned, pictures)


def _score(model: torch.nn.Module, network: HirqaSLite, picture: NDArray[np.uint8]) -> float:
    with torch.no_grad():
        return float(PixelInput(model, network.mean, network.std)(torch.from_numpy(picture)))


def _run(model: onnx.ModelProto, picture: NDArray[np.uint8], *, plain: bool = True) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return float(session.run(None, {"image": picture})[0][0, 0])


def _initialisers(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def test_float_graph_scores_as_the_network(exported: Exported) -> None:
    for picture in exported.pictures:
        assert abs(_run(exported.float_graph, picture) - _score(exported.network, exported.network, picture)) < 1e-5


def test_each_graph_scores_as_its_fake_quantization_even_beyond_the_calibrated_range(exported: Exported) -> None:
    checker = np.zeros((1, *SIZE, 3), np.uint8)
    checker[:, ::2, ::2] = 255  # far stronger contrast than the ranges were set on
    for graph, prepared in ((exported.unsigned, exported.prepared), (exported.signed, exported.for_tensorrt)):
        rounded = round_biases(graph)  # as in a bundle, and as fake quantization does
        differences = [
            abs(_run(rounded, picture) - _score(prepared, exported.network, picture))
            for picture in [*exported.pictures, checker]
        ]
        assert np.mean(differences) < 5e-3
        assert max(differences) < 2e-2  # single roundings flip; an untrained network amplifies them


def test_contract_is_uint8_in_and_one_float_out(exported: Exported) -> None:
    for model in (exported.float_graph, exported.signed, exported.unsigned):
        image, score = model.graph.input[0], model.graph.output[0]
        assert image.name == "image"
        assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert [d.dim_value for d in image.type.tensor_type.shape.dim] == [1, *SIZE, 3]
        assert score.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert [d.dim_value for d in score.type.tensor_type.shape.dim] == [1, 1]


def test_signed_graph_has_zero_point_zero_and_eight_bit_weights(exported: Exported) -> None:
    constants = _initialisers(exported.signed)
    for node in exported.signed.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    weights = [value for value in constants.values() if value.dtype == np.int8 and value.ndim == 4]
    assert len(weights) == 38
    assert all(np.abs(weight).max() == 127 for weight in weights)


def test_no_two_weights_that_meet_in_16_bits_are_too_large_together(exported: Exported) -> None:
    constants = _initialisers(exported.unsigned)
    weights = [value.astype(int) for value in constants.values() if value.dtype == np.int8 and value.ndim == 4]
    assert len(weights) == 38
    for weight in weights:
        channels = weight.shape[1]
        if channels == 1:
            assert np.abs(weight).max() == 127  # depthwise: nothing meets
        elif channels % 2:
            assert np.abs(weight).max() == 63
        else:
            assert 64 <= np.abs(weight).max() <= 127
            assert np.abs(weight[:, 0::2] + weight[:, 1::2]).max() <= 128


def test_every_pixel_is_exact_on_the_cpu_runtimes(exported: Exported) -> None:
    constants = _initialisers(exported.unsigned)
    first = next(node for node in exported.unsigned.graph.node if node.op_type == "QuantizeLinear")
    scale, zero = float(constants[first.input[1]]), int(constants[first.input[2]])
    pixels = np.arange(256)
    rounded = (np.clip(np.round((pixels - 127) / 128 / scale) + zero, 0, 255) - zero) * scale
    assert np.allclose(rounded, (pixels - 127) / 128)


def test_pixels_enter_the_integer_layers_as_they_are(exported: Exported) -> None:
    entered = integer_pixels(exported.unsigned)
    assert [node.op_type for node in entered.graph.node][:2] == ["Transpose", "DequantizeLinear"]
    assert len(entered.graph.node) == len(exported.unsigned.graph.node) - 4
    noise = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    for picture in [*exported.pictures, noise]:
        assert _run(entered, picture) == _run(exported.unsigned, picture)


def test_pixels_that_rounding_would_change_still_pass_through_it(exported: Exported) -> None:
    for graph in (exported.signed, unsigned_dialect(exported.signed), exported.float_graph):
        assert integer_pixels(graph).SerializeToString() == graph.SerializeToString()


def test_no_padding_nodes_and_no_traces_of_the_source_are_left(exported: Exported) -> None:
    for model in (exported.float_graph, exported.signed):
        assert not [node for node in model.graph.node if node.op_type == "Pad"]
        content = model.SerializeToString()
        assert str(Path(__file__).parents[2]).encode() not in content
        assert b".py" not in content


def test_unsigned_dialect_keeps_the_range_and_the_clip(exported: Exported) -> None:
    unsigned = unsigned_dialect(exported.signed)
    before, after = _initialisers(exported.signed), _initialisers(unsigned)
    producer = {name: node for node in exported.signed.graph.node for name in node.output}
    after_relu = 0
    for old, new in zip(exported.signed.graph.node, unsigned.graph.node, strict=True):
        if old.op_type != "QuantizeLinear":
            continue
        scale, zero = after[new.input[1]], after[new.input[2]]
        assert zero.dtype == np.uint8
        top = (255 - int(zero)) * float(scale)
        assert top == pytest.approx(127 * float(before[old.input[1]]), rel=1e-6)
        source = producer.get(old.input[0])
        if source is not None and source.op_type == "Relu":
            assert int(zero) == 0
            after_relu += 1
        else:
            assert int(zero) == 128
    assert after_relu == 26
    assert all(node.input[1] in before for node in exported.signed.graph.node if node.op_type == "QuantizeLinear")


def test_rounded_biases_lie_on_the_accumulator_grid_and_hardly_move_the_score(exported: Exported) -> None:
    rounded = round_biases(exported.signed)
    constants = _initialisers(rounded)
    producer = {name: node for node in rounded.graph.node for name in node.output}
    checked = 0
    for conv in rounded.graph.node:
        if conv.op_type != "Conv":
            continue
        scales = [constants[producer[name].input[1]].astype(np.float64) for name in conv.input[:2]]
        steps = constants[conv.input[2]] / (scales[0] * scales[1])
        small = np.abs(steps) < 2**20  # float32 holds the step exactly
        assert np.abs(steps[small] - np.round(steps[small])).max() < 0.1
        checked += int(small.sum())
    assert checked > 1000
    for picture in exported.pictures:
        assert (
            abs(_run(rounded, picture) - _run(exported.signed, picture)) < 0.03
        )  # single roundings flip; an untrained network amplifies them


def test_runtime_fuses_every_convolution_into_an_integer_kernel(exported: Exported, tmp_path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    content = round_biases(exported.unsigned).SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("QLinearConv") == 38
    assert kinds.count("Conv") == 0
