"""The operator-set version of an ONNX file, read from its bytes without the onnx package.

A parser older than the graph may ignore what it does not know instead of refusing it (TensorRT 8.6 drops the
axes of an opset-18 ReduceMean: github.com/NVIDIA/TensorRT/issues/3467), so the version is compared before a
parser sees the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_iqa.errors import BundleRefused

_OPSET_IMPORT = 8  # ModelProto.opset_import
_DOMAIN = 1  # OperatorSetIdProto.domain
_VERSION = 2  # OperatorSetIdProto.version
_MAX_VARINT_BYTES = 10
_MAX_IMPORT_BYTES = 4096


def read_opset(content: bytes) -> int:
    """Return the version of the default operator set that an ONNX file imports.

    Raises BundleRefused where the bytes are not an ONNX model.
    """
    for number, value in _fields(content):
        if number == _OPSET_IMPORT and isinstance(value, bytes):
            inner = dict(_fields(value))
            version = inner.get(_VERSION)
            if inner.get(_DOMAIN, b"") in (b"", b"ai.onnx") and isinstance(version, int):
                return version
    raise _broken("it imports no operator set")


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protobuf message; fixed-width fields are passed over."""
    position = 0
    while position < len(content):
        tag, position = _varint(content, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(content, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(content, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _broken(f"field {number} has the wire type {kind}")
        if position + size > len(content):
            raise _broken(f"field {number} runs past the end")
        if kind == 2:
            # The graph itself, by far the largest field, is passed over without a copy.
            yield number, content[position : position + size] if size < _MAX_IMPORT_BYTES else b""
        position += size


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position >= len(content):
            raise _broken("it ends in the middle of a number")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position
    raise _broken("a number has more than ten bytes")


def _broken(why: str) -> BundleRefused:
    return BundleRefused("The graph is not an ONNX model", why=why, fix="rebuild the bundle with 'edge-iqa quantize'")
