"""A bundle's Q/DQ graph computed without any optimization: what the numbers in it mean, on any machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import BundleRefused

SIGNED, UNSIGNED = "model.int8.onnx", "model.int8.u8.onnx"
TENSORRT_GRAPH = "tensorrt graph"  # what ``SIGNED`` is called beside the runtimes, never without the note
TENSORRT_NOTE = "computed by ONNX Runtime, not on a device"


class PlainGraph:
    """One of the graphs in ``files`` as it stands: ONNX Runtime computes node by node, nothing fused or folded.

    ``SIGNED`` is TensorRT's, ``UNSIGNED`` that of the CPU runtimes. ``scores`` are those so far; ``reason`` tells why
    there are none, None where the graph could be loaded. With 0 ``threads`` ONNX Runtime chooses.
    """

    def __init__(self, files: Mapping[str, bytes], name: str, threads: int = 0) -> None:
        self._run: Callable[[NDArray[np.uint8]], Any] | None = None
        self.scores: list[float] = []
        self.reason: str | None = f"the bundle has no {name}"
        content = files.get(name)
        if content is None:
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has no common error class
            self.reason = f"ONNX Runtime cannot load the graph: {str(error).splitlines()[0][:200]}"
            return
        image = session.get_inputs()[0].name
        self._run = lambda tensor: session.run(None, {image: tensor})[0]
        self.reason = None

    def score(self, tensor: NDArray[np.uint8]) -> None:
        """Score one input ``(1, H, W, 3)`` uint8; a graph that cannot gives no scores, and the reason."""
        if self._run is None:
            return
        try:
            self.scores.append(float(np.asarray(self._run(tensor)).reshape(-1)[0]))
        except Exception as error:  # the runtime has no common error class
            self.reason = f"ONNX Runtime cannot run the graph: {str(error).splitlines()[0][:200]}"
            self.scores = []
            self._run = None

    def infer(self, tensor: NDArray[np.uint8]) -> float:
        """Return the score of one input, as a runtime does; raises BundleRefused where the graph gives none."""
        self.score(tensor)
        if self.reason is not None:
            raise BundleRefused("A Q/DQ graph of the bundle gives no score", why=self.reason)
        return self.scores[-1]

    def close(self) -> None:
        self._run = None
