"""The column of times in a table that says what holds when: ISO 8601 or Unix seconds, rising.

Times of a zone that name no offset: where clocks go back, an hour is there twice, and rows count as its first pass as
long as that comes after the row above, else as its second. What clocks skip in spring is no time, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable

_YEARS: Final = range(1970, 2200)


def read_times(table: CsvTable, column: str, zone: str | None) -> list[datetime]:
    """One for each row; `zone` is for those that name none. Raises `SignalError` with file, line, value and remedy."""
    texts = zip(table.lines, table.column(column), strict=True)
    times: list[datetime] = []
    for line, text in texts:
        times.append(_instant(table, line, text, zone, after=times[-1] if times else None))
    _check_order(table, times)
    return times


def usual_last_s(table: CsvTable, times: Sequence[datetime]) -> float:
    """How long the last row stands: as long as the one before it. Raises `SignalError` where there is none."""
    if len(times) == 1:
        raise SignalError(
            f"{table.path}: one row does not say how long it stands; set last_row_s, or add a row"
        )
    return (times[-1] - times[-2]).total_seconds()


def _instant(table: CsvTable, line: int, text: str, zone: str | None, *, after: datetime | None) -> datetime:
    at = _unix(text) or _iso(text)
    if at is None:
        remedy = "write it like 2026-06-01T06:00+05:00, or as Unix seconds"
        raise SignalError(f"{table.path}: line {line}: time: {text!r} is no time; {remedy}")
    if at.tzinfo is None and zone is None:
        remedy = "add one (+05:00), or set `zone` for the whole file"
        raise SignalError(f"{table.path}: line {line}: time: {text!r} has no time zone; {remedy}")
    if at.year not in _YEARS:
        years = f"{_YEARS.start} to {_YEARS.stop - 1}"
        raise SignalError(
            f"{table.path}: line {line}: time: {text!r} is not in the years {years}; correct it"
        )
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    found = _local(at, ZoneInfo(zone or "UTC"), after)
    if found is None:
        skipped = f"{text!r} is not there in {zone}: clocks skip it"
        raise SignalError(
            f"{table.path}: line {line}: time: {skipped}; give each time with its offset, or in UTC"
        )
    return found


def _local(at: datetime, zone: ZoneInfo, after: datetime | None) -> datetime | None:
    """The instant of a time by a clock on the wall; None = clocks skip it."""
    first, second = (at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != at:
        return None
    return second if after is not None and first <= after else first


def _unix(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if re.fullmatch(r"[0-9]{9,11}", text) else None


def _iso(text: str) -> datetime | None:
    """Year first and with separators only: 4/1/26 could be two days."""
    if not re.match(r"\d{4}[-/]", text):
        return None
    try:
        return datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None


def _check_order(table: CsvTable, times: Sequence[datetime]) -> None:
    if not times:
        raise SignalError(f"{table.path}: it has no rows below its header; give at least one")
    for line, (before, after) in zip(table.lines[1:], pairwise(times), strict=False):
        if after <= before:
            raise SignalError(
                f"{table.path}: line {line}: time: {after.isoformat()} is not after the row above; "
                "sort the rows, and give each time once (with its offset where clocks go back)"
            )
