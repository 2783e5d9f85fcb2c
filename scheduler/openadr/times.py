"""Times and durations as OpenADR writes them. Pure: text in, aware UTC instants and spans out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing that counts begins before this."""
FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Stands for "without end"; there is room behind it for sums."""
FOREVER: Final = timedelta(days=365 * 6000)
_ENDLESS: Final = timedelta(days=365 * 100)
_NOW: Final = ("0001-01-01", "0000-00-00", "0000-01-01")  #: the "do it now" of 3.1 and of its forerunners
_DURATION: Final = re.compile(
    r"P(?!$)(?:(\d{1,6})Y)?(?:(\d{1,6})W)?(?:(\d{1,6})D)?"
    r"(?:T(?!$)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?"
)


class Untrue(Exception):
    """What cannot be: field, value, remedy."""


def is_now(text: object) -> bool:
    """Whether a start means "do it now"."""
    return isinstance(text, str) and text.startswith(_NOW)


def instant(text: object) -> datetime:
    """An RFC 3339 time. Raises `Untrue`, also where it names no offset: five hours off is worse than refused."""
    at = _aware(text) if isinstance(text, str) else None
    if at is None:
        raise Untrue(f"{_shown(text)} is no time; send RFC 3339 with its offset, as 2026-11-02T00:00:00Z")
    return min(max(at, ALWAYS), FAR)


def _aware(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def span(text: object) -> timedelta:
    """An ISO 8601 duration of at least 0; a century and more (P9999Y) is `FOREVER`. Raises `Untrue`.

    A year counts 365 days. Months are refused: they say nothing certain.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Untrue(f"{_shown(text)} is no duration; send ISO 8601 without months, as PT30M or P9999Y")
    years, weeks, days, hours, minutes = (int(g or 0) for g in match.groups()[:5])
    seconds = float(match.group(6) or 0)
    long = timedelta(days=days + 365 * years, weeks=weeks, hours=hours, minutes=minutes, seconds=seconds)
    return FOREVER if long >= _ENDLESS else long


def later(at: datetime, long: timedelta) -> datetime:
    """`at` and `long` after it, at most `FAR`."""
    return FAR if long >= FAR - at else at + long


def _shown(value: object) -> str:
    return repr(value)[:40] if isinstance(value, str | int | float | bool | None) else "what was sent"
