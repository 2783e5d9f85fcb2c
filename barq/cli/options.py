"""Options and arguments that several verbs share, and how their text becomes a quantity."""

from __future__ import annotations

from typing import Annotated, Final

import typer

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
