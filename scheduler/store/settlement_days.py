"""What each party's UTC days come to: kept as rows are written, so that a month is read in 31 rows at most."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import Field, col

from scheduler.core.accounting import QUARTER
from scheduler.core.compliance_report import month_of
from scheduler.core.so_far import SUMMED, Hours, SoFar
from scheduler.store.columns import BIG, UtcDateTime
from scheduler.store.tables import Table


class SettlementDayRow(Table, table=True):
    """The sums of a party's rows of one UTC day, adjustments included."""

    __tablename__ = "settlement_days"
    party: str = Field(primary_key=True)
    day_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    until_at: datetime = Field(sa_type=UtcDateTime)  #: the end of the newest interval
    metered_ws: int = Field(default=0, sa_type=BIG)
    granted_ws: int = Field(default=0, sa_type=BIG)
    curtailed_ws: int = Field(default=0, sa_type=BIG)
    charge_micro: int = Field(default=0, sa_type=BIG)
    credit_micro: int = Field(default=0, sa_type=BIG)
    curtailed_ms: int = Field(default=0, sa_type=BIG)
    unpriced: int = 0
    notices: int = 0
    notices_missed: int = 0


def add_up(session: Session, party: str, starts_at: datetime, more: SoFar) -> None:
    """Count a row that was just written of the interval that begins at `starts_at`."""
    day_at, until_at = day_of(starts_at), starts_at + QUARTER
    row = session.get(SettlementDayRow, (party, day_at))
    if row is None:
        row = SettlementDayRow(party=party, day_at=day_at, until_at=until_at)
        session.add(row)
    row.until_at = max(row.until_at, until_at)
    for name in SUMMED:
        setattr(row, name, getattr(row, name) + getattr(more, name))
    session.flush()


def sums_between(session: Session, since: datetime, until: datetime) -> dict[str, tuple[SoFar, datetime]]:
    """What each party's days in [since, until) come to, and up to when they are settled."""
    day_at, party = col(SettlementDayRow.day_at), col(SettlementDayRow.party)
    sums = [func.sum(getattr(SettlementDayRow, name)) for name in SUMMED]
    newest = func.max(col(SettlementDayRow.until_at))
    asked = select(party, newest, *sums).where(day_at >= since, day_at < until).group_by(party)
    return {
        name: (SoFar(**{n: int(v) for n, v in zip(SUMMED, values, strict=True)}), until_at)
        for name, until_at, *values in session.execute(asked)
    }


def hours_of(session: Session, at: datetime | None) -> Hours:
    """For how long partners were curtailed in the month of `at`; None = the newest of which anything is on record.

    With the month that is on record before it: a clock that is ahead may go back to that.
    """
    newest = select(func.max(col(SettlementDayRow.day_at)))
    at = at or session.scalar(newest)
    if at is None:
        return Hours()
    begins_at, _ = month_of(at.year, at.month, UTC)
    before_at = session.scalar(newest.where(col(SettlementDayRow.day_at) < begins_at))
    return _hours(session, at, other=None if before_at is None else _hours(session, before_at))


def _hours(session: Session, at: datetime, other: Hours | None = None) -> Hours:
    sums = sums_between(session, *month_of(at.year, at.month, UTC))
    curtailed_ms = {name: so_far.curtailed_ms for name, (so_far, _) in sums.items()}
    return Hours(year=at.year, month=at.month, curtailed_ms=curtailed_ms, other=other)


def day_of(at: datetime) -> datetime:
    """When its UTC day began."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
