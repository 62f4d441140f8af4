"""Put a trained student into a bundle: export every dialect, score the golden pictures, write the card."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import fx, nn

from edge_iqa.backends.base import CPU_BACKENDS, PRECISIONS, backend_class
from edge_iqa.benchmarks.plain_graph import SIGNED, PlainGraph
from edge_iqa.benchmarks.stage_file import STAGE_FILE
from edge_iqa.bundle import SCHEMA_VERSION, Manifest, Quantization, write_bundle
from edge_iqa.export.openvino import to_openvino
from edge_iqa.export.qdq import integer_pixels, round_biases, unsigned_dialect
from edge_iqa.export.tflite import onnx_to_tflite
from edge_iqa.golden import sample_tensor
from edge_iqa.models.student import StudentNetwork
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.fake_quantization import QuantConv2d
from edge_iqa.quantize.freeze import export_float, export_int8
from edge_iqa.quantize.pixel_grid import take_exact_pixels
from edge_iqa.quantize.prepare import fold_batch_norm

GOLDEN_TOLERANCE = 0.02


@dataclass(frozen=True)
class Student:
    """A trained student: the float network as it is stored, its fake-quantized twins, and what they are called.

    ``prepared`` is for the CPU runtimes, ``signed`` for TensorRT, whose activations are half as fine after a ReLU.
    """

    name: str
    model: str
    network: nn.Module
    prepared: fx.GraphModule
    signed: fx.GraphModule
    mean: Sequence[float]
    std: Sequence[float]
    preprocess: PreprocessSpec
    weight_bits: int


def shorten_mantissa(network: nn.Module, bits: int = 7) -> None:
    """Round every float parameter and buffer to ``bits`` bits of mantissa, in place; bfloat16 has seven.

    The float files of a bundle then compress to less than half.
    """
    kept = torch.tensor(-(1 << (23 - bits)), dtype=torch.int32)
    half = 1 << (22 - bits)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.dtype == torch.float32:
                value.copy_(((value.contiguous().view(torch.int32) + half) & kept).view(torch.float32))


def folded_student(network: StudentNetwork, *, exact_pixels: bool) -> tuple[fx.GraphModule, Normalisation]:
    """Return a traced copy of a float student without batch norm, and what it wants of pixels.

    With ``exact_pixels`` it takes pixels that int8 holds as they are.
    """
    folded = fold_batch_norm(network)
    pixels = Normalisation(network.mean, network.std)
    if exact_pixels:
        pixels = take_exact_pixels(folded, pixels)
    return folded, pixels


def float_layers(prepared: fx.GraphModule) -> tuple[str, ...]:
    """Return the names of the layers with weights that stay float."""
    return tuple(
        name
        for name, module in prepared.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and not isinstance(module, QuantConv2d))
    )


def export_models(student: Student) -> dict[str, bytes]:
    """Return every model file of the bundle, made from the student's float graph and its two Q/DQ graphs."""
    size = (student.preprocess.height, student.preprocess.width)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        export_float(student.network, student.mean, student.std, size, path)
        float_graph = onnx.load(path)
        export_int8(student.signed, student.mean, student.std, size, path)
        signed = round_biases(onnx.load(path))
        export_int8(student.prepared, student.mean, student.std, size, path)
        unsigned = round_biases(unsigned_dialect(onnx.load(path)))
    xml, weights = to_openvino(unsigned)  # slower with ``integer_pixels``
    unsigned = integer_pixels(unsigned)
    return {
        "model.onnx": float_graph.SerializeToString(),
        "model.tflite": onnx_to_tflite(float_graph),
        "model.int8.onnx": signed.SerializeToString(),
        "model.int8.u8.onnx": unsigned.SerializeToString(),
        "model.int8.tflite": onnx_to_tflite(unsigned),
        "openvino/model.xml": xml,
        "openvino/model.bin": weights,
    }


def golden_files(
    files: Mapping[str, bytes], pictures: Sequence[NDArray[np.uint8]], spec: PreprocessSpec
) -> dict[str, bytes]:
    """Return the golden pictures (uint8 RGB ``(H, W, 3)``) as PNG, and what each backend made of them here.

    What TensorRT should make of them is what ONNX Runtime computes of its graph, node by node.
    """
    backends = {
        (name, precision): backend_class(name)(
            {file: files[file] for file in backend_class(name).artefacts[precision]}, threads=1
        )
        for name in CPU_BACKENDS
        for precision in PRECISIONS
        if backend_class(name).unavailable() is None
    }
    signed = PlainGraph(files, SIGNED, threads=1)
    golden: dict[str, bytes] = {}
    expected: list[dict[str, Any]] = []
    for index, picture in enumerate(pictures):
        name = f"golden/{index:02d}.png"
        golden[name] = cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
        tensor = preprocess(picture, spec)
        scores = {f"{backend}.{precision}": loaded.infer(tensor) for (backend, precision), loaded in backends.items()}
        signed.score(tensor)
        if signed.reason is None:
            scores["tensorrt.int8"] = signed.scores[-1]
        expected.append(
            {
                "picture": name,
                "tensor_sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
                "tensor_mean": float(tensor.mean()),
                "tensor_samples": asdict(sample_tensor(tensor)),
                "scores": {target: round(score, 6) for target, score in scores.items()},
            }
        )
    for loaded in backends.values():
        loaded.close()
    golden["golden/expected.json"] = json.dumps({"schema_version": 1, "pictures": expected}, indent=1).encode()
    return golden


def package(
    student: Student,
    path: Path,
    *,
    golden: Sequence[NDArray[np.uint8]],
    card: str,
    recipe: str,
    provenance: Mapping[str, Any],
    stages: bytes | None = None,
    models: Mapping[str, bytes] | None = None,
) -> None:
    """Write the bundle of ``student`` to ``path``.

    ``stages`` is the file of ``stage_scores``, if any; ``models`` what ``export_models`` gave, if it was called before.
    """
    files = dict(models or export_models(student))
    files |= golden_files(files, golden, student.preprocess)
    files |= {"CARD.md": card.encode(), "recipe.toml": recipe.encode()}
    if stages is not None:
        files[STAGE_FILE] = stages
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=student.name,
        model=student.model,
        preprocess=student.preprocess,
        quantization=Quantization(student.weight_bits, float_layers(student.prepared)),
        files={},
        golden_tolerance=GOLDEN_TOLERANCE,
        provenance=dict(provenance),
    )
    write_bundle(path, manifest, files)
