"""JSON of what a guard receives, reports and remembers: written and checked here."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

T = TypeVar("T")
_ADAPTERS: Final[dict[Any, TypeAdapter[Any]]] = {}
_SHOWN_CHARACTERS = 80


class WireError(ValueError):
    """Bytes that are not what they should be; the message names the field, the value and the remedy."""


def encode(value: object) -> bytes:
    """One line of JSON: dataclasses as objects, enums as their values."""
    return to_json(value)


def decode(kind: type[T], data: bytes) -> T:
    """The `kind` that `encode` wrote: any dataclass of the core or of `workers`.

    Strict: no text where a number belongs, no key that the type does not know. Raises WireError.
    """
    try:
        value: T = adapter(kind).validate_json(data, strict=True, extra="forbid")
    except ValidationError as error:
        raise WireError(_sentence(kind, error)) from error
    return value


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """The codec of `kind`, built once: it takes milliseconds."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return cast("TypeAdapter[T]", _ADAPTERS[kind])


def _sentence(kind: type[Any], error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    field = ".".join(str(part) for part in first["loc"]) or "the document"
    shown = repr(first["input"])[:_SHOWN_CHARACTERS]
    more = f" (and {len(others)} more)" if others else ""
    what = getattr(kind, "__name__", "Request")  # a union has no name
    return f"not a {what}: {field}: {first['msg']}, got {shown}{more}; was it written by another version?"
