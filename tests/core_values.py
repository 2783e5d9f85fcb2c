"""Hypothesis strategies for the core's types: every field filled, times aware, numbers as asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from scheduler.core.machines import MachineKind

INSTANTS = st.datetimes(timezones=st.just(UTC))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NO_NAN = st.floats(allow_nan=False)
#: A kind of machine makes sense, or it is refused.
MACHINE_KINDS = st.builds(
    MachineKind,
    max_w=st.integers(1000, 9000),
    least_w=st.none() | st.integers(1, 1000),
    joule_per_th=st.floats(0, 1e3),
    min_on_s=st.floats(0, 1e4),
    min_off_s=st.floats(0, 1e4),
)


def values_of(kind: Any, *, floats: st.SearchStrategy[float] = FINITE) -> st.SearchStrategy[Any]:
    """Values of a core type or of a container of them, without touching what others have registered."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is datetime:
        return INSTANTS
    if kind is MachineKind:
        return MACHINE_KINDS
    if kind is float:
        return floats
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: values_of(hints[f.name], floats=floats) for f in fields(kind)})
    if origin in (Union, UnionType):
        return st.one_of(*(values_of(arg, floats=floats) for arg in args))
    if origin is tuple:
        return _tuples(args, floats)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(*(values_of(arg, floats=floats) for arg in args), max_size=4)
    return st.from_type(kind)


def _tuples(args: tuple[Any, ...], floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    if args[-1] is Ellipsis:
        return st.lists(values_of(args[0], floats=floats), max_size=4).map(tuple)
    return st.tuples(*(values_of(arg, floats=floats) for arg in args))
