"""A TFLite flatbuffer under construction, on the official schema that the interpreter's package carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_iqa.errors import MissingDependency

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
BUFFER_ALIGNMENT_BYTES = 16

_OPTIONS = {
    "ADD": "AddOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "RESHAPE": "ReshapeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SUB": "SubOptions",
    "TRANSPOSE": "TransposeOptions",
}

# The first version of each operator that takes int8 tensors; with float tensors it is 1.
_INT8_VERSION = {
    "ADD": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 4,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "PADV2": 2,
    "RELU": 2,
    "TRANSPOSE": 2,
}


@dataclass(frozen=True)
class TensorScale:
    """How the integers of a tensor stand for real numbers: ``real = scale * (integer - zero_point)``."""

    scale: float
    zero_point: int


class TfliteBuilder:
    """Collects the tensors and operators of one graph and packs them into a ``.tflite`` file.

    Raises MissingDependency where flatbuffers or the schema is not installed.
    """

    def __init__(self) -> None:
        self._flatbuffers, self._schema = _import_flatbuffers()
        self._buffer_type = _aligned_buffer_type(self._schema)
        self._buffers: list[Any] = [self._buffer_type()]  # by the format's rule, buffer 0 is empty
        self._codes: list[Any] = []
        self._code_index: dict[tuple[str, int], int] = {}
        self._tensors: list[Any] = []
        self._operators: list[Any] = []

    def tensor(self, name: str, shape: Sequence[int], dtype: str, quantization: TensorScale | None = None) -> int:
        """Add a tensor that is filled at run time; ``dtype`` is a name of the schema, such as ``INT8``."""
        tensor = self._new_tensor(name, shape, dtype)
        if quantization is not None:
            tensor.quantization = self._quantization([quantization.scale], [quantization.zero_point], 0)
        return self._append(tensor)

    def constant(
        self,
        name: str,
        data: NDArray[Any],
        scales: NDArray[np.float32] | None = None,
        *,
        axis: int = 0,
        zero_point: int = 0,
    ) -> int:
        """Add a float32, int32 or int8 tensor with content; ``scales``: one, or one per entry of ``axis``."""
        tensor = self._new_tensor(name, data.shape, data.dtype.name.upper())
        buffer = self._buffer_type()
        buffer.data = np.ascontiguousarray(data).tobytes()
        self._buffers.append(buffer)
        tensor.buffer = len(self._buffers) - 1
        if scales is not None:
            tensor.quantization = self._quantization(scales, [zero_point] * len(scales), axis)
        return self._append(tensor)

    def operator(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        version: int | None = None,
        **options: Any,
    ) -> None:
        """Add an operator; ``options`` are the fields of the schema's options table for this kind."""
        schema = self._schema
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(kind, version or self._version(kind, [*inputs, *outputs]))
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        table = _OPTIONS.get(kind)
        if table is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            for name, value in options.items():
                if not hasattr(operator.builtinOptions, name):
                    raise AttributeError(f"{table} has no field {name!r}")
                setattr(operator.builtinOptions, name, value)
        self._operators.append(operator)

    def schema_value(self, enumeration: str, name: str) -> int:
        """Return the number of a name in one of the schema's enumerations, such as ``Padding``, ``SAME``."""
        return int(getattr(getattr(self._schema, enumeration), name))

    def set_scale(self, index: int, quantization: TensorScale) -> None:
        """Say what the integers of a tensor stand for; raises ValueError where something else was said before."""
        tensor = self._tensors[index]
        said = tensor.quantization
        if said is not None and (said.scale[0], said.zeroPoint[0]) != (
            np.float32(quantization.scale),
            quantization.zero_point,
        ):
            raise ValueError(f"the integers of {tensor.name} stand for other numbers already")
        tensor.quantization = self._quantization([quantization.scale], [quantization.zero_point], 0)

    def rename(self, index: int, name: str) -> None:
        """Give a tensor another name, as the graph's own output name."""
        self._tensors[index].name = name

    def finish(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """Pack everything; ``inputs`` and ``outputs`` map the graph's public names to tensors."""
        schema = self._schema
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs, signature.outputs = self._tensor_map(inputs), self._tensor_map(outputs)
        model = schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = "edge-iqa"
        model.operatorCodes, model.buffers = self._codes, self._buffers
        model.subgraphs, model.signatureDefs = [graph], [signature]
        builder = self._flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _new_tensor(self, name: str, shape: Sequence[int], dtype: str) -> Any:
        tensor = self._schema.TensorT()
        tensor.name = name
        tensor.shape = [int(size) for size in shape]
        tensor.hasRank = True
        tensor.type = self.schema_value("TensorType", dtype)
        return tensor

    def _append(self, tensor: Any) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _quantization(self, scales: Any, zero_points: Any, axis: int) -> Any:
        quantization = self._schema.QuantizationParametersT()
        quantization.scale = np.asarray(scales, np.float32)
        quantization.zeroPoint = np.asarray(zero_points, np.int64)
        quantization.quantizedDimension = axis
        return quantization

    def _version(self, kind: str, tensors: Sequence[int]) -> int:
        int8 = self.schema_value("TensorType", "INT8")
        takes_int8 = any(index >= 0 and self._tensors[index].type == int8 for index in tensors)
        return _INT8_VERSION.get(kind, 1) if takes_int8 else 1

    def _code(self, kind: str, version: int) -> int:
        key = (kind, version)
        if key not in self._code_index:
            code = self._schema.OperatorCodeT()
            code.builtinCode = self.schema_value("BuiltinOperator", kind)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # the one-byte field of old readers
            code.version = version
            self._codes.append(code)
            self._code_index[key] = len(self._codes) - 1
        return self._code_index[key]

    def _tensor_map(self, names: dict[str, int]) -> list[Any]:
        entries = []
        for name, index in names.items():
            entry = self._schema.TensorMapT()
            entry.name, entry.tensorIndex = name, index
            entries.append(entry)
        return entries


def _aligned_buffer_type(schema: Any) -> Any:
    """Return a Buffer whose content starts at a multiple of 16 bytes, as the schema's ``force_align`` asks.

    The schema's Python code leaves that out, and a runtime may read constants in place with aligned loads.
    """

    class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
        def Pack(self, builder: Any) -> Any:
            content = None
            if self.data is not None:
                builder.StartVector(1, len(self.data), BUFFER_ALIGNMENT_BYTES)
                builder.head -= len(self.data)
                builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
                content = builder.EndVector()
            schema.BufferStart(builder)
            if content is not None:
                schema.BufferAddData(builder, content)
            return schema.BufferEnd(builder)

    return AlignedBuffer


def _import_flatbuffers() -> tuple[Any, Any]:
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingDependency(
            "The TFLite writer's packages are not installed",
            why=str(error),
            fix="pip install 'edge-iqa[export]'",
        ) from error
    return flatbuffers, schema_py_generated
