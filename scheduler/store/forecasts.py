"""What forecasts of the limit learn from, and the forecasts themselves until they were held against what came."""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.envelope import OPERATOR
from scheduler.core.estop import SOURCE as STOPPED
from scheduler.predictions import DOCUMENT, Made, Quarter, Told, before
from scheduler.store.database import reading, writing
from scheduler.store.site_queries import current_document
from scheduler.store.tables import CurrentRow, EventRow, ForecastRow, SampleMinuteRow
from scheduler.store.upsert import upsert
from scheduler.wire import WireError, dumps, loads

log = logging.getLogger(__name__)

KEPT: Final = timedelta(days=10)
"""Longer than a forecast is held against what came."""
LEAST_S: Final = 450.0
"""A quarter of an hour of which less was seen is not known."""
_LIMIT_CHANGED: Final = "limit.changed"
_MINUTES_A_DAY: Final = 1440.0

Span = tuple[datetime, datetime]


class SqlForecasts:
    """The `Forecasts` port on the database. Synchronous; may be used by several threads and processes at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def days(self) -> float:
        """How many days of the limit are on record, whoever set it."""
        with reading(self._engine) as session:
            return (session.scalar(select(func.count(col(SampleMinuteRow.minute_at)))) or 0) / _MINUTES_A_DAY

    def history(self, *, since: datetime, until: datetime) -> tuple[Quarter, ...]:
        """The quarters of an hour in [since, until) of which at least half was seen, oldest first.

        What people had limited or stopped is left out, minute by minute, and so is what a source had been silent for:
        nobody knows what the grid would have given.
        """
        with reading(self._engine) as session:
            return _quarters(_minutes(session, since, until), _not_the_grid(session, since, until))

    def kept(self, *, since: datetime) -> tuple[Made, ...]:
        """The forecasts that were made from `since` on, oldest first."""
        at = col(ForecastRow.made_at)
        wanted = select(col(ForecastRow.document)).where(at >= since).order_by(at)
        with reading(self._engine) as session:
            documents = session.scalars(wanted).all()
        return tuple(made for document in documents if (made := _made(document)) is not None)

    def newest(self) -> Told | None:
        """What was told last; None before anything was, or where another version of Barq told it."""
        with reading(self._engine) as session:
            document = current_document(session, DOCUMENT)
        try:
            return None if document is None else loads(Told, document.text)
        except WireError as error:
            log.warning("the last forecast cannot be read, the next one takes its place: %s", error)
            return None

    def keep(self, told: Told) -> None:
        """Write down what is told now, and the forecast if it is a new one. Old ones are dropped."""
        with writing(self._engine) as session:
            document = {"key": DOCUMENT, "document": dumps(told).decode(), "updated_at": told.at}
            upsert(session, CurrentRow, [document])
            if told.made is not None:
                row = {"made_at": told.made.made_at, "document": dumps(told.made).decode()}
                upsert(session, ForecastRow, [row])
            session.execute(delete(ForecastRow).where(col(ForecastRow.made_at) < told.at - KEPT))


def _made(document: str) -> Made | None:
    try:
        return loads(Made, document)
    except WireError as error:
        log.warning("a forecast on record cannot be read and is not judged: %s", error)
        return None


def _minutes(session: Session, since: datetime, until: datetime) -> Sequence[tuple[datetime, float, float]]:
    """When each minute began, the seconds of it that were seen, and the Wh of the limit."""
    row = SampleMinuteRow
    wanted = select(col(row.minute_at), col(row.covered_s), col(row.limit_wh))
    at = col(row.minute_at)
    rows = session.execute(wanted.where(at >= since, at < until, col(row.covered_s) > 0).order_by(at))
    return [(minute_at, covered_s, limit_wh) for minute_at, covered_s, limit_wh in rows]


def _not_the_grid(session: Session, since: datetime, until: datetime) -> list[Span]:
    """When people's limits and stops were the lowest, and when the limit was that of a silent source, in order."""
    at, seq = col(EventRow.at), col(EventRow.seq)
    changes = select(at, col(EventRow.data)).where(col(EventRow.kind) == _LIMIT_CHANGED)
    begun = session.execute(changes.where(at < since).order_by(at.desc(), seq.desc()).limit(1)).all()
    during = session.execute(changes.where(at >= since, at < until).order_by(at, seq)).all()
    told = [*((moment, _is_the_grid(data)) for moment, data in (*begun, *during)), (until, True)]
    return [(a, b) for (a, grid), (b, _) in pairwise(told) if not grid]


def _is_the_grid(data: str) -> bool:
    told = json.loads(data)
    return told.get("stale") is not True and told.get("source") not in (OPERATOR, STOPPED)


def _quarters(
    minutes: Iterable[tuple[datetime, float, float]], without: Sequence[Span]
) -> tuple[Quarter, ...]:
    """Means by the quarter of the minutes that touch none of the spans."""
    sums: dict[datetime, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for minute_at, covered_s, limit_wh in minutes:
        if not _touches(without, minute_at):
            of_quarter = sums[before(minute_at)]
            of_quarter[0] += covered_s
            of_quarter[1] += limit_wh
    return tuple(
        Quarter(at=at, limit_w=limit_wh * 3600.0 / covered_s)
        for at, (covered_s, limit_wh) in sums.items()
        if covered_s >= LEAST_S
    )


def _touches(spans: Sequence[Span], minute_at: datetime) -> bool:
    """Whether any of the spans, which are in order and apart, has a part of this minute."""
    begun = bisect_left(spans, minute_at + timedelta(minutes=1), key=lambda span: span[0])
    return begun > 0 and spans[begun - 1][1] > minute_at
