"""A schedule of limits in a CSV file, plain or gzipped: what a utility or an operator sends for the coming days.

In the site file:

    signals:
      - type: schedule_file
        name: feeder-12
        path: schedules/feeder-12.csv   # relative to the site's state directory
        unit: kW                        # W (default), kW or MW, of the limit column
        zone: Asia/Karachi              # of times that name none themselves; needed only then

The file, with times at any distance from each other:

    time,limit,provenance
    2026-06-01T06:00,480,day-ahead notice 118
    2026-06-01T18:00,160,evening peak

Times are ISO 8601 (2026-06-01T06:00, 2026-06-01 06:00:00+05:00, 2026/06/01 06:00) or Unix seconds, and rise. A limit
stands from its time to the next; the last one as long as the one before it, or for `last_row_s`. After that the file
says nothing, and the other sources or the firm level hold. All steps in the file are known ahead.

A file may foresee the limit beside giving it, for what has not been decided yet: quantiles, in columns that are called
like the limit's with `_p10`, `_p50` and so on behind (p10: one in ten times the limit will be lower). The median and
p10 or a lower one are needed, others are welcome. They are in the same unit, and no limit: docs/forecast.md says what
is planned on them. The last rows may have no limit yet; as a limit the schedule ends there.

    time,limit,limit_p10,limit_p50
    2026-06-01T06:00,480,,
    2026-06-01T12:00,480,300,450
    2026-06-01T18:00,,120,160

The file is read again when it changes: put a new one in its place by renaming, so that no half of one is seen. While
it cannot be read, or a row makes no sense, the last good schedule ages, and after `stale_after_s` its limit counts no
more than the firm level.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from scheduler.core.envelope import Envelope, Foreseen, Quantile, Segment
from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable, read_table
from scheduler.series.csv_times import read_times, usual_last_s
from scheduler.series.quantile_columns import SHAPE, quantile_columns, quantile_rows, share_of
from scheduler.signals import Options, ZoneName, read_options

WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6}
MAX_SECONDS = 10 * 366 * 86_400.0


class ScheduleOptions(Options):
    """What the site file says."""

    path: Path
    time_column: str = "time"
    limit_column: str = "limit"
    provenance_column: str | None = None  #: "provenance" if the file has it
    quantile_columns: dict[str, str] = Field(default_factory=dict)
    """By quantile, {p10: low_kw, p50: mid_kw}; if left out, those that are called like the limit's column."""
    unit: Literal["W", "kW", "MW"] = "W"
    zone: ZoneName | None = None
    last_row_s: float | None = Field(default=None, gt=0, le=MAX_SECONDS)
    reaction_s: float | None = Field(default=None, gt=0)  #: what this giver grants, if not as the site
    stale_after_s: float = Field(default=60.0, gt=0)
    horizon_s: float = Field(
        default=72 * 3600.0, gt=0, le=MAX_SECONDS
    )  #: how much of the file's future is handed on

    @field_validator("quantile_columns")
    @classmethod
    def _name_quantiles(cls, named: dict[str, str]) -> dict[str, str]:
        if any(share_of(name) is None for name in named):
            raise ValueError(SHAPE)
        return named


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A file as read."""

    segments: tuple[Segment, ...]  #: rising in time
    ends_at: datetime  #: of the limits
    forecast: tuple[Foreseen, ...]  #: rising in time; the last one foresees nothing
    stamp: tuple[int, int, int]  #: tells this version of the file from others
    written_at: datetime


class ScheduleFile:
    """Reads the file when it changes, and hands on what it says."""

    def __init__(self, name: str, options: ScheduleOptions, *, base: Path, reaction_s: float) -> None:
        self.name = name
        self._options = options
        self._path = base / options.path
        self._reaction_s = options.reaction_s or reaction_s
        self._schedule: Schedule | None = None

    async def read(self, at: datetime) -> Envelope:
        """The step in force and those that follow. Raises `SignalError` with file, line, value and remedy."""
        schedule = await self._current()
        horizon_at = at + timedelta(seconds=self._options.horizon_s)
        begun = [s for s in schedule.segments if s.starts_at <= at]
        coming = [s for s in schedule.segments if at < s.starts_at <= horizon_at]
        return Envelope(
            source=self.name,
            issued_at=min(at, schedule.written_at),
            read_at=at,
            reaction_s=self._reaction_s,
            segments=(*begun[-1:], *coming),
            valid_until=schedule.ends_at,
            forecast=_within(schedule.forecast, at, horizon_at),
            stale_after_s=self._options.stale_after_s,
        )

    async def _current(self) -> Schedule:
        stamp = self._stamp()
        if self._schedule is None or self._schedule.stamp != stamp:
            table = await asyncio.to_thread(read_table, self._path)
            self._schedule = _schedule(table, self._options, stamp)
        return self._schedule

    def _stamp(self) -> tuple[int, int, int]:
        """Taken before the file is opened: a change while it is read is seen the next time."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise SignalError(f"{self._path}: {error.strerror}; put the schedule there") from error
        return status.st_mtime_ns, status.st_size, status.st_ino


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> ScheduleFile:
    """The source that the site file describes. Raises `SettingsError`."""
    return ScheduleFile(name, read_options(ScheduleOptions, name, options), base=base, reaction_s=reaction_s)


