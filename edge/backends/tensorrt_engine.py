"""Build a TensorRT engine from an ONNX graph on this device, with the switches that its TensorRT version has.

Only explicit quantization: the int8 engine takes its scales from the Q/DQ nodes of the graph, nothing is
calibrated. How that is asked for differs by version (NVIDIA's migration guides,
docs.nvidia.com/deeplearning/tensorrt):

- 8.5 to 9: the builder flags INT8 and FP16; the types of the remaining layers are TensorRT's choice.
- 10: a strongly typed network; the graph's own types hold, so that the float head stays float32.
- 11: always strongly typed; the flags INT8 and FP16 are gone, hence fp16 takes a graph with half-precision types.

Built engines and timings are kept by ``engine_cache``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_iqa.backends.cuda_memory import CudaRuntime
from edge_iqa.backends.engine_cache import CacheMiss, EngineCache, EngineKey
from edge_iqa.backends.tensorrt_dla import check_dla, configure_dla, dla_core
from edge_iqa.backends.tensorrt_graph import graph_for_version
from edge_iqa.errors import BundleRefused, DeviceUnavailable, InvalidInput, MissingDependency

PRECISIONS = ("int8", "fp16", "fp32")
OLDEST_VERSION = (8, 5)  # the first with uint8 network inputs and tensors addressed by name
WORKSPACE_BYTES = 1024**3
L4T_RELEASE_FILE = Path("/etc/nv_tegra_release")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildPlan:
    """The switches of TensorRT that a build uses, by name; ``cleared`` are flags that are on by default."""

    network_flags: tuple[str, ...] = ()
    builder_flags: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()


def parse_version(text: str) -> tuple[int, int]:
    """Return major and minor of a version such as ``10.3.0``; raises InvalidInput for other text."""
    found = re.match(r"(\d+)\.(\d+)", text)
    if found is None:
        raise InvalidInput(f"{text!r} is not a TensorRT version", fix="write it as 8.6, 10.3 or 11.4")
    return int(found[1]), int(found[2])


def plan_build(version: tuple[int, int], precision: str) -> BuildPlan:
    """Return the switches for a TensorRT version and a precision (``int8``, ``fp16``, ``fp32``).

    Raises DeviceUnavailable for a TensorRT that is too old.
    """
    if precision not in PRECISIONS:
        raise InvalidInput(f"There is no precision {precision!r}", fix=f"one of: {', '.join(PRECISIONS)}")
    major, minor = version
    if version < OLDEST_VERSION:
        raise DeviceUnavailable(
            f"TensorRT {major}.{minor} is too old",
            why="it has no uint8 inputs; 8.5 is the first that has",
            fix="install JetPack 5.1 or newer",
        )
    # TensorFloat-32 rounds float32 to 10 bits of mantissa: no reference for anything.
    cleared = ("TF32",) if precision == "fp32" else ()
    if major < 10:
        flags = {"int8": ("INT8", "FP16"), "fp16": ("FP16",), "fp32": ()}[precision]
        return BuildPlan(("EXPLICIT_BATCH",), flags, cleared)
    if major == 10:
        typed = ("STRONGLY_TYPED",) if precision == "int8" else ()
        return BuildPlan(typed, ("FP16",) if precision == "fp16" else (), cleared)
    return BuildPlan(cleared=cleared)


def import_tensorrt() -> Any:
    """Return the module ``tensorrt``; raises MissingDependency where it cannot be imported."""
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise MissingDependency(
            "The Python package tensorrt cannot be imported",
            why=str(error) or type(error).__name__,
            fix="on a Jetson it comes with JetPack: sudo apt install python3-libnvinfer",
        ) from error


def l4t_release(path: Path = L4T_RELEASE_FILE) -> str:
    """Return the Jetson Linux release such as ``36.4.3``, or ``none`` where this is not a Jetson."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "none"
    found = re.search(r"R(\d+)\s.*?REVISION:\s*([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else "none"


def engine_key(graph: bytes, precision: str, tensorrt: Any, cuda: CudaRuntime, device: str = "gpu") -> EngineKey:
    """Return the key under which an engine for ``graph`` on this device is stored."""
    return EngineKey(
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        precision=precision,
        gpu=cuda.device_name(),
        compute_capability=cuda.compute_capability(),
        tensorrt=str(tensorrt.__version__),
        l4t=l4t_release(),
        device=device,
    )


def obtain_engine(
    graph: bytes,
    precision: str,
    tensorrt: Any,
    cuda: CudaRuntime,
    folder: Path | None = None,
    device: str = "gpu",
) -> bytes:
    """Return a serialized engine for ``graph``: the stored one if it is verified, a new one otherwise.

    ``device`` is ``gpu``, ``dla0`` or ``dla1``. Why a stored engine is not used is said in the log. Raises what
    ``plan_build``, ``check_dla`` and ``build_engine`` raise.
    """
    key = engine_key(graph, precision, tensorrt, cuda, device)
    plan_build(parse_version(key.tensorrt), precision)
    if dla_core(device) is not None:
        check_dla(parse_version(key.tensorrt), precision)
    engines = EngineCache(folder)
    found = engines.load(key)
    if isinstance(found, bytes):
        return found
    _LOG.warning("TensorRT engine: %s; building one now, which takes minutes on a small board", found.why)
    timings = EngineCache(folder, ".timing")
    timing_key = dataclasses.replace(key, graph_sha256="any", precision="any")
    known = timings.load(timing_key)
    learnt_before = b"" if isinstance(known, CacheMiss) else known
    content, learnt = build_engine(graph, precision, tensorrt, learnt_before, device)
    try:
        engines.store(key, content)
        timings.store(timing_key, learnt)
    except DeviceUnavailable as error:
        _LOG.warning("%s (%s): it will be built again next time", error.what, error.why)
    return content


def build_engine(
    graph: bytes, precision: str, tensorrt: Any, timings: bytes = b"", device: str = "gpu"
) -> tuple[bytes, bytes]:
    """Return a serialized engine and the timing cache after building it.

    ``timings`` is an earlier timing cache of the same device and version. Raises BundleRefused, with the
    parser's or the builder's words, where TensorRT refuses the graph, and what ``graph_for_version`` and
    ``configure_dla`` raise.
    """
    version = parse_version(str(tensorrt.__version__))
    plan = plan_build(version, precision)
    fitting = graph_for_version(graph, precision, version)
    messages: list[str] = []
    logger = _collecting_logger(tensorrt, messages)
    builder = tensorrt.Builder(logger)
    flags = 0
    for name in plan.network_flags:
        flags |= 1 << int(getattr(tensorrt.NetworkDefinitionCreationFlag, name))
    network = builder.create_network(flags)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(fitting):
        errors = [str(parser.get_error(index).desc()) for index in range(parser.num_errors)]
        raise _refused(tensorrt, errors or messages)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    for name in plan.builder_flags:
        config.set_flag(getattr(tensorrt.BuilderFlag, name))
    for name in plan.cleared:
        config.clear_flag(getattr(tensorrt.BuilderFlag, name))
    core = dla_core(device)
    if core is not None:
        configure_dla(tensorrt, builder, config, network, core)
    config.set_timing_cache(config.create_timing_cache(timings), False)
    plan_bytes = builder.build_serialized_network(network, config)
    if plan_bytes is None:
        raise _refused(tensorrt, messages)
    learnt = config.get_timing_cache()
    return bytes(memoryview(plan_bytes)), b"" if learnt is None else bytes(memoryview(learnt.serialize()))


def _collecting_logger(tensorrt: Any, messages: list[str]) -> Any:
    """Return a TensorRT logger that keeps errors in ``messages`` and passes warnings to the log."""

    class CollectingLogger(tensorrt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (tensorrt.ILogger.ERROR, tensorrt.ILogger.INTERNAL_ERROR):
                messages.append(message)
            elif severity == tensorrt.ILogger.WARNING:
                _LOG.info("TensorRT: %s", message)

    return CollectingLogger()


def _refused(tensorrt: Any, messages: list[str]) -> BundleRefused:
    words = "; ".join(" ".join(message.split()) for message in messages[:2])[:400]
    return BundleRefused(
        f"TensorRT {tensorrt.__version__} refuses the graph",
        why=words or "it gave no reason",
        fix="run edge_iqa.export.tensorrt.check_tensorrt_graph on it, or use another backend",
    )
