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

The file is read again when it changes: put a new one in its place by renaming, so that no half of one is seen. While
it cannot be read, or a row makes no sense, the last good schedule ages, and after `stale_after_s` its limit counts no
more than the firm level.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable, read_table
from scheduler.signals import Options, ZoneName, read_options

WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6}
MAX_SECONDS = 10 * 366 * 86_400.0
_YEARS = range(1970, 2200)


class ScheduleOptions(Options):
    """What the site file says."""

    path: Path
    time_column: str = "time"
    limit_column: str = "limit"
    provenance_column: str | None = None  #: "provenance" if the file has it
    unit: Literal["W", "kW", "MW"] = "W"
    zone: ZoneName | None = None
    last_row_s: float | None = Field(default=None, gt=0, le=MAX_SECONDS)
    reaction_s: float | None = Field(default=None, gt=0)  #: what this giver grants, if not as the site
    stale_after_s: float = Field(default=60.0, gt=0)
    horizon_s: float = Field(
        default=72 * 3600.0, gt=0, le=MAX_SECONDS
    )  #: how much of the file's future is handed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A file as read."""

    segments: tuple[Segment, ...]  #: rising in time
    ends_at: datetime
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


def _schedule(table: CsvTable, options: ScheduleOptions, stamp: tuple[int, int, int]) -> Schedule:
    segments = tuple(
        Segment(
            starts_at=_instant(table, line, time, options.zone),
            limit_w=_watts(table, line, limit, options.unit),
            provenance=provenance,
        )
        for line, time, limit, provenance in zip(
            table.lines,
            table.column(options.time_column),
            table.column(options.limit_column),
            _provenances(table, options),
            strict=True,
        )
    )
    _check_order(table, segments)
    last_s = options.last_row_s or _usual_last_s(table, segments)
    return Schedule(
        segments=segments,
        ends_at=segments[-1].starts_at + timedelta(seconds=last_s),
        stamp=stamp,
        written_at=datetime.fromtimestamp(stamp[0] / 1e9, UTC),
    )


def _provenances(table: CsvTable, options: ScheduleOptions) -> list[str]:
    if options.provenance_column is not None:
        return table.column(options.provenance_column)
    if "provenance" in table.columns:
        return table.column("provenance")
    return [f"{table.path.name}, line {line}" for line in table.lines]


def _instant(table: CsvTable, line: int, text: str, zone: str | None) -> datetime:
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
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone or "UTC"))).astimezone(UTC)


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


def _watts(table: CsvTable, line: int, text: str, unit: str) -> float:
    try:
        limit_w = float(text) * WATTS[unit]
    except ValueError:
        limit_w = math.nan
    if not (math.isfinite(limit_w) and limit_w >= 0):
        raise SignalError(f"{table.path}: line {line}: limit: {text!r} is no limit; give {unit}, 0 or more")
    return limit_w


def _check_order(table: CsvTable, segments: Sequence[Segment]) -> None:
    if not segments:
        raise SignalError(f"{table.path}: it has no rows below its header; give at least one limit")
    for line, (before, after) in zip(table.lines[1:], pairwise(segments), strict=False):
        if after.starts_at <= before.starts_at:
            raise SignalError(
                f"{table.path}: line {line}: time: {after.starts_at.isoformat()} is not after the row above; "
                "sort the rows, and give each time once (with its offset where clocks go back)"
            )


def _usual_last_s(table: CsvTable, segments: Sequence[Segment]) -> float:
    if len(segments) == 1:
        raise SignalError(
            f"{table.path}: one row does not say how long it stands; set last_row_s, or add a row"
        )
    return (segments[-1].starts_at - segments[-2].starts_at).total_seconds()
