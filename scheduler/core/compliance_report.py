"""What a stretch of quarters comes to: totals, days, documents that granted power, breaches. Pure.

A correction is added to the quarter that it corrects; what was measured and each correction stay listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Final

from scheduler.core.accounting import QUARTER, Evidence, Quarter, Tally

LEAST_COVERED_S: Final = QUARTER.total_seconds() / 2
"""A quarter of which less was metered is no peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The highest mean draw, and when its quarter began."""

    draw_w: float
    starts_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the calendar in the report's time zone. It has 23 or 25 hours where clocks change."""

    day: date
    length_s: float  #: so far
    tally: Tally
    peak_quarter: Peak | None
    peak_minute: Peak | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What one document allowed over the whole stretch."""

    source: str
    document: str
    feeder: str
    provenance: str  #: of the first interval, in words
    intervals: int
    since_at: datetime | None
    newest_at: datetime | None  #: when its last interval began
    covered_s: float
    firm_wh: float
    granted_wh: float
    breach_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A quarter in which more was drawn than was allowed, and what was allowed then."""

    starts_at: datetime
    over_limit_s: float
    breach_wh: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it. `length_s` = how much of [since_at, until_at) has passed."""

    since_at: datetime
    until_at: datetime
    length_s: float
    tally: Tally
    peak_quarter: Peak | None
    peak_minute: Peak | None
    days: tuple[Day, ...]
    grants: tuple[Granted, ...]  #: the most energy first
    breaches: tuple[Breach, ...]
    quarters: tuple[Quarter, ...]  #: with their corrections added
    corrections: tuple[Quarter, ...]


def month_of(year: int, month: int, zone: tzinfo) -> tuple[datetime, datetime]:
    """A month of the calendar in that zone, as a half-open interval. Raises ValueError for no month."""
    following = (year + 1, 1) if month == 12 else (year, month + 1)  # noqa: PLR2004 - December
    return datetime(year, month, 1, tzinfo=zone), datetime(*following, 1, tzinfo=zone)


def report_of(
    rows: Sequence[Quarter], *, since: datetime, until: datetime, now: datetime, zone: tzinfo
) -> Report:
    """What the quarters of [since, until) come to; `rows` rise in time, each before its corrections."""
    quarters = corrected(rows)
    return Report(
        since_at=since,
        until_at=until,
        length_s=_length_s(since, until, now),
        tally=_sum(quarters),
        peak_quarter=peak_quarter(quarters),
        peak_minute=peak_minute(quarters),
        days=tuple(_days(quarters, since, until, now, zone)),
        grants=_grants(quarters),
        breaches=tuple(_breaches(quarters)),
        quarters=quarters,
        corrections=tuple(q for q in rows if q.number),
    )


def corrected(rows: Iterable[Quarter]) -> tuple[Quarter, ...]:
    """Each quarter once, with its corrections added."""
    found = []
    for _, same in groupby(rows, key=lambda q: q.starts_at):
        first, *others = same
        for other in others:
            first = replace(first, tally=first.tally + other.tally)
        found.append(first)
    return tuple(found)


def peak_quarter(quarters: Iterable[Quarter]) -> Peak | None:
    """The highest mean of a quarter, over the seconds of it that were metered, where these are at least half."""
    means = (
        Peak(draw_w=q.tally.draw_wh * 3600.0 / q.tally.metered_s, starts_at=q.starts_at)
        for q in quarters
        if q.tally.metered_s >= LEAST_COVERED_S
    )
    return max(means, key=lambda p: p.draw_w, default=None)


def peak_minute(quarters: Iterable[Quarter]) -> Peak | None:
    """The highest mean of a minute, and the quarter that it is in."""
    peaks = (
        Peak(draw_w=q.peak_minute_w, starts_at=q.starts_at) for q in quarters if q.peak_minute_w is not None
    )
    return max(peaks, key=lambda p: p.draw_w, default=None)


def _sum(quarters: Iterable[Quarter]) -> Tally:
    return sum((q.tally for q in quarters), start=Tally())


def _length_s(since: datetime, until: datetime, now: datetime) -> float:
    return max(0.0, min(until, now).timestamp() - since.timestamp())


def _days(
    quarters: Sequence[Quarter], since: datetime, until: datetime, now: datetime, zone: tzinfo
) -> Iterable[Day]:
    """Every day that has begun, also one of which nothing is on record."""
    by_day = {
        day: list(same) for day, same in groupby(quarters, key=lambda q: q.starts_at.astimezone(zone).date())
    }
    day, last = since.astimezone(zone).date(), until.astimezone(zone)
    while (begins_at := _midnight(day, zone)) < last and begins_at <= now:
        following = day + timedelta(days=1)
        of_day = by_day.get(day, [])
        yield Day(
            day=day,
            length_s=_length_s(begins_at, _midnight(following, zone), now),
            tally=_sum(of_day),
            peak_quarter=peak_quarter(of_day),
            peak_minute=peak_minute(of_day),
        )
        day = following


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _grants(quarters: Iterable[Quarter]) -> tuple[Granted, ...]:
    found: dict[tuple[str, str, str], Granted] = {}
    for e in (e for q in quarters for e in q.evidence):
        key = (e.source, e.document or e.provenance, e.feeder)
        known = found.get(key)
        found[key] = _first(e) if known is None else _joined(known, e)
    return tuple(sorted(found.values(), key=lambda g: (-g.granted_wh, -g.firm_wh, g.source)))


def _first(e: Evidence) -> Granted:
    return Granted(
        source=e.source,
        document=e.document,
        feeder=e.feeder,
        provenance=e.provenance,
        intervals=e.intervals,
        since_at=e.starts_at,
        newest_at=e.newest_at,
        covered_s=e.covered_s,
        firm_wh=e.firm_wh,
        granted_wh=e.granted_wh,
        breach_wh=e.breach_wh,
    )


def _joined(known: Granted, e: Evidence) -> Granted:
    """An interval that goes on from one quarter to the next is one."""
    goes_on = known.newest_at == e.starts_at
    return replace(
        known,
        intervals=known.intervals + e.intervals - (1 if goes_on else 0),
        newest_at=e.newest_at,
        covered_s=known.covered_s + e.covered_s,
        firm_wh=known.firm_wh + e.firm_wh,
        granted_wh=known.granted_wh + e.granted_wh,
        breach_wh=known.breach_wh + e.breach_wh,
    )


def _breaches(quarters: Iterable[Quarter]) -> Iterable[Breach]:
    for q in quarters:
        if q.tally.breach_wh > 0 or q.tally.over_limit_s > 0:
            yield Breach(
                starts_at=q.starts_at,
                over_limit_s=q.tally.over_limit_s,
                breach_wh=q.tally.breach_wh,
                evidence=tuple(e for e in q.evidence if e.breach_wh > 0 or e.over_limit_s > 0),
            )
