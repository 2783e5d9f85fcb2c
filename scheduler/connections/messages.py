"""Reading what a peer sent, and refusing what cannot be true. Pure: bytes and JSON values in, numbers and times out.

Whatever comes in, each function answers or raises `Refused` with the reason.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

WATTS: Final = {"W": 1.0, "kW": 1e3, "MW": 1e6}
MOST_BYTES: Final = 65_536
_SHOWN: Final = 60
_MOST_NAME: Final = 200
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_YEARS = range(2000, 2200)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_S = (1e9, 1e11)  #: what is more are milliseconds


class Refused(ValueError):
    """A message that does not count. Says what it holds, why that cannot be, and what to do."""


def read_json(payload: bytes, *, most_bytes: int = MOST_BYTES) -> object:
    """The one JSON value that a payload holds. NaN, Infinity and a key that is there twice are refused."""
    if len(payload) > most_bytes:
        raise Refused(f"it has {len(payload)} bytes, and at most {most_bytes} are read; send less")
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise Refused(f"{shown(payload)} is no text in UTF-8; send JSON, or a plain number") from None
    try:
        value: object = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once_each)
    except Refused:
        raise
    except (ValueError, RecursionError):
        raise Refused(f"{shown(text)} is no JSON; send JSON, or a plain number") from None
    return value


def at_field(document: object, field: str) -> object:
    """What stands there: "/a/b/0" is a JSON pointer (RFC 6901), "a" the key a, "" the whole document."""
    if not field:
        return document
    steps = (
        [s.replace("~1", "/").replace("~0", "~") for s in field[1:].split("/")]
        if field[0] == "/"
        else [field]
    )
    value = document
    for step in steps:
        value = _step(value, step, field)
    return value


def number(value: object, what: str) -> float:
    """A finite number. A number in quotes is text, and refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{what} is {shown(value)}, and that is no number; send one, without quotes")
    try:
        converted = float(value)
    except OverflowError:
        converted = math.inf
    if not math.isfinite(converted):
        raise Refused(f"{what} is {shown(value)}, and that is not finite; send a finite number")
    return converted


def power_w(value: object, what: str, *, unit: str, watts: float, max_w: float) -> float:
    """A power from 0 to `max_w`, W, from a number in a unit of `watts` W each."""
    given = number(value, what)
    if given < 0:
        raise Refused(f"{what} is {given:g} {unit}, below 0; send 0 or more")
    if given * watts > max_w:
        raise Refused(
            f"{what} is {given:g} {unit}, above the {max_w:g} W that are believed; check the unit, or raise max_w"
        )
    return given * watts


def instant(value: object, what: str) -> datetime:
    """A time: ISO 8601 with its zone, or Unix seconds or milliseconds as a number."""
    at = _iso(value, what) if isinstance(value, str) else _unix(number(value, what), what)
    if at.year not in _YEARS:
        years = f"{_YEARS.start} to {_YEARS.stop - 1}"
        raise Refused(f"{what} is {shown(value)}, not in the years {years}; check the giver's clock")
    return at


def shown(value: object) -> str:
    """A value for a message of one line: printable, and cut."""
    try:
        text = ascii(value[: _SHOWN + 1] if isinstance(value, str | bytes) else value)
    except RecursionError:  # lists in lists, just not too deep to be read
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def named(value: object) -> str:
    """What a giver calls something, on one line, and cut: text as it is, anything else as JSON would have it."""
    text = value if isinstance(value, str) else shown(value)
    return "".join(c if c.isprintable() else "?" for c in text[:_MOST_NAME])


def _iso(text: str, what: str) -> datetime:
    try:
        at = datetime.fromisoformat(text) if _ISO.match(text) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    why = "no time" if at is None else "without a time zone"
    raise Refused(f"{what} is {shown(text)}, {why}; write it like 2026-06-01T06:00:00Z")


def _unix(seconds: float, what: str) -> datetime:
    low, high = _UNIX_S
    if not low <= seconds < high * 1000:
        raise Refused(f"{what} is {seconds:g}, no time; send Unix seconds, or ISO 8601")
    return _EPOCH + timedelta(seconds=seconds if seconds < high else seconds / 1000)


def _step(value: object, step: str, field: str) -> object:
    if isinstance(value, dict) and step in value:
        return value[step]
    if isinstance(value, list) and re.fullmatch(r"0|[1-9]\d{0,5}", step, re.ASCII) and int(step) < len(value):
        return value[int(step)]
    raise Refused(f"it has no {field!r}; send it, or correct the field in the site file")


def _no_constant(name: str) -> float:
    raise Refused(f"it holds {name}, and that is no number; send a finite one")


def _once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key in found if sum(k == key for k, _ in pairs) > 1)
        raise Refused(f"it has {shown(twice)} twice; send it once")
    return found
