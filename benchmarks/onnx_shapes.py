"""The nodes of an ONNX graph and the shape of every tensor, read from the file's bytes without the onnx package.

A device that measures has a runtime, but seldom the package that graphs are made with. Only what a count of
work needs is read: node types, their tensors, the shapes of weights (TensorProto.dims) and of intermediate
tensors (ValueInfoProto); weights themselves are passed over. Field numbers: github.com/onnx/onnx,
onnx/onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_iqa.errors import BundleRefused

Field = tuple[int, int | memoryview]
Shape = tuple[int, ...]
_MAX_VARINT_BYTES = 10


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
    graph = next((value for number, value in _fields(memoryview(content)) if number == 7), None)
    if not isinstance(graph, memoryview):
        raise _broken("it holds no graph")
    nodes: list[Node] = []
    shapes: dict[str, Shape] = {}
    constants: set[str] = set()
    for number, value in _fields(graph):
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
    for number, value in _fields(message):
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
    for number, value in _fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == 8 and isinstance(value, memoryview):
            name = _text(value)
    return name, tuple(shape)


def _value_info(message: memoryview) -> tuple[str, Shape | None]:
    """Return name and shape; a shape with an unknown or symbolic size is None."""
    name, shape = "", None
    for number, value in _fields(message):
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
    for number, value in _fields(shape):
        if number == 1 and isinstance(value, memoryview):
            sizes.append(next((size for key, size in _fields(value) if key == 1), None))
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        return None
    return tuple(size for size in sizes if isinstance(size, int))


def _child(message: memoryview, wanted: int) -> memoryview | None:
    found = next((value for number, value in _fields(message) if number == wanted), None)
    return found if isinstance(found, memoryview) else None


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield number and value of each field of a protobuf message; fixed-width fields are passed over."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _broken(f"field {number} has the wire type {kind}")
        if position + size > len(message):
            raise _broken(f"field {number} runs past the end")
        if kind == 2:
            yield number, message[position : position + size]
        position += size


def _packed(message: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(message):
        value, position = _varint(message, position)
        values.append(value)
    return values


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position >= len(message):
            raise _broken("it ends in the middle of a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position
    raise _broken("a number has more than ten bytes")


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _broken(why: str) -> BundleRefused:
    return BundleRefused("The graph is not an ONNX model", why=why, fix="rebuild the bundle with 'edge-iqa quantize'")
