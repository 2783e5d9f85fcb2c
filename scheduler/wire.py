"""JSON of the core's values: what is stored, recorded and sent is written and checked here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from scheduler.errors import BarqError

T = TypeVar("T")
_SHOWN_CHARACTERS = 80
_ADAPTERS: dict[object, TypeAdapter[Any]] = {}  # made once: a large type takes milliseconds


class WireError(BarqError, ValueError):
    """Bytes that are not what they should be, or a value that JSON cannot hold."""


def dumps(value: object) -> bytes:
    """One line of JSON: dataclasses as objects, times in ISO 8601, enums by value, infinity as `Infinity`.

    Raises `WireError` for a value that has no JSON.
    """
    try:
        return to_json(value, fallback=_plain)
    except PydanticSerializationError as error:
        raise WireError(f"{type(value).__name__} has no JSON: {error}; use plain data") from error


def loads(kind: type[T], data: bytes | str) -> T:
    """The `kind` that `dumps` wrote: any dataclass of the core, or a container of them.

    Strict: no text where a number belongs, no key that the type does not know, no NaN, which no comparison finds too
    high. Raises `WireError`, which names the field, the value and the remedy.
    """
    try:
        value = _adapter(kind).validate_json(data, strict=True, extra="forbid")
    except ValidationError as error:
        raise WireError(_sentence(kind, error.errors(include_url=False))) from error
    if (b"NaN" in data) if isinstance(data, bytes) else ("NaN" in data):  # a text may hold it
        json.loads(data, parse_constant=partial(_check_constant, kind))
    return value


def _check_constant(kind: object, constant: str) -> float:
    if constant == "NaN":
        name = getattr(kind, "__name__", str(kind))
        raise WireError(f"not a {name}: it holds NaN, which is no number; see who measures it")
    return float(constant)


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return cast("TypeAdapter[T]", _ADAPTERS[kind])


def _plain(value: object) -> object:
    """Mappings that are no dict (read-only views, chains) are written like one."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"unable to serialize {type(value).__name__}")


def _sentence(kind: object, details: list[ErrorDetails]) -> str:
    """The first complaint in full, the others counted."""
    first = details[0]
    field = ".".join(str(part) for part in first["loc"]) or "the document"
    shown = repr(first["input"])
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "..."
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    name = getattr(kind, "__name__", str(kind))
    return f"not a {name}: {field}: {first['msg']}, got {shown}{more}; was it written by another version?"
