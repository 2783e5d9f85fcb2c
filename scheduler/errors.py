"""Errors of the scheduler.

BarqError
├── SignalError        a source of the limit cannot be read
├── MeterError         the meter cannot be read
│   └── MeterRefused   the meter answers what cannot be
├── HostError          a machine cannot be asked about its power, or told
│   └── HostRefused    its controller answers what cannot be, or declines
├── StoreError         the store cannot be read or written
│   ├── StaleEpoch     another leader took over
│   └── StoreSlow      the store did not answer in time
├── ClockWasSet        the time of day jumped
├── SettingsError      a site file does not make sense
└── TraceError         what a simulation is to be fed with does not make sense
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Mapping


class BarqError(Exception):
    """Root of all errors that Barq raises on purpose."""


class SignalError(BarqError):
    """A source of the limit cannot be read."""


class MeterError(BarqError):
    """The meter cannot be read."""


class MeterRefused(MeterError):
    """The meter answers, and what it says cannot be, or it says that it has no reading."""


class HostError(BarqError):
    """A machine's own controller cannot be asked, or told."""


class HostRefused(HostError):
    """The controller answers, and what it says cannot be, or it declines what it is told."""


class StoreError(BarqError):
    """The store cannot be read or written."""


class StaleEpoch(StoreError):
    """Another leader took over; this one must stop."""


class StoreSlow(StoreError):
    """The store did not answer in time. What it was asked goes on: `outcome` is done once it has answered."""

    def __init__(self, message: str, outcome: Future[Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


class ClockWasSet(BarqError):
    """The time of day is another one than the clock has counted to; whoever reckons with it has to begin anew."""


class SettingsError(BarqError):
    """A site file does not make sense. The message names field, value and remedy."""


class TraceError(BarqError):
    """A file of jobs or power for a simulation, or what is asked of it, does not make sense.

    The message names file, line, column, value and remedy, as far as there are such.
    """


_ALONE: Final = "write the number alone; its unit is the end of the field's name"
_REMEDIES: Final = {
    "extra_forbidden": "remove the key or correct its spelling",
    "tuple_type": "write a list, [a, b]",
    "model_attributes_type": "write its keys below it: type, and those of its kind",
    "float_type": _ALONE,
    "float_parsing": _ALONE,
    "int_type": _ALONE,
    "int_parsing": _ALONE,
}
_WORDS: Final = {
    "extra_forbidden": "is not known",
    "missing": "is missing",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "decimal_type": "must be a number, such as 52.50",
    "decimal_parsing": "must be a number, such as 52.50",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_pattern_mismatch": "must match the pattern '{pattern}'",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be keys with values below it",
    "model_type": "must be keys with values below it",
    "model_attributes_type": "must be keys with values below it",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
"""For what pydantic says in its own words of a value."""


def in_our_words(error: Mapping[str, Any]) -> str:
    """What is wrong with the value of a field, from one of pydantic's details of an error."""
    words = _WORDS.get(error["type"])
    if words is None:
        return str(error["msg"]).removeprefix("Value error, ")
    context = error.get("ctx", {}).items()
    return words.format(**{name: f"{v:.10g}" if isinstance(v, float) else v for name, v in context})


def with_remedy(text: str, kind: str) -> str:
    """A complaint about one field of a site file, with what to do where pydantic's words for that `kind` do not say."""
    remedy = _REMEDIES.get(kind)
    return f"{text}; {remedy}" if remedy else text
