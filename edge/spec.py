"""Frozen dataclasses to and from plain documents (JSON, TOML), refusing keys that are not known."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from edge_iqa.errors import InvalidInput, UnknownKey

SpecT = TypeVar("SpecT")


def from_document(cls: type[SpecT], document: object, where: str) -> SpecT:
    """Build the frozen dataclass ``cls`` from a mapping, nested dataclasses included.

    ``where`` names the document in messages. Raises UnknownKey for a key that ``cls`` does not have and
    InvalidInput for a missing key or a value of another type.
    """
    if not isinstance(document, Mapping):
        raise InvalidInput(f"{where} must be a table of keys", why=f"it is {type(document).__name__}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(document) - set(fields))
    if unknown:
        raise UnknownKey(f"{where} has an unknown key {unknown[0]!r}", fix=f"known keys: {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in document:
            values[name] = _convert(hints[name], document[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InvalidInput(f"{where} lacks the key {name!r}")
    return cls(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_document(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(item for item in arguments if item is not type(None)), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        inner = arguments[0] if arguments[-1] is Ellipsis else None
        if inner is None and len(value) != len(arguments):
            raise InvalidInput(f"{where} must have {len(arguments)} values")
        return tuple(_convert(inner or arguments[index], item, where) for index, item in enumerate(value))
    if origin is list and isinstance(value, list):
        return [_convert(arguments[0], item, where) for item in value]
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:  # also true for NaN
            raise InvalidInput(f"{where} must be a finite number")
        return float(value)
    if hint is Any:
        return value
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    expected = getattr(hint, "__name__", hint)
    raise InvalidInput(f"{where} has the wrong type", why=f"{value!r} is not {expected}")
