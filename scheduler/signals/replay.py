"""Replays a real day from any CSV file, faster than real time, scaled to the site.

In the site file:

    signals:
      - type: replay
        name: grid
        path: /data/curtailment.csv.gz     # also plain .csv
        column: Total_Curtailment_NP15_MW  # its 95th percentile becomes max_w
        time_column: datetime              # found by itself where it has a usual name
        start: "2024-04-03"                # default: the first full day of the file
        hours: 24
        speed: 576                         # 24 hours in 150 seconds
        max_w: 12000
        min_w: 4600                        # the firm level: never below
        invert: false                      # true: a high value means little power (price, residual load)
        notice_s: 0                        # how far ahead the limit is told, in real seconds

When the day is over the limit stays at `then_w` (default max_w). A restarted scheduler goes on where the day is.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scheduler.core.envelope import Envelope, Segment
from scheduler.errors import SettingsError, SignalError
from scheduler.signals.series import Series, read_series


class Options(BaseModel):
    """What the site file says of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    column: str
    time_column: str | None = None
    start: str | None = None
    hours: float = Field(default=24.0, gt=0, le=24 * 366)
    speed: float = Field(default=1.0, gt=0, le=1e6)
    max_w: float = Field(gt=0, le=1e10)
    min_w: float = Field(default=0.0, ge=0, le=1e10)
    invert: bool = False
    notice_s: float = Field(default=0.0, ge=0)
    then_w: float | None = None


class Playback:
    """Steps of a limit, played from `began_at` on."""

    def __init__(
        self,
        name: str,
        steps: Sequence[tuple[float, float, str]],
        *,
        began_at: datetime,
        notice_s: float,
        reaction_s: float,
    ) -> None:
        """`steps`: (real seconds from the beginning, limit_w, provenance), the first at 0."""
        self.name = name
        self._segments = [
            Segment(starts_at=began_at + timedelta(seconds=s), limit_w=w, provenance=p) for s, w, p in steps
        ]
        self._starts = [s.starts_at for s in self._segments]
        self._notice_s = notice_s
        self._reaction_s = reaction_s

    async def read(self, at: datetime) -> Envelope:
        """The step in force, and those that the notice reveals."""
        now = max(0, bisect_right(self._starts, at) - 1)
        known = bisect_right(self._starts, at + timedelta(seconds=self._notice_s))
        segments = tuple(self._segments[now : max(known, now + 1)])
        return Envelope(
            source=self.name,
            issued_at=segments[0].starts_at,
            read_at=at,
            reaction_s=self._reaction_s,
            segments=segments,
        )


def scaled_steps(series: Series, options: Options) -> list[tuple[float, float, str]]:
    """The chosen hours as steps in real seconds, scaled so that the 95th percentile of the series is `max_w`."""
    day = _window(series, options)
    shares = _shares([v for _, v in day], invert=options.invert)
    first = day[0][0]
    steps: list[tuple[float, float, str]] = []
    for (time, value), share in zip(day, shares, strict=True):
        limit_w = min(options.max_w, max(options.min_w, share * options.max_w))
        if not steps or steps[-1][1] != limit_w:
            text = f"{options.path.name} {options.column} = {value:g} at {time:%Y-%m-%d %H:%M}"
            steps.append(((time - first).total_seconds() / options.speed, limit_w, text))
    then_w = options.max_w if options.then_w is None else options.then_w
    steps.append((options.hours * 3600.0 / options.speed, then_w, "the replay is over"))
    return steps


def _window(series: Series, options: Options) -> Series:
    start = _start(series, options)
    end = start + timedelta(hours=options.hours)
    day = [(t, v) for t, v in series if start <= t < end]
    if not day:
        raise SignalError(
            f"{options.path}: nothing between {start} and {end}; it has {series[0][0]} to {series[-1][0]}"
        )
    return day


def _start(series: Series, options: Options) -> datetime:
    if options.start is None:
        return series[0][0]
    try:
        start = datetime.fromisoformat(options.start)
    except ValueError as error:
        raise SignalError(f"start: {options.start!r} is not a date; write e.g. 2024-10-07") from error
    return start if start.tzinfo else start.replace(tzinfo=UTC)


def _shares(values: list[float], *, invert: bool) -> list[float]:
    """Values as shares of their 95th percentile; inverted, the shortfall below the highest value."""
    used = [max(values) - v for v in values] if invert else values
    top = sorted(used)[min(len(used) - 1, int(0.95 * len(used)))]
    return [v / top if top > 0 else 0.0 for v in used]


def began_at(base: Path, name: str) -> datetime:
    """When this replay began: now at its first opening, the same for every scheduler of this site after that."""
    path = base / "run" / f"replay-{name}.json"
    if path.exists():
        return datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["began_at"])
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path.write_text(json.dumps({"began_at": now.isoformat()}), encoding="utf-8")
    return now


def open_source(name: str, options: Mapping[str, Any], *, base: Path, reaction_s: float) -> Playback:
    """The source that the site file describes. Raises `SettingsError`, or `SignalError` for its file."""
    try:
        parsed = Options.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SettingsError(f"signals.{name}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    steps = scaled_steps(read_series(parsed.path, parsed.column, parsed.time_column), parsed)
    return Playback(
        name, steps, began_at=began_at(base, name), notice_s=parsed.notice_s, reaction_s=reaction_s
    )