def _within(forecast: Sequence[Foreseen], at: datetime, until: datetime) -> tuple[Foreseen, ...]:
    """What is foreseen for `at`, and what follows."""
    first = max(0, bisect_right(forecast, at, key=lambda f: f.starts_at) - 1)
    return tuple(forecast[first : bisect_right(forecast, until, key=lambda f: f.starts_at)])


def _schedule(table: CsvTable, options: ScheduleOptions, stamp: tuple[int, int, int]) -> Schedule:
    times = read_times(table, options.time_column, options.zone)
    foreseen = _foreseen(table, options)
    segments = _segments(table, options, times, foreseen)
    end_at = times[-1] + timedelta(seconds=options.last_row_s or usual_last_s(table, times))
    return Schedule(
        segments=segments,
        ends_at=times[len(segments)] if len(segments) < len(times) else end_at,
        forecast=_forecast(times, foreseen, end_at),
        stamp=stamp,
        written_at=datetime.fromtimestamp(stamp[0] / 1e9, UTC),
    )


def _foreseen(table: CsvTable, options: ScheduleOptions) -> list[tuple[Quantile, ...]]:
    """The quantiles of each row."""
    columns = quantile_columns(table, options.limit_column, options.quantile_columns)
    return quantile_rows(table, columns, unit=options.unit, unit_w=WATTS[options.unit])


def _forecast(
    times: Sequence[datetime], foreseen: Sequence[tuple[Quantile, ...]], end_at: datetime
) -> tuple[Foreseen, ...]:
    """What is foreseen from each row on; empty where no row foresees anything."""
    if not any(foreseen):
        return ()
    steps = zip((*times, end_at), (*foreseen, ()), strict=True)
    return tuple(Foreseen(starts_at=at, quantiles=quantiles) for at, quantiles in steps)


def _segments(
    table: CsvTable,
    options: ScheduleOptions,
    times: Sequence[datetime],
    foreseen: Sequence[tuple[Quantile, ...]],
) -> tuple[Segment, ...]:
    """The limits, up to the first row that only foresees one."""
    limits, provenances = table.column(options.limit_column), _provenances(table, options)
    names = provenances if _names_documents(table, options) else [""] * len(provenances)
    count = next((i for i, text in enumerate(limits) if not text and foreseen[i]), len(limits))
    if not count:
        raise SignalError(f"{table.path}: line {table.lines[0]}: limit: it is empty; give at least one limit")
    for line, text in zip(table.lines[count:], limits[count:], strict=True):
        if text:
            raise SignalError(
                f"{table.path}: line {line}: limit: {text!r} follows rows without a limit; fill those in"
            )
    return tuple(
        Segment(
            starts_at=at,
            limit_w=_watts(table, line, text, options.unit),
            provenance=provenance,
            document=table.named,
            giver_id=name,
        )
        for at, line, text, provenance, name in zip(
            times[:count], table.lines, limits, provenances, names, strict=False
        )
    )


def _names_documents(table: CsvTable, options: ScheduleOptions) -> bool:
    """Whether the file says which document each row is from."""
    return options.provenance_column is not None or "provenance" in table.columns


def _provenances(table: CsvTable, options: ScheduleOptions) -> list[str]:
    if options.provenance_column is not None:
        return table.column(options.provenance_column)
    if "provenance" in table.columns:
        return table.column("provenance")
    return [f"{table.path.name}, line {line}" for line in table.lines]


def _watts(table: CsvTable, line: int, text: str, unit: str) -> float:
    try:
        limit_w = float(text) * WATTS[unit]
    except ValueError:
        limit_w = math.nan
    if not (math.isfinite(limit_w) and limit_w >= 0):
        raise SignalError(f"{table.path}: line {line}: limit: {text!r} is no limit; give {unit}, 0 or more")
    return limit_w
