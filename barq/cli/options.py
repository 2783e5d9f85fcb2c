"""Options and arguments that several verbs share, and how their text becomes a quantity."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from barq.cli import facts
from barq.errors import InvalidInput
from barq.quantities import parse_duration_s

JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON value, in base units.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only.")]
JobArgument = Annotated[
    str, typer.Argument(metavar="ID", help="A job's id, its number, or how its id begins.")
]
JobArguments = Annotated[
    list[str], typer.Argument(metavar="ID", help="Ids of jobs, their numbers, or how their ids begin.")
]

_REMEDY: Final = "write a duration with its unit, such as 90s, 30m or 1h30m"


def duration_s(text: str, option: str) -> float:
    """Return the seconds that `option` means. Raises InvalidInput, for a bare number too: it has no unit."""
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise InvalidInput(
            f"{option}: {text!r} is not a duration", field=option, value=text, remedy=_REMEDY
        ) from error
    if not text.strip()[-1:].isalpha():
        raise InvalidInput(f"{option}: {text!r} has no unit", field=option, value=text, remedy=_REMEDY)
    return seconds


def positive_duration_s(text: str | None, option: str) -> float | None:
    """Return as `duration_s`, None for None. Raises InvalidInput for zero as well."""
    if text is None:
        return None
    seconds = duration_s(text, option)
    if seconds <= 0:
        raise InvalidInput(f"{option}: {text!r} is no time at all", field=option, value=text, remedy=_REMEDY)
    return seconds


def past_instant(text: str | None, option: str) -> str | None:
    """Return a time as the API takes it: without a zone it is local; a duration is so long ago. Raises InvalidInput."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            at = facts.utc_now() - timedelta(seconds=parse_duration_s(text))
        except (ValueError, OverflowError) as error:
            raise InvalidInput(
                f"{option}: {text!r} is no time",
                field=option,
                value=text,
                remedy="write 2026-03-01, 2026-03-01T13:00, 2026-03-01T13:00Z, or 24h for a day ago",
            ) from error
    return at.astimezone(UTC).isoformat()
