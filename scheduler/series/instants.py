"""Reading a column of times, whatever its spelling. Pure: text in, aware UTC instants out.

Spellings: ISO 8601 with or without a zone, year/month/day, month/day/year, day/month/year, day.month.year, Unix
seconds or milliseconds, seconds from zero, a bare time of day. The whole column must share one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where seconds from zero and bare times of day are put: they have no date."""

_UNIX_S = 1e8  # smaller numbers are seconds from zero; 1e8 is March 1973
_UNIX_MS = 1e11
_LATEST_S = 1e11
_LOOKED_AT = 500

Reader = Callable[[str, tzinfo], datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """One way to write times."""

    name: str
    read: Reader
    has_date: bool = True  #: False for bare times of day, which wrap at midnight
    telling: bool = True  #: False where any other small number looks the same


def recognise(texts: Sequence[str], zone: tzinfo = UTC) -> Spelling | None:
    """The spelling that reads a whole column, None if there is none.

    Where 4/1/24 could be either of two days, the one that keeps the column's dates closer together is taken.
    """
    sample = [text for text in texts if text][:_LOOKED_AT]
    fitting = [s for s in SPELLINGS if sample and all(s.read(text, zone) is not None for text in sample)]
    return min(fitting, key=lambda s: _span(s, sample, zone)) if fitting else None


def read_instants(texts: Sequence[str], spelling: Spelling, zone: tzinfo = UTC) -> list[datetime | None]:
    """Each text as an instant; None where it cannot be read. `zone` is for those that name none."""
    instants = [spelling.read(text, zone) if text else None for text in texts]
    return instants if spelling.has_date else _over_midnight(instants)


def _span(spelling: Spelling, sample: Sequence[str], zone: tzinfo) -> timedelta:
    instants = [at for text in sample if (at := spelling.read(text, zone)) is not None]
    return max(instants) - min(instants)


def _over_midnight(instants: Sequence[datetime | None]) -> list[datetime | None]:
    """A time of day that is earlier than the one before it belongs to the next day."""
    days, last = timedelta(0), None
    result: list[datetime | None] = []
    for at in instants:
        if at is not None and last is not None and at < last:
            days += timedelta(days=1)
        last = at or last
        result.append(None if at is None else at + days)
    return result


def _iso(text: str, zone: tzinfo) -> datetime | None:
    if not re.match(r"\d{4}[-/]\d\d?[-/]\d\d?", text):
        return None
    try:
        return _aware(datetime.fromisoformat(text.replace("/", "-")), zone)
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        return None


def _pattern(pattern: str, order: str) -> Reader:
    """A reader for dates in digits; `order` says which group is which: y, m, d."""
    compiled = re.compile(pattern + r"(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?)?")

    def read(text: str, zone: tzinfo) -> datetime | None:
        match = compiled.fullmatch(text)
        if match is None:
            return None
        parts = dict(zip(order, (int(g) for g in match.groups()[:3]), strict=True))
        hour, minute, second = (int(g or 0) for g in match.groups()[3:])
        year = parts["y"] + (2000 if parts["y"] < 100 else 0)  # noqa: PLR2004 - two digits
        try:
            at = datetime(year, parts["m"], parts["d"], hour, minute, second, tzinfo=zone)
            return at.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    return read


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < _LATEST_S * 1000 else None


def _unix(text: str, zone: tzinfo) -> datetime | None:
    del zone
    value = _number(text)
    if value is None or value < _UNIX_S:
        return None
    return EPOCH + timedelta(seconds=value / 1000 if value >= _UNIX_MS else value)


def _from_zero(text: str, zone: tzinfo) -> datetime | None:
    del zone
    value = _number(text)
    return EPOCH + timedelta(seconds=value) if value is not None and value < _UNIX_S else None


def _time_of_day(text: str, zone: tzinfo) -> datetime | None:
    del zone
    match = re.fullmatch(r"(\d{1,2}):(\d\d)(?::(\d\d))?", text)
    if match is None:
        return None
    hours, minutes, seconds = (int(g or 0) for g in match.groups())
    return EPOCH + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _aware(at: datetime, zone: tzinfo) -> datetime:
    return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)


_YEAR_FIRST = r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})"
_YEAR_LAST = r"(\d{1,2})[/](\d{1,2})[/](\d{4}|\d\d)"
_DOTTED = r"(\d{1,2})[.](\d{1,2})[.](\d{4}|\d\d)"
SPELLINGS = (
    Spelling(name="ISO 8601", read=_iso),
    Spelling(name="year/month/day", read=_pattern(_YEAR_FIRST, "ymd")),
    Spelling(name="month/day/year", read=_pattern(_YEAR_LAST, "mdy")),
    Spelling(name="day/month/year", read=_pattern(_YEAR_LAST, "dmy")),
    Spelling(name="day.month.year", read=_pattern(_DOTTED, "dmy")),
    Spelling(name="Unix time", read=_unix),
    Spelling(name="seconds from zero", read=_from_zero, telling=False),
    Spelling(name="time of day", read=_time_of_day, has_date=False),
)
"""All spellings, the likelier first."""
