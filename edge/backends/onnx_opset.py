"""The operator-set version of an ONNX file, read from its bytes without the onnx package.

A parser older than the graph may ignore what it does not know instead of refusing it (TensorRT 8.6 drops the
axes of an opset-18 ReduceMean: github.com/NVIDIA/TensorRT/issues/3467), so the version is compared before a
parser sees the file.
"""

from __future__ import annotations

from edge_iqa.onnx_fields import fields, not_onnx

_OPSET_IMPORT = 8  # ModelProto.opset_import
_DOMAIN = 1  # OperatorSetIdProto.domain
_VERSION = 2  # OperatorSetIdProto.version


def read_opset(content: bytes) -> int:
    """Return the version of the default operator set that an ONNX file imports.

    Raises BundleRefused where the bytes are not an ONNX model.
    """
    for number, value in fields(memoryview(content)):
        if number == _OPSET_IMPORT and isinstance(value, memoryview):
            inner = dict(fields(value))
            domain, version = inner.get(_DOMAIN, b""), inner.get(_VERSION)
            if domain in (b"", b"ai.onnx") and isinstance(version, int):
                return version
    raise not_onnx("it imports no operator set")
