"""Ranges as people write them: the indices of an array, "0-99:10%4", and the nodes of a gang, "2..8"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

MAX_ARRAY: Final = 10_000
"""Jobs that one array makes at most."""
MAX_INDEX: Final = 4_000_000
MAX_ARRAY_TEXT: Final = 64 * 1024
MAX_NODES: Final = 100_000
ARRAY_FORMS: Final = '"0-9", "0-99:10" (every tenth) or "1,3,7"; "%4" behind it = four at once'
NODES_FORMS: Final = "a whole number of nodes, or a range such as 2..8"

_ARRAY = re.compile(r"(?P<parts>[0-9:,-]+)(?:%(?P<most>[0-9]{1,9}))?", re.ASCII)
_PART = re.compile(r"(?P<first>[0-9]{1,9})(?:-(?P<last>[0-9]{1,9})(?::(?P<step>[0-9]{1,9}))?)?", re.ASCII)
_NODES = re.compile(r"\s*(?P<least>[0-9]{1,20})\s*\.\.\s*(?P<most>[0-9]{1,20})\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRange:
    """The indices of an array, rising, and how many of its jobs may hold GPUs at once (None = any number)."""

    indices: Sequence[int]
    most: int | None = None


def parse_array(text: str) -> ArrayRange:
    """Return the array that `text` means. Raises ValueError with the remedy."""
    found = _ARRAY.fullmatch(text.strip()) if len(text) <= MAX_ARRAY_TEXT else None
    if found is None:
        raise ValueError(f"write {ARRAY_FORMS}")
    most = None if found["most"] is None else int(found["most"])
    if most == 0:
        raise ValueError("write at least 1 after %, or nothing for all at once")
    return ArrayRange(indices=_indices(found["parts"]), most=most)


@lru_cache(maxsize=64)  # each job of an array asks for it
def _indices(text: str) -> Sequence[int]:
    parts = [_part(part) for part in text.split(",")]
    if sum(len(part) for part in parts) > MAX_ARRAY:
        raise ValueError(f"write at most {MAX_ARRAY} indices; split it")
    if len(parts) == 1:
        return parts[0]
    indices = tuple(sorted(chain.from_iterable(parts)))
    if len(set(indices)) < len(indices):
        raise ValueError("write each index once")
    return indices


def parse_nodes(value: int | str) -> tuple[int, int]:
    """Return the fewest and the most nodes that `value` means. Raises ValueError with the remedy."""
    found = _NODES.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        raise ValueError(f"write {NODES_FORMS}")
    least, most = (int(found["least"]), int(found["most"])) if found else (int(value), int(value))
    if least < 1:
        raise ValueError("write at least 1 node")
    if most > MAX_NODES:
        raise ValueError(f"write at most {MAX_NODES} nodes")
    if least > most:
        raise ValueError(f"write the smaller number first: {most}..{least}")
    return least, most


def _part(text: str) -> range:
    found = _PART.fullmatch(text)
    if found is None:
        raise ValueError(f"write {ARRAY_FORMS}")
    first, step = int(found["first"]), int(found["step"] or 1)
    last = first if found["last"] is None else int(found["last"])
    if first > last:
        raise ValueError(f"write the smaller index first: {last}-{first}")
    if last > MAX_INDEX:
        raise ValueError(f"write indices up to {MAX_INDEX}")
    if step < 1:
        raise ValueError("write a step of at least 1 after :")
    return range(first, last + 1, step)


def _nodes_field(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"write {NODES_FORMS}")  # noqa: TRY004 - for pydantic
    least, most = parse_nodes(value)
    return value if isinstance(value, int) else f"{least}..{most}"


def _array_field(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"write {ARRAY_FORMS}")  # noqa: TRY004 - for pydantic
    text = value.strip() if isinstance(value, str) else str(min(value, MAX_INDEX + 1))
    parse_array(text)
    return text


_NODES_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MAX_NODES},
            {"type": "string", "pattern": r"^[1-9][0-9]{0,4}\.\.[1-9][0-9]{0,4}$"},
        ],
        "description": "Nodes of a gang; LEAST..MOST = as many as there are for it, anew with each attempt",
        "examples": [2, "2..8"],
    }
)
_ARRAY_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_INDEX},
            {"type": "string", "maxLength": MAX_ARRAY_TEXT},
            {"type": "null"},
        ],
        "description": f"One job for each index: {ARRAY_FORMS}",
        "examples": ["0-9", "0-99:10%4"],
    }
)
Nodes = Annotated[int | str, BeforeValidator(_nodes_field), _NODES_SCHEMA]
Array = Annotated[str | None, BeforeValidator(_array_field), _ARRAY_SCHEMA]
