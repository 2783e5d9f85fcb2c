"""Reading JSON that somebody else wrote: every field is checked, every refusal names field, value and remedy.

Standard library only; shared by the files of the contract and the manifest of a checkpoint.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final, NoReturn, TypeVar, cast

MAX_COUNT: Final = 2**53
"""Largest step, size or sequence number: what JSON readers everywhere keep exact."""
MAX_SECONDS: Final = 1e10
MAX_TEXT: Final = 1000
MAX_NAME_BYTES: Final = 255
_SHOWN_CHARACTERS: Final = 60

_Choice = TypeVar("_Choice", bound=StrEnum)


class ContractError(ValueError):
    """A file or variable of the contract holds nonsense; the message names field, value and remedy."""


def parse_object(what: str, text: str | bytes, max_bytes: int) -> dict[str, object]:
    """Return the JSON object in `text`. Raises ContractError on all else, NaN or more than `max_bytes`."""
    if len(text) > max_bytes:
        message = f"{what}: {len(text)} bytes or more is too large; keep it under {max_bytes}"
        raise ContractError(message)
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        found = text if isinstance(text, str) else text.decode("utf-8", "replace")
        message = f"{what}: {_shown(found)} is not JSON ({error}); write one JSON object"
        raise ContractError(message) from error
    if not isinstance(record, dict):
        message = f"{what}: {_shown(record)} is not an object; write one JSON object"
        raise ContractError(message)
    return record


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not a number"
    raise ValueError(message)


def field(what: str, record: dict[str, object], name: str) -> object:
    """Return the field `name` of `record`. Raises ContractError if it is missing."""
    if name not in record:
        message = f"{what}: field {name!r} is missing from {_shown(sorted(record))}; add it"
        raise ContractError(message)
    return record[name]


def choice(what: str, name: str, value: object, choices: type[_Choice]) -> _Choice:
    """Return the member of `choices` that `value` names. Raises ContractError if none does."""
    try:
        return choices(cast("str", value))
    except ValueError:
        refuse(what, name, value, f"one of {', '.join(member.value for member in choices)}")


def check_integer(what: str, name: str, value: object, low: int, high: int) -> None:
    """Raise ContractError unless `value` is an integer (a truth value is none) from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        refuse(what, name, value, f"an integer from {low} to {high}")


def check_seconds(what: str, name: str, value: object) -> None:
    """Raise ContractError unless `value` is None or a finite number of seconds, at least 0 and not absurd."""
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= cast("float", value) <= MAX_SECONDS:  # NaN fails both
        refuse(what, name, value, f"seconds from 0 to {MAX_SECONDS:g}, or null")


def check_text(what: str, name: str, value: object) -> None:
    """Raise ContractError unless `value` is text of a bounded length."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        refuse(what, name, value, f"text of at most {MAX_TEXT} characters")


def check_file_name(what: str, name: str, value: object) -> None:
    """Raise ContractError unless `value` can only mean an entry of the directory it is looked up in."""
    if not isinstance(value, str) or not is_plain_name(value):
        refuse(what, name, value, "a plain file name, without a directory")


def is_plain_name(name: str) -> bool:
    """Tell whether `name` is one path component: printable, no separator, not `.` or `..`, not over-long."""
    is_component = "/" not in name and name not in ("", ".", "..")
    return is_component and name.isprintable() and len(name.encode()) <= MAX_NAME_BYTES


def refuse(what: str, name: str, value: object, remedy: str) -> NoReturn:
    """Raise the ContractError that says which field of `what` holds which value, and what to write."""
    message = f"{what}: {name}={_shown(value)} is refused; write {remedy}"
    raise ContractError(message)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
