"""The README.md beside exported models: what goes in, what comes out, and how each runtime loads them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from edge_iqa.backends.onnx_opset import read_opset
from edge_iqa.backends.tensorrt_engine import parse_version
from edge_iqa.backends.tensorrt_graph import newest_opset
from edge_iqa.bundle import Bundle
from edge_iqa.export.trtexec import trtexec_command
from edge_iqa.preprocess import PreprocessSpec

_ROLES = {
    "model.onnx": "float32",
    "model.tflite": "float32",
    "model.int8.u8.onnx": "int8, activations unsigned",
    "model.int8.tflite": "int8",
    "model.xml": "int8, structure",
    "model.bin": "int8, weights",
    "model.int8.onnx": "int8, activations signed with zero-point 0, as TensorRT demands",
    "model.int8.opset17.onnx": "the same for TensorRT 8: operator set 17, weights as float behind Q/DQ",
    "model.opset17.onnx": "float32 for TensorRT 8: operator set 17",
    "model.fp16.onnx": "float16 body with explicit casts, for TensorRT 11",
    "model.int8.fused-add.onnx": "int8 without Q/DQ between a convolution and the addition behind it",
    "preprocess.json": "the rule that makes a picture the input",
    "CMakeLists.txt": "builds the C++ examples",
    "edge_iqa_preprocess.hpp": "the rule in C++17",
    "score_onnxruntime.cpp": "C++ example",
    "score_openvino.cpp": "C++ example",
    "score_tensorrt.cpp": "C++ example",
}

_JETPACKS = (
    ("JetPack 5 (TensorRT 8.5) and JetPack 6.0 (TensorRT 8.6)", "8.5"),
    ("JetPack 6.1 to 7 with TensorRT 10", "10.3"),
    ("JetPack 7 with TensorRT 11", "11.4"),
)
# TensorRT version → precision → the file that it takes
_TENSORRT_FILES = {
    "8.5": {"int8": "model.int8.opset17.onnx", "fp16": "model.opset17.onnx"},
    "10.3": {"int8": "model.int8.onnx", "fp16": "model.onnx"},
    "11.4": {"int8": "model.int8.onnx", "fp16": "model.fp16.onnx"},
}

# Statement for statement what edge_iqa.preprocess does; a test runs this very text.
PREPROCESSING = """\
import cv2
import numpy as np


def preprocess(image):  # uint8 RGB (H, W, 3), any size
    height, width = image.shape[:2]
    scale = {scale}
    kept_height = min(height, max(1, round({height} / scale)))
    kept_width = min(width, max(1, round({width} / scale)))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    kept = image[top : top + kept_height, left : left + kept_width]
    if kept.shape[:2] != ({height}, {width}):
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        kept = cv2.resize(kept, ({width}, {height}), interpolation=interpolation)
    return np.ascontiguousarray(kept)[None]  # uint8 (1, {height}, {width}, 3)
"""

_LOADING = {
    "onnx": """\
```python
import onnxruntime

session = onnxruntime.InferenceSession("onnx/model.int8.u8.onnx", providers=["CPUExecutionProvider"])
score = float(session.run(None, {session.get_inputs()[0].name: preprocess(image)})[0].item())
```
""",
    "openvino": """\
`model.xml` and `model.bin` belong together. OpenVINO reads the float model from ONNX. Without the hint the float head
is computed in bfloat16 where the processor knows it.

```python
import openvino

model = openvino.Core().compile_model("openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
score = float(model([preprocess(image)])[0].item())
```
""",
    "tflite": """\
```python
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter("tflite/model.int8.tflite")
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], preprocess(image))
interpreter.invoke()
score = float(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).item())
```
""",
}

_CPP = """\
## C++

`cpp/edge_iqa_preprocess.hpp` is the pre-processing rule in C++17 without dependencies; it reads `preprocess.json`. The
examples read binary PPM (any tool writes it: `convert photo.jpg photo.ppm`) and print a score per picture. CMake builds
those whose runtime it finds; the first lines of `cpp/CMakeLists.txt` say how to show it where they are.

