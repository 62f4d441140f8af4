"""Compile a graph with NVIDIA's own parser and compiler, on a machine without any NVIDIA hardware.

TensorRT for RTX (the package tensorrt-rtx, 1.7 tried) compiles ahead of time for a named compute capability.
It is not the TensorRT of a Jetson, and Orin's 8.7 is not among its targets; 8.6 is the nearest. What it
tells: whether the format is accepted, and which type each layer computes in. What it does not tell: speed, or
an engine that runs elsewhere.
"""

from __future__ import annotations

import importlib
import re
import time
from dataclasses import dataclass
from typing import Any

from edge_iqa.errors import GraphUnsupported, InvalidInput, MissingDependency

# How the compiler calls a convolution in its list of layers.
CONVOLUTION_KINDS = frozenset({"correlation", "convolution"})
_LAYER = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>\w+), Inputs: \[(?P<inputs>.*)\], "
    r"Constants: \[(?P<constants>.*)\], Outputs: \[(?P<outputs>.*)\], TacticName:"
)
_TENSORS = ("inputs", "constants", "outputs")
_DATATYPE = re.compile(r"Datatype: (\w+)")


@dataclass(frozen=True)
class EngineLayer:
    """One layer of a compiled engine with the types of its tensors, such as ``Int8`` and ``Float``."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def is_int8_convolution(self) -> bool:
        """Whether this is a convolution of int8 activations with int8 weights."""
        return self.kind in CONVOLUTION_KINDS and self.inputs[:1] == self.weights[:1] == ("Int8",)


@dataclass(frozen=True)
class AheadOfTimeReport:
    """What compiling gave; ``convolutions`` counts those of the graph, the layers are the engine's."""

    compute_capability: str
    compiler: str
    build_s: float
    engine_bytes: int
    convolutions: int
    layers: tuple[EngineLayer, ...]

    @property
    def int8_convolutions(self) -> int:
        return sum(layer.is_int8_convolution for layer in self.layers)

    @property
    def all_convolutions_int8(self) -> bool:
        """Whether every convolution is an int8 layer of the engine; false for a graph without any."""
        return 0 < self.convolutions == self.int8_convolutions


def compile_ahead_of_time(onnx_bytes: bytes, compute_capability: str = "8.6") -> AheadOfTimeReport:
    """Compile a graph for a compute capability such as ``8.6`` or ``8.9`` and return what its layers compute
    in.

    Raises MissingDependency without tensorrt-rtx, InvalidInput for a capability it does not know,
    GraphUnsupported with the parser's or the compiler's words where it refuses the graph.
    """
    runtime = _import()
    capability = _capability(runtime, compute_capability)
    lines: list[str] = []
    errors: list[str] = []
    logger = _logger(runtime, lines, errors)
    builder = runtime.Builder(logger)
    network = builder.create_network(0)
    parser = runtime.OnnxParser(network, logger)
    if not parser.parse(onnx_bytes):
        found = [parser.get_error(index) for index in range(parser.num_errors)]
        raise _refused([f"{error.node_name()}: {error.desc()}" for error in found] or errors)
    config = builder.create_builder_config()
    config.profiling_verbosity = runtime.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(capability, 0)
    start = time.perf_counter()
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise _refused(errors)
    kinds = [network.get_layer(index).type for index in range(network.num_layers)]
    return AheadOfTimeReport(
        compute_capability=compute_capability,
        compiler=f"tensorrt-rtx {runtime.__version__}",
        build_s=time.perf_counter() - start,
        engine_bytes=int(engine.nbytes),
        convolutions=kinds.count(runtime.LayerType.CONVOLUTION),
        layers=parse_layers(lines),
    )


def parse_layers(lines: list[str]) -> tuple[EngineLayer, ...]:
    """Return the layers that the compiler lists in its verbose log."""
    found = (_LAYER.match(line) for line in lines)
    return tuple(
        EngineLayer(item["name"], item["kind"], *(tuple(_DATATYPE.findall(item[part])) for part in _TENSORS))
        for item in found
        if item is not None
    )


def _import() -> Any:
    try:
        return importlib.import_module("tensorrt_rtx")
    except (ImportError, OSError) as error:
        raise MissingDependency(
            "tensorrt-rtx is not installed", why=str(error), fix="pip install 'edge-iqa[trt-check]' on x86-64"
        ) from error


def _capability(runtime: Any, text: str) -> Any:
    names = [name for name in dir(runtime.ComputeCapability) if re.fullmatch(r"SM\d{2,3}", name)]
    known = {f"{name[2:-1]}.{name[-1]}": name for name in names}
    if text not in known:
        raise InvalidInput(
            f"tensorrt-rtx does not compile for compute capability {text!r}",
            fix=f"one of: {', '.join(known)}",
        )
    return getattr(runtime.ComputeCapability, known[text])


def _logger(runtime: Any, lines: list[str], errors: list[str]) -> Any:
    class Collector(runtime.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            runtime.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (runtime.ILogger.ERROR, runtime.ILogger.INTERNAL_ERROR):
                errors.append(message)
            lines.extend(message.splitlines())

    return Collector()


def _refused(errors: list[str]) -> GraphUnsupported:
    words = "; ".join(" ".join(error.split()) for error in errors[:2])[:400]
    return GraphUnsupported(
        "TensorRT refuses the graph",
        why=words or "it gave no reason",
        fix="check_tensorrt_graph names the rule and the node",
    )
