"""Corrections of quarters of an hour: rows of their own, so that what was measured stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.accounting import QUARTER, Quarter, quarter_of
from scheduler.core.reasons import Event
from scheduler.store import chain
from scheduler.store.quarters import SampleQuarterRow, quarter_from
from scheduler.store.refusals import InvalidField


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a person adds to the energy of a quarter, Wh by class; below 0 = takes away."""

    quarter_at: datetime
    firm_wh: float
    granted_wh: float
    breach_wh: float
    reason: str
    by: str

    @property
    def draw_wh(self) -> float:
        """The classes of a draw add up to it."""
        return self.firm_wh + self.granted_wh + self.breach_wh


def correct(session: Session, correction: Correction, *, at: datetime) -> Quarter:
    """Add the row, and tell who did it. Raises `InvalidField` for what is no quarter, or is not over."""
    quarter_at = correction.quarter_at
    check_over("quarter_at", quarter_at, at)
    row = SampleQuarterRow(
        quarter_at=quarter_at,
        number=_next_number(session, quarter_at),
        draw_wh=correction.draw_wh,
        firm_wh=correction.firm_wh,
        granted_wh=correction.granted_wh,
        breach_wh=correction.breach_wh,
        by=correction.by,
        reason=correction.reason,
        recorded_at=at,
    )
    session.add(row)
    session.flush()
    chain.note(session, _told(correction, at))
    return quarter_from(row)


def check_over(field: str, quarter_at: datetime, at: datetime) -> None:
    """Raises `InvalidField` for what begins no quarter of an hour, or one that is not over at `at`."""
    if quarter_of(quarter_at) != quarter_at:
        remedy = "give the start of a quarter of an hour: :00, :15, :30 or :45"
        raise InvalidField(field, quarter_at.isoformat(), remedy)
    if quarter_at + QUARTER > at:
        raise InvalidField(field, quarter_at.isoformat(), "wait until it is over")


def _next_number(session: Session, quarter_at: datetime) -> int:
    """Two who correct one quarter at once wait for each other, if anything was measured in it."""
    session.get(SampleQuarterRow, (quarter_at, 0), with_for_update=True)
    number = col(SampleQuarterRow.number)
    newest = session.scalar(select(func.max(number)).where(col(SampleQuarterRow.quarter_at) == quarter_at))
    return 1 + (newest or 0)


def _told(correction: Correction, at: datetime) -> Event:
    text = (
        f"{correction.by} corrected the quarter from {correction.quarter_at:%Y-%m-%d %H:%M} UTC by "
        f"{correction.draw_wh:+.1f} Wh: {correction.reason}"
    )
    data: dict[str, str | float | int | bool | None] = {
        "by": correction.by,
        "quarter_at": correction.quarter_at.isoformat(),
        "firm_wh": correction.firm_wh,
        "granted_wh": correction.granted_wh,
        "breach_wh": correction.breach_wh,
    }
    return Event(at=at, kind="energy.corrected", text=text, data=data)
