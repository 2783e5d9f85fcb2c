"""What is wrong with a file that people write, in one sentence for each mistake: file, field, value and remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scheduler.errors import in_our_words, with_remedy

_BRANCH: Final = re.compile(r"(literal|enum|union)\[")
"""In the place of a mistake: of a field that takes one of several kinds of value the kind that was tried."""
_CHOICES: Final = frozenset({"literal_error", "enum", "union_tag_invalid"})
_NAME: Final = re.compile(r"'((?:[^'\\]|\\.)*)'")
_NEAR: Final = 2  #: names that may have been meant
_SHOWN: Final = 60

_Place = tuple[int | str, ...]


def complaints(path: Path, error: ValidationError, *, below: str = "") -> str:
    """One line for each mistake in a file, `below` one of its keys. Where several values were possible it is one."""
    found = error.errors(include_url=False)
    return "\n".join(_complaint(path, place, list(same), below) for place, same in groupby(found, key=_place))


def _complaint(path: Path, place: _Place, same: list[ErrorDetails], below: str) -> str:
    first, names = same[0], list(_names(same))
    field = ".".join(str(part) for part in ((below, *place) if below else place)) or "the site"
    if names:
        value = first.get("ctx", {}).get("tag", first["input"])
        is_tag = first["type"] == "union_tag_invalid"
        of = f"{field}.{_unquoted(first)}" if is_tag else field
        return f"{path}: {of} = {_short(value)!r} is not known; {_advice(str(value), names)}"
    if first["type"] == "union_tag_not_found":
        return (
            f"{path}: {field}: {_unquoted(first)} is missing; it says which kind this is: see configs/sites/"
        )
    told = "" if isinstance(first["input"], dict) else f" (given: {_short(first['input'])!r})"
    text = f"{path}: {field}: {in_our_words(first)}{told}"
    return with_remedy(text, first["type"])


def _place(error: ErrorDetails) -> _Place:
    """The field, whichever kind of value was tried."""
    parts = [part for part in error["loc"] if not (isinstance(part, str) and _BRANCH.match(part))]
    if error["type"] in _CHOICES and parts and parts[-1] == "[key]":
        parts = parts[:-2]  # it is the key that is wrong
    return tuple(parts)


def _names(same: Iterable[ErrorDetails]) -> Iterator[str]:
    """All that would have been right."""
    for error in same:
        if error["type"] in _CHOICES:
            context = error.get("ctx", {})
            yield from _NAME.findall(str(context.get("expected") or context.get("expected_tags") or ""))


def _advice(value: str, names: list[str]) -> str:
    """Those that it is like, then all."""
    near = difflib.get_close_matches(value[:_SHOWN], names, n=_NEAR, cutoff=0.6)
    known = f"it is one of {', '.join(names)}"
    return f"did you mean {' or '.join(near)}? {known}" if near else known


def _unquoted(error: ErrorDetails) -> str:
    return str(error.get("ctx", {}).get("discriminator", "type")).strip("'")


def _short(value: object) -> str:
    return str(value)[:_SHOWN]
