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
from edge_iqa.benchmarks.stage_file import STAGE_FILE
from edge_iqa.bundle import SCHEMA_VERSION, Manifest, Quantization, write_bundle
from edge_iqa.export.openvino import to_openvino
from edge_iqa.export.qdq import round_biases, unsigned_dialect
from edge_iqa.export.tflite import onnx_to_tflite
from edge_iqa.golden import sample_tensor
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.fake_quantization import QuantConv2d
from edge_iqa.quantize.freeze import export_float, export_int8

GOLDEN_TOLERANCE = 0.02


@dataclass(frozen=True)
class Student:
    """A trained student: the float network as it is stored, its fake-quantized twin, and what they are called."""

    name: str
    model: str
    network: nn.Module
    prepared: fx.GraphModule
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


def float_layers(prepared: fx.GraphModule) -> tuple[str, ...]:
    """Return the names of the layers with weights that stay float."""
    return tuple(
        name
        for name, module in prepared.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and not isinstance(module, QuantConv2d))
    )


def export_models(student: Student) -> dict[str, bytes]:
    """Return every model file of the bundle, made from the student's one Q/DQ graph and its float graph."""
    size = (student.preprocess.height, student.preprocess.width)
    with tempfile.TemporaryDirectory() as folder:
        float_path, int8_path = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        export_float(student.network, student.mean, student.std, size, float_path)
        export_int8(student.prepared, student.mean, student.std, size, int8_path)
        float_graph, trained = onnx.load(float_path), onnx.load(int8_path)
    signed, unsigned = round_biases(trained), round_biases(unsigned_dialect(trained))
    xml, weights = to_openvino(unsigned)
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
    """Return the golden pictures (uint8 RGB ``(H, W, 3)``) as PNG, and what each backend made of them here."""
    backends = {
        (name, precision): backend_class(name)(
            {file: files[file] for file in backend_class(name).artefacts[precision]}, threads=1
        )
        for name in CPU_BACKENDS
        for precision in PRECISIONS
        if backend_class(name).unavailable() is None
    }
    golden: dict[str, bytes] = {}
    expected: list[dict[str, Any]] = []
    for index, picture in enumerate(pictures):
        name = f"golden/{index:02d}.png"
        golden[name] = cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
        tensor = preprocess(picture, spec)
        expected.append(
            {
                "picture": name,
                "tensor_sha256": hashlib.sha256(tensor.tobytes()).hexdigest(),
                "tensor_mean": float(tensor.mean()),
                "tensor_samples": asdict(sample_tensor(tensor)),
                "scores": {
                    f"{backend}.{precision}": round(loaded.infer(tensor), 6)
                    for (backend, precision), loaded in backends.items()
                },
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
