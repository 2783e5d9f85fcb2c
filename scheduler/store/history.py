"""Reading power back as a series: single seconds while they are kept, whole minutes from before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import fmean

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.store.tables import SampleMinuteRow, SampleRow
from scheduler.store.views import PowerPoint

MINUTE = timedelta(minutes=1)
USES = ("limit_w", "draw_w", "ai_w", "rest_w", "miners_w")
"""What a point tells, in this order in the rows below."""
Row = tuple[datetime, float, Sequence[float]]
"""When it begins, how much it weighs, and the mean watts of `USES`."""


def power_history(
    session: Session, *, since: datetime, until: datetime, resolution_s: int
) -> tuple[PowerPoint, ...]:
    """Mean watts in steps of `resolution_s` over [since, until), oldest first. Steps that nobody sampled are left out.

    Seconds are kept for an hour; what is older comes by the minute, however fine a resolution is asked for.
    """
    seconds = _seconds(session, since, until) if resolution_s < MINUTE.total_seconds() else []
    whole_until = seconds[0][0].replace(second=0, microsecond=0) if seconds else until
    minutes = _minutes(session, since, whole_until)
    coarse_s = max(resolution_s, int(MINUTE.total_seconds()))
    return (*_points(minutes, coarse_s), *_points(seconds, resolution_s))


def _seconds(session: Session, since: datetime, until: datetime) -> list[Row]:
    at = col(SampleRow.at)
    wanted = select(at, *(col(getattr(SampleRow, name)) for name in USES))
    rows = session.execute(wanted.where(at >= since, at < until).order_by(at))
    return [(row[0], 1.0, row[1:]) for row in rows]


def _minutes(session: Session, since: datetime, until: datetime) -> list[Row]:
    """Minutes that begin within the bounds."""
    at = col(SampleMinuteRow.minute_at)
    energies = (col(getattr(SampleMinuteRow, f"{name}h")) for name in USES)
    wanted = select(at, col(SampleMinuteRow.covered_s), *energies)
    rows = session.execute(wanted.where(at >= since, at < until).order_by(at))
    return [(row[0], row[1], [wh * 3600.0 / row[1] for wh in row[2:]]) for row in rows if row[1] > 0]


def _points(rows: Iterable[Row], step_s: int) -> Iterator[PowerPoint]:
    for began_s, members in groupby(rows, key=lambda row: int(row[0].timestamp()) // step_s * step_s):
        yield _mean(datetime.fromtimestamp(began_s, UTC), list(members))


def _mean(at: datetime, rows: Sequence[Row]) -> PowerPoint:
    weights = [weight for _, weight, _ in rows]
    watts = (fmean(values, weights) for values in zip(*(values for *_, values in rows), strict=True))
    return PowerPoint(at=at, **dict(zip(USES, watts, strict=True)))
