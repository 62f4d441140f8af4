"""The trtexec command line that builds an engine from a bundle's graph, right for each TensorRT version."""

from __future__ import annotations

import shlex
from pathlib import Path

from edge_iqa.backends.tensorrt_engine import parse_version, plan_build

# TensorRT's switches as trtexec spells them. Networks with an explicit batch are its only kind.
_OPTIONS = {"INT8": "--int8", "FP16": "--fp16", "STRONGLY_TYPED": "--stronglyTyped", "TF32": "--noTF32"}


def trtexec_command(
    bundle_graph_path: str | Path, engine_path: str | Path, version: str, precision: str = "int8"
) -> str:
    """Return the command as one line for a shell; ``version`` is TensorRT's, such as ``8.6``, ``10.3`` or
    ``11.4``.

    The switches are those that the backend itself uses; from TensorRT 11 on, fp16 is a matter of the graph
    (``model.fp16.onnx``) and needs none. Raises DeviceUnavailable for a version that is too old.
    """
    plan = plan_build(parse_version(version), precision)
    switches = [*plan.network_flags, *plan.builder_flags, *plan.cleared]
    return shlex.join(
        [
            "trtexec",
            f"--onnx={bundle_graph_path}",
            f"--saveEngine={engine_path}",
            *(_OPTIONS[name] for name in switches if name in _OPTIONS),
            f"--timingCacheFile={Path(engine_path).with_suffix('.timing')}",
            "--memPoolSize=workspace:1024",
            "--profilingVerbosity=detailed",
        ]
    )
