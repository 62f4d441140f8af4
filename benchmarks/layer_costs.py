"""What each layer of a network costs: multiply-accumulates, and the bytes it must read and write.

Counted are convolutions and matrix products, where all arithmetic of these networks is. What lies between
them (activations, residual sums, scaling, pooling by the mean, normalising the picture) is taken to be fused
into them at no cost, as runtimes do with most of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_iqa.benchmarks.onnx_shapes import Graph, Node, read_graph
from edge_iqa.bundle import Bundle

# The quantized graph tells which layers stay in float, so it is read first; both have the same layers.
_GRAPHS = ("model.int8.onnx", "model.int8.u8.onnx", "model.onnx")
_LAYERS = ("Conv", "Gemm", "MatMul")
_SAME_DATA = ("QuantizeLinear", "DequantizeLinear", "Cast")
_NORMALISING = (*_SAME_DATA, "Sub", "Mul", "Div", "Transpose")
_ACTIVATIONS = ("Relu", "Clip", "HardSwish", "Add")
_BYTES = {"int8": 1, "fp16": 2, "fp32": 4}


@dataclass(frozen=True)
class LayerCost:
    """One layer: multiply-accumulates, elements of its weights, of its other inputs and of its output.

    ``quantized`` tells whether it is an int8 layer in the int8 model, ``input_quantized`` and
    ``output_quantized`` whether its input comes and its output goes in int8 there; a layer that stays in float
    may stand at the border. ``from_picture``: its input is the picture, a byte per element in any model.
    """

    name: str
    kind: str
    macs: int
    weight_elements: int
    input_elements: int
    output_elements: int
    quantized: bool
    input_quantized: bool
    output_quantized: bool
    from_picture: bool

    def arithmetic(self, precision: str) -> str:
        """Return the type this layer computes in, in a model of ``precision``: int8, fp16 or fp32."""
        return "fp32" if precision == "int8" and not self.quantized else precision

    def bytes_moved(self, precision: str) -> int:
        """Return the bytes of weights, input and output, each once, in a model of ``precision``."""
        own = _BYTES[self.arithmetic(precision)]
        reads = 1 if self.from_picture or (precision == "int8" and self.input_quantized) else own
        writes = own
        if precision == "int8":
            writes = 1 if self.output_quantized else _BYTES["fp32"]
        return self.weight_elements * own + self.input_elements * reads + self.output_elements * writes


def bundle_costs(bundle: Bundle) -> list[LayerCost] | None:
    """Return the layers of a bundle's network in order.

    None where its graphs do not say how large every layer's tensors are, or have no such layer. Raises
    BundleRefused for a graph that is not ONNX.
    """
    for name in _GRAPHS:
        if name in bundle.files:
            costs = graph_costs(read_graph(bundle.files[name]))
            if costs:
                return costs
    return None


def graph_costs(graph: Graph) -> list[LayerCost] | None:
    """Return the layers of a graph in order, or None where a shape that is needed is not known."""
    links = _Links(graph)
    costs = []
    for node in graph.nodes:
        if node.kind in _LAYERS:
            cost = _cost(node, links)
            if cost is None:
                return None
            costs.append(cost)
    return costs


class _Links:
    """Which node makes each tensor of a graph, and which nodes take it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers = {output: node for node in graph.nodes for output in node.outputs}
        self.takers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.takers.setdefault(name, []).append(node)

    def is_constant(self, name: str) -> bool:
        """Return whether a tensor is a weight, perhaps behind nodes that only change its type."""
        maker = self.makers.get(name)
        while name not in self.graph.constants and maker is not None and maker.kind in _SAME_DATA:
            name = maker.inputs[0]
            maker = self.makers.get(name)
        return name in self.graph.constants

    def is_dequantized(self, name: str) -> bool:
        maker = self.makers.get(name)
        return maker is not None and maker.kind == "DequantizeLinear"

    def is_picture(self, name: str) -> bool:
        """Return whether a tensor is the network's input, perhaps normalised."""
        maker = self.makers.get(name)
        while maker is not None and maker.kind in _NORMALISING:
            name = maker.inputs[0]
            maker = self.makers.get(name)
        return maker is None and name not in self.graph.constants

    def is_quantized_next(self, name: str) -> bool:
        """Return whether all that follows a tensor takes it in int8, activations in between left aside."""
        takers = self.takers.get(name, [])
        return bool(takers) and all(
            taker.kind == "QuantizeLinear"
            or (taker.kind in _ACTIVATIONS and all(self.is_quantized_next(output) for output in taker.outputs))
            for taker in takers
        )


def _cost(node: Node, links: _Links) -> LayerCost | None:
    shapes = links.graph.shapes
    first, second = (shapes.get(name) for name in node.inputs[:2])
    output = shapes.get(node.outputs[0])
    if first is None or second is None or output is None:
        return None
    # A kernel with the input channels of its group, or a row of the first factor (never transposed here).
    per_output = math.prod(second[1:]) if node.kind == "Conv" else first[-1]
    fixed = links.is_constant(node.inputs[1])
    return LayerCost(
        name=node.name or node.outputs[0],
        kind=node.kind,
        macs=math.prod(output) * per_output,
        weight_elements=math.prod(second) if fixed else 0,
        input_elements=math.prod(first) + (0 if fixed else math.prod(second)),
        output_elements=math.prod(output),
        quantized=all(links.is_dequantized(name) for name in node.inputs[:2]),
        input_quantized=links.is_dequantized(node.inputs[0]),
        output_quantized=links.is_quantized_next(node.outputs[0]),
        from_picture=links.is_picture(node.inputs[0]),
    )
