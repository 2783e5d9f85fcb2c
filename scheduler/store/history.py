"""Reading power back as a series: seconds and minutes while they are kept, quarters of an hour from before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import fmean

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.accounting import QUARTER, quarter_of
from scheduler.store.quarters import SampleQuarterRow
from scheduler.store.tables import SampleMinuteRow, SampleRow
from scheduler.store.views import PowerPoint

MINUTE = timedelta(minutes=1)
QUARTER_S = int(QUARTER.total_seconds())
USES = ("limit_w", "draw_w", "ai_w", "rest_w", "miners_w")
"""What a point tells, in this order in the rows below."""
Row = tuple[datetime, float, Sequence[float]]
"""When it begins, how much it weighs, and the mean watts of `USES`."""


def power_history(
    session: Session, *, since: datetime, until: datetime, resolution_s: int
) -> tuple[PowerPoint, ...]:
    """Mean watts in steps of `resolution_s` over [since, until), oldest first. Steps that nobody sampled are left out.

    Seconds are kept for an hour and minutes for 90 days; what is older comes by the minute, and by the quarter of an
    hour, however fine a resolution is asked for.
    """
    seconds = _seconds(session, since, until) if resolution_s < MINUTE.total_seconds() else []
    whole_until = seconds[0][0].replace(second=0, microsecond=0) if seconds else until
    minutes = _energies(session, SampleMinuteRow, since, whole_until)
    coarse_s = max(resolution_s, int(MINUTE.total_seconds()))
    quarters = _energies(session, SampleQuarterRow, since, _quarters_until(minutes, whole_until))
    if coarse_s >= QUARTER_S:
        return tuple(_points([*quarters, *minutes], coarse_s))
    return (
        *_points(quarters, QUARTER_S),
        *_points(minutes, coarse_s),
        *_points(seconds, resolution_s),
    )


def _quarters_until(minutes: Sequence[Row], until: datetime) -> datetime:
    """Up to the quarter in which minutes begin; where there are none, they are all gone."""
    return quarter_of(minutes[0][0]) if minutes else until


def _seconds(session: Session, since: datetime, until: datetime) -> list[Row]:
    at = col(SampleRow.at)
    wanted = select(at, *(col(getattr(SampleRow, name)) for name in USES))
    rows = session.execute(wanted.where(at >= since, at < until).order_by(at))
    return [(row[0], 1.0, row[1:]) for row in rows]


def _energies(
    session: Session, table: type[SampleMinuteRow | SampleQuarterRow], since: datetime, until: datetime
) -> list[Row]:
    """Minutes, or quarters as they were measured, that begin within the bounds."""
    is_quarters = table is SampleQuarterRow
    at = col(SampleQuarterRow.quarter_at) if is_quarters else col(SampleMinuteRow.minute_at)
    energies = (col(getattr(table, f"{name}h")) for name in USES)
    wanted = select(at, col(table.covered_s), *energies).where(at >= since, at < until).order_by(at)
    rows = session.execute(wanted.where(col(SampleQuarterRow.number) == 0) if is_quarters else wanted)
    return [(row[0], row[1], [wh * 3600.0 / row[1] for wh in row[2:]]) for row in rows if row[1] > 0]


def _points(rows: Iterable[Row], step_s: int) -> Iterator[PowerPoint]:
    for began_s, members in groupby(rows, key=lambda row: int(row[0].timestamp()) // step_s * step_s):
        yield _mean(datetime.fromtimestamp(began_s, UTC), list(members))


def _mean(at: datetime, rows: Sequence[Row]) -> PowerPoint:
    weights = [weight for _, weight, _ in rows]
    watts = (fmean(values, weights) for values in zip(*(values for *_, values in rows), strict=True))
    return PowerPoint(at=at, **dict(zip(USES, watts, strict=True)))
