"""A file of prices, curtailment or limits as the limit of a site."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import assert_never

from scheduler.errors import SignalError, TraceError
from scheduler.series.csv_table import CsvTable, Sizes, read_table
from scheduler.series.scaling import quantile
from scheduler.series.series import Series, clean, cut, find_time_column, shifted
from scheduler.sim.asked import DAY_S, Line, Plain, PowerMap, Scaled, Start, Switched
from scheduler.sim.traces.cells import Cells, Times
from scheduler.sim.workload import PowerTrace

_SIZES = Sizes(most_bytes=1 << 29, most_rows=4_000_000)
_MOST = 1e12
"""A larger value is a slip, whatever it counts."""
_GAP = 1.5
"""Times further apart than this many usual steps have a gap between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A limit for `window_s` seconds, and what was mended to get it."""

    trace: PowerTrace
    window_s: float
    notes: tuple[str, ...]
    begins_at: datetime | None = None  #: by the times of the file, where it comes from one


def read_power(path: Path, asked: PowerMap, *, start: Start, days: float | None, name: str) -> Power:
    """The limit in [start, start + days), or to the end of the file.

    A percentile is that of the window's values. Raises `TraceError` that names file, line, column, value and remedy.
    """
    try:
        table = read_table(path, keep=lambda columns: _kept(path, columns, asked), sizes=_SIZES)
        part = _part(table, asked, start, days)
    except SignalError as error:
        words = str(error)
        raise TraceError(words if words.startswith(str(path)) else f"{path}: {words}") from error
    limits_w = _limits_w(path, part.values, asked)
    steps = [
        ((at - part.times[0]).total_seconds(), limit_w)
        for at, limit_w in zip(part.times, limits_w, strict=True)
    ]
    window_s = (part.end_at - part.times[0]).total_seconds() if days is None else days * DAY_S
    return Power(
        trace=PowerTrace(name=name, steps=merged(steps)),
        window_s=window_s,
        notes=_notes(part, asked),
        begins_at=part.times[0],
    )


def merged(steps: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Without the steps that change nothing."""
    return (*steps[:1], *(later for earlier, later in pairwise(steps) if later[1] != earlier[1]))


def _part(table: CsvTable, asked: PowerMap, start: Start, days: float | None) -> Series:
    """The values of the window, none missing. Its first begins where the window does."""
    cells = Cells(table)
    times = cells.times(asked.time or find_time_column(table, asked.zone), asked.zone)
    values = _values(table, asked)
    if not asked.mend:
        _check_order(cells, times)
    series = clean(times.instants, values)
    if asked.stamp_ends:
        series = shifted(series, -series.step_s)
    start_at = _start_at(cells, times, series, start, asked)
    length_s = None if days is None else days * DAY_S
    _check_span(cells, series, start, start_at, length_s)
    part = cut(series, start_at=start_at, length_s=length_s)
    if not asked.mend:
        _check_whole(cells, asked, times, series, part)
    return part


def _kept(path: Path, columns: tuple[str, ...], asked: PowerMap) -> Container[str]:
    """Without a name for the time, any column may be it."""
    for name in filter(None, (asked.time, asked.value)):
        if name not in columns:
            raise TraceError(
                f"{path}: there is no column {name!r}; it has {', '.join(columns)}; correct --power-map"
            )
    return columns if asked.time is None else {asked.time, asked.value}


def _notes(part: Series, asked: PowerMap) -> tuple[str, ...]:
    """Of a file that was not to be mended, nothing was mended in the window, and the rest is not used."""
    return tuple(f"in the whole file, {note}" for note in part.notes) if asked.mend else ()


def _values(table: CsvTable, asked: PowerMap) -> list[float | None]:
    values = [_finite(text) for text in table.column(asked.value)]
    if all(value is None for value in values):
        raise TraceError(
            f"{table.path}: column {asked.value!r} holds no numbers; name another value in --power-map"
        )
    return values


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= _MOST else None  # not so for NaN either


def _check_order(cells: Cells, times: Times) -> None:
    """Raises `TraceError` for a time that is none, or not after the one before."""
    last: datetime | None = None
    for row in range(len(cells)):
        at = times.at(row)
        if last is not None and at <= last:
            which = "is there twice" if at == last else "is before the time above it"
            raise _bad(cells, row, times.column, which, "sort the rows and keep one of each time")
        last = at


