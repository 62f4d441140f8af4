"""Which form of a bundle's graph a TensorRT version takes, made on the device where it is not the stored one.

- 8.5 to 9: operator set 17 at most; newer graphs are rewritten (``edge_iqa.export.tensorrt.dialect_for_tensorrt_8``).
- 10: the stored graphs.
- 11: the stored graphs; fp16 needs the types written out (``edge_iqa.export.tensorrt_variants.half_precision``).

Rewriting needs the package onnx. Its result depends on the stored graph only, whose hash is the engine's key.
"""

from __future__ import annotations

import importlib.util

from edge_iqa.backends.onnx_opset import read_opset
from edge_iqa.errors import BundleRefused, MissingDependency


def newest_opset(version: tuple[int, int]) -> int:
    """Return the newest ONNX operator set that a TensorRT version reads, as NVIDIA documents it."""
    major = version[0]
    if major < 10:
        return 17
    return 20 if major == 10 else 25


def graph_for_version(graph: bytes, precision: str, version: tuple[int, int]) -> bytes:
    """Return ``graph`` in the form that a TensorRT version takes for a precision (``int8``, ``fp16``, ``fp32``).

    Raises BundleRefused for bytes that are no graph or a graph newer than any form known here, and
    MissingDependency where onnx is needed to rewrite it and is not installed.
    """
    opset, newest = read_opset(graph), newest_opset(version)
    older = opset > newest
    half = precision == "fp16" and version[0] >= 11
    if not older and not half:
        return graph
    if older and version[0] >= 10:
        raise BundleRefused(
            f"The graph uses ONNX operator set {opset}",
            why=f"TensorRT {version[0]}.{version[1]} reads up to {newest}",
            fix="update TensorRT with JetPack, or rebuild the bundle with 'edge-iqa quantize'",
        )
    if importlib.util.find_spec("onnx") is None:
        purpose = "to rewrite the graph for operator set 17" if older else "to write float16 into the graph"
        raise MissingDependency(
            "The package onnx is not installed",
            why=f"TensorRT {version[0]}.{version[1]} needs it {purpose}",
            fix="pip install onnx, or use the precision int8 on JetPack 6.1 or newer",
        )
    return _rewritten(graph, older)


def _rewritten(graph: bytes, older: bool) -> bytes:
    import onnx

    from edge_iqa.export.tensorrt import dialect_for_tensorrt_8
    from edge_iqa.export.tensorrt_variants import half_precision

    try:
        model = onnx.load_model_from_string(graph)
    except Exception as error:  # protobuf's errors have no common base that can be named here
        raise BundleRefused(
            "The graph is not an ONNX model", why=str(error)[:200], fix="rebuild the bundle with 'edge-iqa quantize'"
        ) from error
    content: bytes = (dialect_for_tensorrt_8(model) if older else half_precision(model)).SerializeToString()
    return content
