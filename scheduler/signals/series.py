"""Reads a column of watts, prices or whatever scales the limit, with its times, from a CSV file (also .gz).

Files of the field write time in many ways; those known are ISO 8601 with or without a zone, `2024/10/07 00:05:00`,
`4/1/24 0:00` (month first), `14:05` (a bare time of day), Unix seconds, and seconds from the start of the file.
A time without a zone is taken as UTC. An empty or non-finite value holds the one before it.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from scheduler.errors import SignalError

Series = list[tuple[datetime, float]]

_TIME_NAMES = (
    "time",
    "datetime",
    "datetime_utc",
    "timestamp",
    "settlementdate",
    "date",
    "interval_start_utc",
)
_FORMATS = ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%m/%d/%y %H:%M", "%m/%d/%Y %H:%M", "%H:%M", "%H:%M:%S")
_LEAST_ROWS = 2
_YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)


def read_series(path: Path, column: str, time_column: str | None = None) -> Series:
    """The column's values over time, in order of time. Raises `SignalError` naming file, line, value and remedy."""
    with _open(path) as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        value_at = _index(path, header, column)
        time_at = _index(path, header, time_column) if time_column else _guess_time(path, header)
        series = list(_rows(path, reader, time_at, value_at))
    if len(series) < _LEAST_ROWS:
        raise SignalError(f"{path}: {len(series)} rows with a time; a replay needs at least two")
    return sorted(series, key=lambda row: row[0])


def _open(path: Path) -> TextIO:
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise SignalError(
            f"{path}: cannot be read: {error}; give the path of a CSV file, also .gz"
        ) from error


def _index(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise SignalError(f"{path}: no column {name!r}; it has {', '.join(header) or 'none'}")
    return header.index(name)


def _guess_time(path: Path, header: list[str]) -> int:
    lowered = [name.lower() for name in header]
    for name in _TIME_NAMES:
        if name in lowered:
            return lowered.index(name)
    raise SignalError(f"{path}: no column looks like a time; name one of {', '.join(header)} as time_column")


def _rows(
    path: Path, reader: Iterator[list[str]], time_at: int, value_at: int
) -> Iterator[tuple[datetime, float]]:
    parse: Callable[[str], datetime] | None = None
    held = 0.0
    try:
        for line, row in enumerate(reader, start=2):
            if len(row) <= max(time_at, value_at):
                continue
            parse = parse or _parser(path, line, row[time_at])
            held = _value(path, line, row[value_at], held)
            yield _time(path, line, row[time_at], parse), held
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SignalError(f"{path}: cannot be read as CSV: {error}") from error


def _value(path: Path, line: int, text: str, held: float) -> float:
    if not text.strip():
        return held
    try:
        value = float(text)
    except ValueError as error:
        raise SignalError(
            f"{path}: line {line}: {text[:40]!r} is not a number; correct or empty it"
        ) from error
    return value if math.isfinite(value) else held


def _time(path: Path, line: int, text: str, parse: Callable[[str], datetime]) -> datetime:
    try:
        return parse(text.strip())
    except (ValueError, OverflowError) as error:
        raise SignalError(
            f"{path}: line {line}: {text[:40]!r} is not a time like those before it; correct it"
        ) from error


def _parser(path: Path, line: int, text: str) -> Callable[[str], datetime]:
    """The first way of writing time that the first row fits; all others must fit it too."""
    ways: list[Callable[[str], datetime]] = [_iso, *(_with_format(f) for f in _FORMATS), _seconds]
    for way in ways:
        try:
            way(text.strip())
        except (ValueError, OverflowError):
            continue
        return way
    raise SignalError(f"{path}: line {line}: {text[:40]!r} is not a time that is known; write ISO 8601")


def _iso(text: str) -> datetime:
    if text.replace(".", "", 1).isdigit():
        raise ValueError(text)
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _with_format(form: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, form).replace(tzinfo=UTC)


def _seconds(text: str) -> datetime:
    return _YEAR_2000 + timedelta(seconds=float(text) % 3e9)