def _check_whole(cells: Cells, asked: PowerMap, times: Times, series: Series, part: Series) -> None:
    """Raises `TraceError` for a value of the window that is no number, and for a gap that it touches.

    Rows in order, each with its own time: the series has one entry a row.
    """
    first = bisect_right(series.times, part.times[0]) - 1
    for row in range(first, first + len(part.times)):
        if series.held[row]:
            raise _bad(cells, row, asked.value, "is no number", "fill it in")
        gap = (series.times[row + 1 : row + 2] or (series.end_at,))[0] - series.times[row]
        if gap > timedelta(seconds=_GAP * series.step_s):
            why = f"comes {gap.total_seconds():g} s after the time above it, where {series.step_s:g} s are usual"
            raise _bad(cells, row + 1, times.column, why, "fill the gap")


def _bad(cells: Cells, row: int, column: str, why: str, remedy: str) -> TraceError:
    return TraceError(
        f"{cells.path}: line {cells.line(row)}: column {column!r}: {cells.text(row, column)!r} {why}; {remedy}, "
        "or hold the value before with mend=yes in --power-map"
    )


def _start_at(cells: Cells, times: Times, series: Series, start: Start, asked: PowerMap) -> datetime:
    if start.days is not None:
        return series.times[0] + timedelta(days=start.days)
    if not times.dated:
        raise TraceError(
            f"{cells.path}: --power-from {start.text}: it has no dates in column {times.column!r}; "
            "write days from its start, such as 3d"
        )
    return start.at(asked.zone)


def _check_span(
    cells: Cells, series: Series, start: Start, start_at: datetime, length_s: float | None
) -> None:
    """Raises `TraceError` where the file does not cover the window."""
    end_at = start_at + timedelta(seconds=length_s or 0.0)
    if series.times[0] <= start_at < series.end_at and end_at <= series.end_at:
        return
    length = "" if length_s is None else f"{length_s / DAY_S:g} days "
    raise TraceError(
        f"{cells.path}: {length}from {start.text} on are not in it: it has {series.times[0]:%Y-%m-%d %H:%M} to "
        f"{series.end_at:%Y-%m-%d %H:%M} UTC, {(series.end_at - series.times[0]) / timedelta(days=1):.4g} days; "
        "choose another --power-from or fewer --days"
    )


def _limits_w(path: Path, values: Sequence[float], asked: PowerMap) -> list[float]:
    watts = _watts(path, values, asked)
    for value, limit_w in zip(values, watts, strict=True):
        if isinstance(asked.recipe, Plain) and not 0 <= limit_w <= _MOST:
            raise TraceError(
                f"{path}: column {asked.value!r}: {value:g} is a limit of {limit_w:g} W, not from 0 to {_MOST:g}; "
                "correct it, or name another value or unit"
            )
    return [min(asked.max_w, max(asked.min_w, limit_w)) for limit_w in watts]


def _watts(path: Path, values: Sequence[float], asked: PowerMap) -> list[float]:
    """Each value in watts, not yet clipped at the map's ends."""
    match asked.recipe:
        case Scaled() as recipe:
            return _scaled_w(path, values, recipe, asked.value)
        case Switched(at=at, on_w=on_w, off_w=off_w, above=above):
            return [on_w if (value >= at if above else value <= at) else off_w for value in values]
        case Line(zero=zero, full=full, full_w=full_w):
            return [full_w * min(1.0, max(0.0, (value - zero) / (full - zero))) for value in values]
        case Plain(unit_w=unit_w):
            return [value * unit_w for value in values]
        case unreachable:
            assert_never(unreachable)


def _scaled_w(path: Path, values: Sequence[float], recipe: Scaled, column: str) -> list[float]:
    peak = quantile(values, recipe.share)
    if peak <= 0:
        raise TraceError(
            f"{path}: column {column!r}: the {recipe.share:.4g} quantile of the window is {peak:g}, nothing to scale "
            "by; choose other days, another value, scale=max:..., or zero=...,full=... for prices"
        )
    return [max(0.0, recipe.peak_w * value / peak) for value in values]
