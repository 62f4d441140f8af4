"""A bundle's int8 graph checked for TensorRT, in words: the rules, and the layer types after compiling."""

from __future__ import annotations

from collections import Counter

from edge_iqa.bundle import Bundle
from edge_iqa.errors import GraphUnsupported, MissingDependency
from edge_iqa.export.tensorrt import check_tensorrt_graph, compile_ahead_of_time, require_onnx
from edge_iqa.export.tensorrt_ahead import AheadOfTimeReport

_GRAPH = "model.int8.onnx"


def check_bundle_graph(bundle: Bundle) -> str:
    """Return what the checker and, where tensorrt-rtx is installed, NVIDIA's compiler say of the int8 graph.

    Raises GraphUnsupported, naming node and rule, for a graph that breaks a rule or that the compiler refuses,
    MissingDependency where onnx is not installed, BundleRefused where the bundle has no such graph.
    """
    require_onnx()
    import onnx

    content = bundle.take((_GRAPH,), "the check for TensorRT")[_GRAPH]
    layers = bundle.manifest.quantization.float_layers
    findings = check_tensorrt_graph(onnx.load_model_from_string(content), float_convolutions=len(layers))
    if findings:
        raise GraphUnsupported(
            f"The int8 graph breaks {len(findings)} of TensorRT's rules",
            why="; ".join(str(finding) for finding in findings[:5]),
            fix="rebuild the bundle with 'edge-iqa quantize'",
        )
    try:
        compiled = _layer_types(compile_ahead_of_time(content))
    except MissingDependency as error:
        compiled = f"not compiled: {error.what}; {error.fix}"
    return f"TensorRT rules: no breach in {_GRAPH}\n{compiled}"


def _layer_types(report: AheadOfTimeReport) -> str:
    kinds = Counter(
        f"{layer.kind}: {'/'.join(layer.inputs[:1]) or '-'} -> {'/'.join(layer.outputs[:1]) or '-'}"
        for layer in report.layers
    )
    lines = [
        f"compiled by {report.compiler} for compute capability {report.compute_capability} in {report.build_s:.1f} s: "
        f"{report.int8_convolutions} of {report.convolutions} convolutions on int8"
    ]
    lines += [f"  {count:4d} x {kind}" for kind, count in sorted(kinds.items())]
    return "\n".join(lines)
