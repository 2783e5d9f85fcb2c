"""Quarters of an hour, for ever: energy by class and by use, with the evidence. A correction is a row of its own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text, select
from sqlalchemy.orm import Session
from sqlmodel import Field, col

from scheduler.core.accounting import SUMS, Evidence, Quarter, Tally, add_evidence, quarter_of
from scheduler.core.grants import Grant
from scheduler.store.columns import UtcDateTime
from scheduler.store.tables import SampleMinuteRow, Table
from scheduler.wire import dumps, loads

LEAST_OF_MINUTE_S = 30.0
"""A minute of which less was sampled is no peak: its mean is of a few seconds."""


class SampleQuarterRow(Table, table=True):
    """A quarter of an hour (`number` 0, added to while it lasts), or a correction that is added to it (above)."""

    __tablename__ = "sample_quarters"
    quarter_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    covered_s: float = 0.0
    good_s: float = 0.0
    estimated_s: float = 0.0
    stale_s: float = 0.0
    bad_s: float = 0.0
    unmetered_s: float = 0.0
    over_limit_s: float = 0.0
    limit_wh: float = 0.0
    draw_wh: float = 0.0
    firm_wh: float = 0.0
    granted_wh: float = 0.0
    breach_wh: float = 0.0
    unclassed_wh: float = 0.0
    ai_wh: float = 0.0
    rest_wh: float = 0.0
    miners_wh: float = 0.0
    unused_wh: float = 0.0
    peak_minute_w: float | None = None
    evidence: str = Field(default="[]", sa_type=Text)  #: JSON of the core's Evidence
    reason: str = ""  #: of a correction
    by: str = ""
    recorded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


def add_to_quarter(session: Session, at: datetime, energy: Tally, grant: Grant | None) -> None:
    """Add the energy of a stretch that lies in the quarter of `at`, with who allowed it, if that is known."""
    row = _measured(session, quarter_of(at))
    for name in SUMS:
        setattr(row, name, getattr(row, name) + getattr(energy, name))
    if grant is not None and energy.metered_s > 0:
        known = loads(tuple[Evidence, ...], row.evidence)
        row.evidence = dumps(add_evidence(known, grant, energy)).decode()
    session.flush()


def note_minute(session: Session, minute: SampleMinuteRow) -> None:
    """A minute is over: its mean may be the peak of its quarter."""
    if minute.covered_s < LEAST_OF_MINUTE_S:
        return
    row = _measured(session, quarter_of(minute.minute_at))
    mean_w = minute.draw_wh * 3600.0 / minute.covered_s
    row.peak_minute_w = mean_w if row.peak_minute_w is None else max(row.peak_minute_w, mean_w)
    session.flush()


def quarters_between(session: Session, since: datetime, until: datetime) -> tuple[Quarter, ...]:
    """Quarters and their corrections that begin in [since, until), oldest first."""
    at, number = col(SampleQuarterRow.quarter_at), col(SampleQuarterRow.number)
    wanted = select(SampleQuarterRow).where(at >= since, at < until).order_by(at, number)
    return tuple(quarter_from(row) for row in session.scalars(wanted))


def _measured(session: Session, quarter_at: datetime) -> SampleQuarterRow:
    row = session.get(SampleQuarterRow, (quarter_at, 0))
    if row is None:
        row = SampleQuarterRow(quarter_at=quarter_at, number=0)
        session.add(row)
    return row


def quarter_from(row: SampleQuarterRow) -> Quarter:
    """A row as a value."""
    return Quarter(
        starts_at=row.quarter_at,
        number=row.number,
        tally=Tally(**{name: getattr(row, name) for name in SUMS}),
        peak_minute_w=row.peak_minute_w,
        evidence=loads(tuple[Evidence, ...], row.evidence),
        reason=row.reason,
        by=row.by,
        recorded_at=row.recorded_at,
    )
