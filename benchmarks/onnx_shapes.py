"""The nodes of an ONNX graph and the shape of every tensor, read from the file's bytes without the onnx package.

Only what a count of work needs is read: node types, their tensors, the shapes of weights (TensorProto.dims) and of
intermediate tensors (ValueInfoProto); weights themselves are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_iqa.onnx_fields import fields, not_onnx, packed

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One operator: its type, its name, and the names of its inputs and outputs."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The nodes in order, the shapes by tensor name (unknown ones are missing), and the names of constants."""

    nodes: tuple[Node, ...]
    shapes: dict[str, Shape]
    constants: frozenset[str]


def read_graph(content: bytes) -> Graph:
    """Return the graph of an ONNX file; raises BundleRefused where the bytes are not one."""
    graph = next((value for number, value in fields(memoryview(content)) if number == 7), None)
    if not isinstance(graph, memoryview):
        raise not_onnx("it holds no graph")
    nodes: list[Node] = []
    shapes: dict[str, Shape] = {}
    constants: set[str] = set()
    for number, value in fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            nodes.append(_node(value))
        elif number == 5:
            name, shape = _constant(value)
            constants.add(name)
            shapes[name] = shape
        elif number in (11, 12, 13):  # inputs, outputs, intermediate tensors
            name, known = _value_info(value)
            if known is not None:
                shapes[name] = known
    return Graph(tuple(nodes), shapes, frozenset(constants))


def _node(message: memoryview) -> Node:
    inputs, outputs, kind, name = [], [], "", ""
    for number, value in fields(message):
        if isinstance(value, memoryview):
            if number == 1:
                inputs.append(_text(value))
            elif number == 2:
                outputs.append(_text(value))
            elif number == 3:
                name = _text(value)
            elif number == 4:
                kind = _text(value)
    return Node(kind, name, tuple(inputs), tuple(outputs))


def _constant(message: memoryview) -> tuple[str, Shape]:
    name, shape = "", []
    for number, value in fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else packed(value)
        elif number == 8 and isinstance(value, memoryview):
            name = _text(value)
    return name, tuple(shape)


def _value_info(message: memoryview) -> tuple[str, Shape | None]:
    """Return name and shape; a shape with an unknown or symbolic size is None."""
    name, shape = "", None
    for number, value in fields(message):
        if number == 1 and isinstance(value, memoryview):
            name = _text(value)
        elif number == 2 and isinstance(value, memoryview):
            shape = _tensor_shape(value)
    return name, shape


def _tensor_shape(kind: memoryview) -> Shape | None:
    tensor = _child(kind, 1)  # TypeProto.tensor_type
    shape = None if tensor is None else _child(tensor, 2)  # its TensorShapeProto
    if shape is None:
        return None
    sizes = []
    for number, value in fields(shape):
        if number == 1 and isinstance(value, memoryview):
            sizes.append(next((size for key, size in fields(value) if key == 1), None))
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        return None
    return tuple(size for size in sizes if isinstance(size, int))


def _child(message: memoryview, wanted: int) -> memoryview | None:
    found = next((value for number, value in fields(message) if number == wanted), None)
    return found if isinstance(found, memoryview) else None


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")
