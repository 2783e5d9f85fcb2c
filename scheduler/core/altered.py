"""Frozen values, and changed copies of them, made in a fraction of the usual time: a round makes very many.

A value is filled while it is of a twin class of the same slots that is not frozen, and then becomes one of its own
class: Python lets a value do that where both lay out the same slots. To set the slots of a twin costs a tenth of what
setting those of a frozen value past its guard does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def altered(value: T, **changes: object) -> T:
    """The value with some fields changed, as `dataclasses.replace` makes it.

    For slotted dataclasses without `__post_init__`. Raises AttributeError for an unknown field.
    """
    kind: type = type(value)
    copy: T = _copier(kind, tuple(changes))(value, *changes.values())
    return copy


def altering(kind: type[T], *names: str) -> Callable[..., T]:
    """What makes a changed copy of a value from that and from what these fields are to be, in this order.

    For where the same fields of very many values change: it takes half of what `altered` does. For slotted dataclasses
    without `__post_init__`. Raises AttributeError for an unknown field.
    """
    made: Callable[..., T] = _copier(kind, names)  # type: ignore[arg-type] # a class can be hashed
    return made


def making(kind: type[T]) -> Callable[..., T]:
    """What makes a value of a class from all its fields, in their order: for where very many are made.

    It takes a third of what a call of the class with keywords does. For slotted dataclasses without `__post_init__`.
    """
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type] # any dataclass
    lines = [
        f"def made({', '.join(names)}):",
        "    value = twin()",
        *(f"    value.{name} = {name}" for name in names),
        "    value.__class__ = kind",
        "    return value",
    ]
    twin = _twin(kind)  # type: ignore[arg-type] # a class can be hashed
    made: Callable[..., T] = _written_out("made", lines, {"kind": kind, "twin": twin})
    return made


@cache
def _copier(kind: Any, names: tuple[str, ...]) -> Callable[..., Any]:  # noqa: ANN401 - any dataclass
    """A function that names each field once, written out as `dataclasses` writes out its own."""
    known = [f.name for f in fields(kind)]
    if unknown := set(names).difference(known):
        raise AttributeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    lines = [
        f"def changed(value, {', '.join(f'new_{name}' for name in names)}):",
        "    copy = twin()",
        *(f"    copy.{name} = {f'new_{name}' if name in names else f'value.{name}'}" for name in known),
        "    copy.__class__ = kind",
        "    return copy",
    ]
    return _written_out("changed", lines, {"kind": kind, "twin": _twin(kind)})


def swift(kind: type[T]) -> type[T]:
    """The class, made in half the time: for a frozen dataclass of many slots, kw-only and without `__post_init__`."""
    plain: Any = kind
    made_of: dict[str, Any] = {"kind": kind, "twin": _twin(plain), "become": object.__setattr__}
    known: tuple[Field[Any], ...] = fields(plain)
    for field in known:
        made_of[f"default_{field.name}"] = field.default
        made_of[f"make_{field.name}"] = field.default_factory
    lines = [
        f"def __init__(self, *, {', '.join(_parameter(f) for f in known)}):",
        "    become(self, '__class__', twin)",
        *(f"    self.{f.name} = {_argument(f)}" for f in known),
        "    self.__class__ = kind",
    ]
    plain.__init__ = _written_out("__init__", lines, made_of | {"MISSING": MISSING})
    return kind


def _parameter(field: Field[Any]) -> str:
    if field.default_factory is not MISSING:
        return f"{field.name}=MISSING"
    return field.name if field.default is MISSING else f"{field.name}=default_{field.name}"


def _argument(field: Field[Any]) -> str:
    if field.default_factory is MISSING:
        return field.name
    return f"make_{field.name}() if {field.name} is MISSING else {field.name}"


@cache
def _twin(kind: Any) -> type:  # noqa: ANN401 - any dataclass
    """A class of the same slots that is not frozen."""
    return type(kind.__name__, (), {"__slots__": [f.name for f in fields(kind)]})


def _written_out(name: str, lines: list[str], made_of: dict[str, Any]) -> Callable[..., Any]:
    exec("\n".join(lines), made_of)  # noqa: S102 - nothing but names of fields goes into it
    function: Callable[..., Any] = made_of[name]
    return function
