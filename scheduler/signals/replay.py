"""A day that really was, played faster: any CSV file (also .gz) with a column of times, scaled to the site.

In the site file:

    signals:
      - type: replay
        name: grid
        path: traces/solar.csv.gz       # relative to the site's state directory
        column: Mumbai                  # the values: surplus MW, a price, PV output
        max_w: 700000                   # what the peak of the values stands for; nothing is above it
        min_w: 160000                   # nothing is below it
        speed: 400                      # seconds of the day in one second
        start: 2024-04-03               # or seconds from the first row; default: the first row
        hours: 24                       # how much to play; default: to the end of the file

`time_column` is found by itself unless named; most spellings of time are understood (`series/instants.py`), times
without a zone are in `zone` (default UTC), and `times: end` says that they end their intervals. The peak is the value
that 5 % of those played exceed (`peak: max` takes the highest); `invert: true` is for prices and residual load, where
a high value means little power. `notice_s` is how far ahead a step is told (default 0: all come as a surprise), `loop`
begins again at the end; else the source says nothing from there on.

What is missing is held at the value before it, in the file's rows as in its gaps; the log says how much that was. The
day begins when the source is first read, or at `began_at`: set that, and it goes on where it was after a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from scheduler.errors import SettingsError, SignalError
from scheduler.series.csv_table import read_table
from scheduler.series.instants import recognise
from scheduler.series.playback import Player, Step, Track, merged
from scheduler.series.scaling import Peak, Scale, to_watts
from scheduler.series.series import Series, cut, find_time_column, read_series, shifted
from scheduler.signals import PlayedOptions, ZoneName, read_options

log = logging.getLogger(__name__)


class ReplayOptions(PlayedOptions):
    """What the site file says."""

    path: Path
    column: str
    max_w: float = Field(gt=0)
    min_w: float = Field(default=0.0, ge=0)
    peak: Peak = Peak.P95
    invert: bool = False
    start: datetime | float | str | None = None
    hours: float | None = Field(default=None, gt=0)
    time_column: str | None = None
    times: Literal["start", "end"] = "start"
    zone: ZoneName = "UTC"


class Replay(Player):
    """Plays a day that really was. `notes` says what was mended in its file."""

    def __init__(self, name: str, options: ReplayOptions, *, base: Path, reaction_s: float) -> None:
        track, self.notes = read_day(base / options.path, options)
        super().__init__(name, track, options.pace(reaction_s=reaction_s))


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Replay:
    """The source that the site file describes, with its file read. Raises `SettingsError`."""
    chosen = read_options(ReplayOptions, name, options)
    try:
        replay = Replay(name, chosen, base=base, reaction_s=reaction_s)
    except SignalError as error:
        raise SettingsError(f"signals: {name}: {error}") from error
    for note in replay.notes:
        log.warning("%s: %s: %s", name, chosen.path.name, note)
    return replay


def read_day(path: Path, options: ReplayOptions) -> tuple[Track, tuple[str, ...]]:
    """The part of the file that is to be played, in watts, and what was mended. Raises `SignalError`."""
    table = read_table(path)
    zone = ZoneInfo(options.zone)
    series = read_series(
        table,
        time_column=options.time_column or find_time_column(table, zone),
        value_column=options.column,
        zone=zone,
    )
    if options.times == "end":
        series = shifted(series, -series.step_s)
    start_at = _start_at(series, options, zone)
    part = cut(series, start_at=start_at, length_s=options.hours * 3600.0 if options.hours else None)
    scale = Scale(max_w=options.max_w, min_w=options.min_w, peak=options.peak, invert=options.invert)
    steps = _steps(part, to_watts(part.values, scale), f"{path.name}, {options.column}")
    return Track(steps=steps, length_s=_length_s(part, options.hours)), part.notes


def _start_at(series: Series, options: ReplayOptions, zone: ZoneInfo) -> datetime:
    """Where to begin: an instant, or seconds from the first row."""
    match options.start:
        case None:
            return series.times[0]
        case datetime() as at:
            return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
        case str() as text:
            return _read_start(text, zone)
        case seconds:
            return series.times[0] + timedelta(seconds=seconds)


def _read_start(text: str, zone: ZoneInfo) -> datetime:
    spelling = recognise([text], zone)
    at = spelling.read(text, zone) if spelling else None
    if at is None:
        raise SignalError(f"start: {text!r} is no time; write it like 2024-10-07 or 2024-10-07T06:00")
    return at


def _length_s(part: Series, hours: float | None) -> float:
    rest_s = (part.end_at - part.times[0]).total_seconds()
    return rest_s if hours is None else min(rest_s, hours * 3600.0)


def _steps(part: Series, watts: tuple[float, ...], where: str) -> tuple[Step, ...]:
    rows = zip(part.times, part.values, part.held, watts, strict=True)
    steps = tuple(
        Step(
            at_s=(at - part.times[0]).total_seconds(),
            limit_w=limit_w,
            provenance=f"{where} {value:g} of {at:%Y-%m-%d %H:%M}{' (held: no value)' if held else ''}",
        )
        for at, value, held, limit_w in rows
    )
    return merged(steps)
