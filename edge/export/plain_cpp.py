"""The C++ examples that go beside exported models, and the pre-processing rule as JSON that they read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from importlib import resources

from edge_iqa.bundle import Bundle

SCHEMA_VERSION = 1
_SHARED = ("CMakeLists.txt", "edge_iqa_preprocess.hpp")
_EXAMPLES = {"onnx": "score_onnxruntime.cpp", "openvino": "score_openvino.cpp", "tensorrt": "score_tensorrt.cpp"}


def cpp_files(targets: Sequence[str]) -> dict[str, bytes]:
    """Return the files of ``cpp/`` for ``targets``, by name in the exported folder; none where no target has one."""
    examples = [_EXAMPLES[target] for target in targets if target in _EXAMPLES]
    if not examples:
        return {}
    folder = resources.files("edge_iqa.export") / "cpp"
    return {f"cpp/{name}": (folder / name).read_bytes() for name in (*_SHARED, *examples)}


def preprocess_document(bundle: Bundle) -> bytes:
    """Return ``preprocess.json``: the bundle's PreprocessSpec with a schema version."""
    document = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(bundle.manifest.preprocess)}
    return json.dumps(document, indent=1).encode()
