"""The intervals over which an event asks for reports, and which of them are due when. Pure.

Interval 0 begins with the event. Where the event goes on after its last interval, they begin again, as its own do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scheduler.openadr.events import Event
from scheduler.openadr.times import FAR, later

MOST_TOLD: Final = 96  #: intervals of one report: a day of quarters of an hour
LONG: Final = timedelta(days=1)  #: of an interval; a longer one is told in shorter ones
_NOTHING: Final = timedelta(0)
_ENDLESS: Final = timedelta(days=365 * 100)
Period = tuple[datetime | None, timedelta | None]
"""Start and duration, as far as they are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One interval of a report."""

    id: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Spans in a row, again and again until `stops_at`. At least one, all with a length, rising."""

    spans: tuple[Span, ...]
    stops_at: datetime

    @property
    def size(self) -> int | None:
        """How many there are; None = without end."""
        is_endless = self.stops_at - self.spans[0].starts_at >= _ENDLESS
        return None if is_endless else self._begun(self.stops_at, including=False)

    def span(self, index: int) -> Span | None:
        """One of them, cut where the event ends; None past the end."""
        turn, place = divmod(index, len(self.spans))
        base, shift = self.spans[place], self._cycle * turn
        starts_at, ends_at = later(base.starts_at, shift), later(base.ends_at, shift)
        if index < 0 or starts_at >= self.stops_at:
            return None
        return Span(
            id=base.id if turn == 0 else index, starts_at=starts_at, ends_at=min(ends_at, self.stops_at)
        )

    def reached(self, at: datetime) -> int | None:
        """The last of the marks that `at` has reached: mark i is where interval i begins, the last where all end."""
        if at < self.spans[0].starts_at:
            return None
        if at >= self.stops_at:
            return self.size
        return self._begun(at, including=True) - 1

    @property
    def _cycle(self) -> timedelta:
        return self.spans[-1].ends_at - self.spans[0].starts_at

    def _begun(self, at: datetime, *, including: bool) -> int:
        """How many intervals begin before `at`, or with it."""
        turns, rest = divmod(at - self.spans[0].starts_at, self._cycle)
        offsets = [s.starts_at - self.spans[0].starts_at for s in self.spans]
        return turns * len(offsets) + sum(1 for o in offsets if o < rest or (including and o == rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a report is made, and of which intervals: as a report descriptor says, -1 as it does."""

    ahead: bool  #: of what comes, and not of what was
    start: int = -1
    count: int = -1
    every: int = -1
    times: int = 1


def due(timing: Timing, grid: Grid, at: datetime) -> tuple[int, tuple[Span, ...]] | None:
    """The number of the newest report that is due by `at`, from 0 on, and what it tells; None = none yet.

    One of the past also tells what those before it did, as far as `MOST_TOLD` go: it takes their place.
    """
    size, reached = grid.size, grid.reached(at)
    count = timing.count if timing.count > 0 else (size or 1)
    every = timing.every if timing.every > 0 else count
    start, times = timing.start, timing.times
    if start < 0:
        start = 0 if timing.ahead else (size if size is not None else count)
        if size is None:  # it has no last interval at whose end it could be told
            times = -1
    if reached is None or reached < start:
        return None
    number = (reached - start) // every
    number = number if times < 0 else min(number, times - 1)
    if timing.ahead:
        first = start + number * every
        indices = range(first, first + min(count, MOST_TOLD))
        told = [grid.span(i) for i in indices]
    else:
        told = [grid.span(i) for i in _past(start, count, every, number)]
    spans = tuple(s for s in told if s is not None)
    return (number, spans) if spans else None


def _past(start: int, count: int, every: int, number: int) -> Sequence[int]:
    """The last of the intervals of all reports up to this one."""
    found: list[int] = []
    for n in range(number, -1, -1):
        if len(found) >= MOST_TOLD:
            break
        end = start + n * every
        newest = min(end, found[0]) if found else end
        found[:0] = range(max(0, end - count, newest - MOST_TOLD), newest)
    return found[-MOST_TOLD:]


def grid_of(event: Event, period: Period, own: timedelta, *, is_own: bool = False) -> Grid | None:
    """The intervals of an event; `own` ones while it lasts if the site may choose them, or if they are very long.

    None where it has none that have a length. `period` = the event's own start and duration: an event without
    intervals goes on in these.
    """
    spans = _in_a_row(event, period)
    if not spans:
        return None
    begins_at, ends_at = spans[0].starts_at, spans[-1].ends_at
    stops_at = ends_at if event.intervals else FAR
    if event.duration is not None:
        stops_at = later(begins_at, event.duration)
    if stops_at <= begins_at:
        return None
    step = own if is_own or any(s.ends_at - s.starts_at > LONG for s in spans) else None
    if step is not None:
        spans = [Span(id=0, starts_at=begins_at, ends_at=begins_at + step)]
    return Grid(spans=tuple(spans), stops_at=stops_at)


def _in_a_row(event: Event, period: Period) -> list[Span]:
    at = event.starts_at or event.changed_at or period[0]
    if not event.intervals:
        starts_at, long = at, period[1]
        if starts_at is None or long is None or long <= _NOTHING:
            return []
        return [Span(id=0, starts_at=starts_at, ends_at=later(starts_at, long))]
    spans: list[Span] = []
    for number, interval in enumerate(event.intervals):
        starts_at = interval.starts_at or at
        if starts_at is None:
            return []
        at = later(starts_at, interval.long)
        if starts_at < at and (not spans or starts_at >= spans[-1].ends_at):
            spans.append(Span(id=_id(interval.id, number), starts_at=starts_at, ends_at=at))
    return spans


def _id(text: str, number: int) -> int:
    """As the event has it, if that is a number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else number  # noqa: PLR2004 - 32 bits