```
cmake -S cpp -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build
build/score_openvino openvino/model.xml preprocess.json photo.ppm
build/score_onnxruntime onnx/model.int8.u8.onnx preprocess.json photo.ppm
build/score_tensorrt model.int8.engine preprocess.json photo.ppm
```
"""


def readme(bundle: Bundle, targets: Sequence[str], content: Mapping[str, bytes]) -> str:
    """Return the text for ``targets``; ``content`` maps each written file's name to its bytes."""
    manifest = bundle.manifest
    spec = manifest.preprocess
    low, high = manifest.score_range
    better = "higher" if manifest.higher_is_better else "lower"
    parts = [
        f"# {manifest.name}\n\nImage quality without a reference: one number for one picture. Network "
        f"{manifest.model}, written from the bundle {bundle.path.name} (sha256 {bundle.sha256}).\n",
        f"## Input\n\nuint8, shape (1, {spec.height}, {spec.width}, 3), RGB in this order. Normalisation is "
        f"inside the models.\n\n{_rule(spec)} Shrinking averages areas, enlarging is "
        "bilinear. The score depends on this rule; another one gives another score. Exactly:\n\n"
        f"```python\n{PREPROCESSING.format(height=spec.height, width=spec.width, scale=_scale(spec))}```\n",
        f"## Output\n\nfloat32, shape (1, 1): the score from {low:g} to {high:g}, {better} is better.\n",
        _file_table(content),
    ]
    for target in targets:
        text = _tensorrt(content) if target == "tensorrt" else _LOADING[target]
        parts.append(f"## {target}\n\n{text}")
    if any(name.startswith("cpp/") for name in content):
        parts.append(_CPP)
    return "\n".join(parts)


def _rule(spec: PreprocessSpec) -> str:
    if spec.shorter_side is None:
        return (
            f"A picture is scaled, keeping its shape, until it just covers {spec.width}x{spec.height}, and the middle "
            "is cut out."
        )
    return (
        f"A picture whose shorter side has more than {spec.shorter_side} pixels is shrunk, keeping its shape, until it "
        f"has {spec.shorter_side}; then the middle {spec.width}x{spec.height} is cut out. One that is smaller than "
        "that is enlarged until it just covers it."
    )


def _scale(spec: PreprocessSpec) -> str:
    covering = f"{spec.height} / height, {spec.width} / width"
    shrinking = "" if spec.shorter_side is None else f", min(1.0, {spec.shorter_side} / min(height, width))"
    return f"max({covering}{shrinking})"


def _file_table(content: Mapping[str, bytes]) -> str:
    lines = ["## Files\n", "| file | what | bytes | sha256 |", "|---|---|---|---|"]
    for name, data in sorted(content.items()):
        role = _ROLES[name.rsplit("/", 1)[-1]]
        lines.append(f"| {name} | {role} | {len(data)} | {hashlib.sha256(data).hexdigest()} |")
    return "\n".join(lines) + "\n"


def _tensorrt(content: Mapping[str, bytes]) -> str:
    lines = [
        "Build the engine on the device that runs it: an engine is native code for one GPU and one TensorRT "
        "version. The scales are in the graph, so there is nothing to calibrate. Build int8 and fp16, measure both "
        "on the device, and take the faster one whose scores hold.\n",
    ]
    for jetpack, version in _JETPACKS:
        commands = []
        for precision, name in _TENSORRT_FILES[version].items():
            path = f"tensorrt/{name}"
            if path in content and read_opset(content[path]) <= newest_opset(parse_version(version)):
                commands.append(trtexec_command(path, f"model.{precision}.engine", version, precision))
        if commands:
            lines.append(f"{jetpack}:\n\n```\n" + "\n".join(commands) + "\n```\n")
        else:
            lines.append(
                f"{jetpack} cannot read these graphs: their operator set is newer. Export again where the package "
                "onnx is installed (edge-iqa[export]); the variants for it are written then.\n"
            )
    if "tensorrt/model.int8.fused-add.onnx" in content:
        lines.append(
            "`model.int8.fused-add.onnx` takes the place of `model.int8.onnx` where it is faster: whether TensorRT "
            "fuses convolution and addition better without the Q/DQ between them is for a measurement on the device. "
            "DLA cores take no Q/DQ: give them the fp16 graph, with `--useDLACore=0 --allowGPUFallback`.\n"
        )
    return "\n".join(lines)
