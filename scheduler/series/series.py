"""From the columns of a table to a clean series: rising times, no holes, and a word on what was mended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable
from scheduler.series.instants import read_instants, recognise

_TIME_WORDS = ("time", "date", "stamp", "period", "interval", "hour", "zeit")
_LOOKED_AT = 2000
_GAP = 1.5
"""Rows further apart than this many usual steps have a gap between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values that stand from their time to the next. `step_s` is the usual distance, and how long the last stands."""

    times: tuple[datetime, ...]  #: rising
    values: tuple[float, ...]
    held: tuple[bool, ...]  #: True where the value is the one before, for want of its own
    step_s: float
    notes: tuple[str, ...]  #: what was mended, one sentence each

    @property
    def end_at(self) -> datetime:
        """When the last value ends."""
        return self.times[-1] + timedelta(seconds=self.step_s)


def find_time_column(table: CsvTable, zone: tzinfo) -> str:
    """The column that holds the time: the first that reads as rising times, those with a telling name first.

    Raises `SignalError` where none does.
    """
    telling = [c for c in table.columns if any(word in c.lower() for word in _TIME_WORDS)]
    for name in [*telling, *(c for c in table.columns if c not in telling)]:
        if _rises(table.column(name)[:_LOOKED_AT], zone, named=name in telling):
            return name
    raise SignalError(
        f"{table.path}: none of the columns {', '.join(table.columns)} reads as time; name time_column"
    )


def read_series(table: CsvTable, *, time_column: str, value_column: str, zone: tzinfo) -> Series:
    """Two columns as a series. Raises `SignalError` where one of them is not what it should be."""
    texts = table.column(time_column)
    spelling = recognise(texts, zone)
    if spelling is None:
        shown = next((text for text in texts if text), "")
        raise SignalError(
            f"{table.path}: column {time_column!r}: {shown!r} is no time; name another time_column"
        )
    instants = read_instants(texts, spelling, zone)
    values = [_value(text) for text in table.column(value_column)]
    if not any(v is not None for v in values):
        raise SignalError(f"{table.path}: column {value_column!r} holds no numbers; name another column")
    return clean(instants, values)


def clean(instants: Sequence[datetime | None], values: Sequence[float | None]) -> Series:
    """Sorted, one value per instant (the last one given), holes filled with the value before them.

    Raises `SignalError` where no instant has a value.
    """
    known = [(at, v) for at, v in zip(instants, values, strict=True) if at is not None]
    backward = sum(b[0] < a[0] for a, b in pairwise(known))
    by_time = dict(sorted(known, key=lambda row: row[0]))
    if not any(value is not None for value in by_time.values()):
        raise SignalError("no row has both a time and a number; correct the file, or name other columns")
    times = tuple(by_time)
    filled, held = _hold(list(by_time.values()))
    step_s = _usual_step_s(times)
    mended = {
        "rows without a readable time, left out": len(instants) - len(known),
        "rows earlier than the one before, put in order": backward,
        "rows with the time of another, left out": len(known) - len(times),
        "values missing, held at the one before": sum(held),
    }
    notes = (*(f"{what}: {count}" for what, count in mended.items() if count), *_gaps(times, step_s))
    return Series(times=times, values=filled, held=held, step_s=step_s, notes=notes)


def cut(series: Series, *, start_at: datetime, length_s: float | None) -> Series:
    """The part from `start_at` on, for `length_s` or to the end. Its first value begins at `start_at`.

    Raises `SignalError` where the series has nothing there.
    """
    end_at = series.end_at if length_s is None else start_at + timedelta(seconds=length_s)
    if not series.times[0] <= start_at < series.end_at:
        raise SignalError(
            f"start: {start_at.isoformat()} is outside of the file, which has "
            f"{series.times[0].isoformat()} to {series.end_at.isoformat()}; choose an instant in between"
        )
    first = max(i for i, at in enumerate(series.times) if at <= start_at)
    last = max(i for i, at in enumerate(series.times) if at < end_at)
    times = (start_at, *series.times[first + 1 : last + 1])
    part = slice(first, last + 1)
    return replace(series, times=times, values=series.values[part], held=series.held[part])


def shifted(series: Series, seconds: float) -> Series:
    """The same values, earlier or later."""
    by = timedelta(seconds=seconds)
    return replace(series, times=tuple(at + by for at in series.times))


def _rises(texts: Sequence[str], zone: tzinfo, *, named: bool) -> bool:
    """Whether a column counts up through time. Small numbers do so only under a telling name."""
    spelling = recognise(texts, zone)
    if spelling is None or not (named or spelling.telling):
        return False
    instants = [at for at in read_instants(texts, spelling, zone) if at is not None]
    steps = [b > a for a, b in pairwise(instants)]
    return bool(steps) and sum(steps) > 0.9 * len(steps)  # a few rows may be out of order


def _value(text: str) -> float | None:
    """A finite number, or None: empty, NaN, a word."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _hold(values: Sequence[float | None]) -> tuple[tuple[float, ...], tuple[bool, ...]]:
    """Missing values become the one before; before the first there is none, so that one is held backwards."""
    last = next(v for v in values if v is not None)
    filled = []
    for value in values:
        last = last if value is None else value
        filled.append(last)
    return tuple(filled), tuple(value is None for value in values)


def _usual_step_s(times: Sequence[datetime]) -> float:
    """The median distance; an hour for a single row."""
    steps = [(b - a).total_seconds() for a, b in pairwise(times)]
    return statistics.median(steps) if steps else 3600.0


def _gaps(times: Sequence[datetime], step_s: float) -> tuple[str, ...]:
    wide = [s for a, b in pairwise(times) if (s := (b - a).total_seconds()) > _GAP * step_s]
    return (f"gaps, held at the value before: {len(wide)}, the longest {max(wide):g} s",) if wide else ()
