"""Post-training quantization of a bundle's float student by the tools at hand, to compare our int8 models with.

Each method gets the float model of the bundle and calibration inputs, and gives back files in the form that the
backend of its runtime takes. None of them trains. All are the tools' own defaults but for what the name says.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_iqa.benchmarks.int8_coverage import WEIGHTED
from edge_iqa.bundle import Bundle
from edge_iqa.errors import GraphUnsupported
from edge_iqa.lazy import need

Tensors = Sequence[NDArray[np.uint8]]
Files = dict[str, bytes]


@dataclass(frozen=True)
class PtqMethod:
    """A post-training quantization: ``make`` takes the bundle and inputs ``(1, H, W, 3)`` uint8 to calibrate on."""

    name: str
    runtime: str
    make: Callable[[Bundle, Tensors], Files]


def onnxruntime_static(bundle: Bundle, inputs: Tensors, *, reduce_range: bool, keep_float: bool) -> Files:
    """Quantize with ONNX Runtime's ``quantize_static``: Q/DQ, u8 activations, int8 weights per channel, min-max.

    ``reduce_range`` gives weights 7 bits. ``keep_float`` leaves those layers in float that our model has in float,
    found by their place in the graph.
    """
    need("onnx", "ptq")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._inputs: Iterator[NDArray[np.uint8]] = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            tensor = next(self._inputs, None)
            return None if tensor is None else {"image": tensor}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, prepared, result = (Path(folder, name) for name in ("float.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(bundle.files["model.onnx"])
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(result),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_float_layers(bundle, prepared) if keep_float else [],
        )
        return {"model.int8.u8.onnx": result.read_bytes()}


def nncf_openvino(bundle: Bundle, inputs: Tensors, *, half_range: bool) -> Files:
    """Quantize with NNCF for OpenVINO's CPU; ``half_range`` gives all weights 7 bits (``OverflowFix.ENABLE``)."""
    need("nncf", "ptq")
    need("openvino", "openvino")
    with _quiet():
        import nncf
        import openvino
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

        advanced = AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE) if half_range else None
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder, "float.onnx"), Path(folder, "model.xml")
            source.write_bytes(bundle.files["model.onnx"])
            quantized = nncf.quantize(
                openvino.Core().read_model(source),
                nncf.Dataset(list(inputs)),
                subset_size=len(inputs),
                advanced_parameters=advanced,
            )
            openvino.save_model(quantized, result, compress_to_fp16=False)
            return {
                "openvino/model.xml": result.read_bytes(),
                "openvino/model.bin": result.with_suffix(".bin").read_bytes(),
            }


def ai_edge_tflite(bundle: Bundle, inputs: Tensors) -> Files:
    """Quantize the float TFLite file with ai-edge-quantizer: int8 weights per channel, int8 activations, static.

    Its score stays float, as the contract is; by its default the score would be int8 too.
    """
    need("ai_edge_quantizer", "ptq")
    with _quiet():
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe

        content = bundle.files["model.tflite"]
        signatures = Interpreter(model_content=content).get_signature_list()
        if not signatures:
            raise GraphUnsupported("model.tflite has no signature", why="ai-edge-quantizer calibrates by signatures")
        ((signature, names),) = signatures.items()
        data = {signature: [{names["inputs"][0]: tensor} for tensor in inputs]}
        tool = quantizer.Quantizer(content, recipe.static_wi8_ai8())
        float_output = algorithm_manager.AlgorithmName.NO_QUANTIZE
        tool.update_quantization_recipe(".*", qtyping.TFLOperationName.OUTPUT, algorithm_key=float_output)
        result = tool.quantize(tool.calibrate(data))
        return {"model.int8.tflite": bytes(result.quantized_model)}


METHODS: tuple[PtqMethod, ...] = (
    PtqMethod(
        "onnxruntime static, 8-bit weights",
        "onnxruntime",
        lambda bundle, inputs: onnxruntime_static(bundle, inputs, reduce_range=False, keep_float=False),
    ),
    PtqMethod(
        "onnxruntime static, 7-bit weights",
        "onnxruntime",
        lambda bundle, inputs: onnxruntime_static(bundle, inputs, reduce_range=True, keep_float=False),
    ),
    PtqMethod(
        "onnxruntime static, 7-bit weights, our float layers",
        "onnxruntime",
        lambda bundle, inputs: onnxruntime_static(bundle, inputs, reduce_range=True, keep_float=True),
    ),
    PtqMethod("NNCF", "openvino", lambda bundle, inputs: nncf_openvino(bundle, inputs, half_range=False)),
    PtqMethod("NNCF, 7-bit weights", "openvino", lambda bundle, inputs: nncf_openvino(bundle, inputs, half_range=True)),
    PtqMethod("ai-edge-quantizer", "tflite", ai_edge_tflite),
)


def _float_layers(bundle: Bundle, float_model: Path) -> list[str]:
    """Return the names of the float model's layers that stay float in our int8 model, which has them in one order."""
    import onnx

    ours = onnx.load_from_string(bundle.files["model.int8.onnx"]).graph
    producer = {name: node.op_type for node in ours.node for name in node.output}
    stays = [producer.get(node.input[0]) != "DequantizeLinear" for node in ours.node if node.op_type in WEIGHTED]
    names = [node.name for node in onnx.load(float_model).graph.node if node.op_type in WEIGHTED]
    if len(names) != len(stays):
        raise GraphUnsupported(
            f"The float model has {len(names)} layers with weights, the int8 model {len(stays)}",
            why="they are matched by their place",
        )
    return [name for name, is_float in zip(names, stays, strict=True) if is_float]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log lines and progress bars of the tools; their errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
