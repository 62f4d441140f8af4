"""An ONNX graph to look around in: who makes a tensor, who reads it, what its constants are."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


class GraphView:
    """A graph with its constants, and for each tensor the node that makes it and the nodes that read it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.constants = {item.name: item for item in self.graph.initializer}
        self.producer: dict[str, Any] = {}
        self.consumers: dict[str, list[Any]] = defaultdict(list)
        for node in self.graph.node:
            for name in node.output:
                self.producer[name] = node
            for name in node.input:
                self.consumers[name].append(node)

    def maker(self, name: str) -> str:
        """Return the operator that makes a tensor, or an empty text for a constant or a graph input."""
        node = self.producer.get(name)
        return "" if node is None else str(node.op_type)

    def values(self, name: str) -> NDArray[Any] | None:
        """Return a constant's values, or None where the tensor is not a constant."""
        from onnx import numpy_helper

        item = self.constants.get(name)
        return None if item is None else np.asarray(numpy_helper.to_array(item))

    def stored_weights(self, dequantize: Any) -> NDArray[Any] | None:
        """Return the constant behind a DequantizeLinear, directly or through a QuantizeLinear, or None."""
        source = self.producer.get(dequantize.input[0])
        if source is not None and source.op_type == "QuantizeLinear":
            return self.values(source.input[0])
        return self.values(dequantize.input[0])

    def pair_behind_convolution(self, name: str) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
        """Return Q and DQ where ``name`` is a convolution's output through them, read by nothing else on the way."""
        dequantize = self.producer.get(name)
        if dequantize is None or dequantize.op_type != "DequantizeLinear" or len(self.consumers[name]) != 1:
            return None
        quantize = self.producer.get(dequantize.input[0])
        if quantize is None or quantize.op_type != "QuantizeLinear" or len(self.consumers[dequantize.input[0]]) != 1:
            return None
        if self.maker(quantize.input[0]) != "Conv" or len(self.consumers[quantize.input[0]]) != 1:
            return None
        return quantize, dequantize
