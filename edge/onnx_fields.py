"""The fields of an ONNX file, read from its bytes as protobuf without the onnx package.

A device that runs or measures a graph has a runtime, but seldom the package that graphs are made with. Field numbers
are those of onnx/onnx.proto3 in github.com/onnx/onnx.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_iqa.errors import BundleRefused

_MAX_VARINT_BYTES = 10


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message, without a copy; fixed-width fields are passed over.

    Raises BundleRefused where the bytes are no such message.
    """
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
            raise not_onnx(f"field {number} has the wire type {kind}")
        if position + size > len(message):
            raise not_onnx(f"field {number} runs past the end")
        if kind == 2:
            yield number, message[position : position + size]
        position += size


def packed(message: memoryview) -> list[int]:
    """Return the numbers of a packed repeated field."""
    values, position = [], 0
    while position < len(message):
        value, position = _varint(message, position)
        values.append(value)
    return values


def not_onnx(why: str) -> BundleRefused:
    """Return the error for bytes that are not an ONNX model."""
    return BundleRefused("The graph is not an ONNX model", why=why, fix="rebuild the bundle with 'edge-iqa quantize'")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position >= len(message):
            raise not_onnx("it ends in the middle of a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position
    raise not_onnx("a number has more than ten bytes")
