"""Emergency stops: made and released by people, learned from guards; each with its event, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.estop import EmergencyStop
from scheduler.core.reasons import Event
from scheduler.store import chain
from scheduler.store.refusals import InvalidField
from scheduler.store.tables import EmergencyStopRow, IntentRow, LeaderRow
from scheduler.store.wishes import STOPS, take_numbers


def engage(session: Session, site: str, stop: EmergencyStop) -> EmergencyStop:
    """Stop the site. One that is known by its id stays as it was first told. Raises `InvalidField`."""
    if not stop.reason.strip():
        raise InvalidField("reason", stop.reason, "say why, for those who will wonder")
    take_numbers(session, site, 0)
    _hold_log(session)
    if stop.id in released_ids(session):
        raise InvalidField("id", stop.id, "leave it out: the stop of that id was released")
    learn(session, [stop])
    session.add(IntentRow(kind=STOPS, at=stop.at))
    session.flush()
    return _stop(session.get_one(EmergencyStopRow, stop.id))


def release(session: Session, site: str, *, by: str, reason: str, at: datetime) -> tuple[EmergencyStop, ...]:
    """End every stop that stands, and no other. Returns those that it ended. Raises `InvalidField`."""
    if not reason.strip():
        raise InvalidField("reason", reason, "say why it is safe, for those who will wonder")
    take_numbers(session, site, 0)
    _hold_log(session)
    rows = _standing(session)
    for row in rows:
        row.released_at, row.released_by, row.release_reason = at, by, reason
    if rows:
        session.add(IntentRow(kind=STOPS, at=at))
        text = f"emergency stop released by {by}: {reason}"
        chain.append(session, [Event(at=at, kind="estop.released", text=text, data={"by": by})])
    return tuple(_stop(row) for row in rows)


def learn(session: Session, stops: Iterable[EmergencyStop]) -> None:
    """Note those that are not known. The caller holds the leader's row."""
    for stop in stops:
        if session.get(EmergencyStopRow, stop.id) is None:
            session.add(EmergencyStopRow(id=stop.id, reason=stop.reason, by=stop.by, at=stop.at))
            session.flush()
            text = f"emergency stop by {stop.by}: {stop.reason}"
            chain.append(session, [Event(at=stop.at, kind="estop.engaged", text=text, data={"by": stop.by})])


def standing(session: Session) -> tuple[EmergencyStop, ...]:
    """Stops that nobody released, oldest first."""
    return tuple(_stop(row) for row in _standing(session))


def released_ids(session: Session) -> frozenset[str]:
    """All that were ever released: some guard may still hold one of them."""
    released = select(col(EmergencyStopRow.id)).where(col(EmergencyStopRow.released_at).is_not(None))
    return frozenset(session.scalars(released))


def _standing(session: Session) -> list[EmergencyStopRow]:
    unreleased = select(EmergencyStopRow).where(col(EmergencyStopRow.released_at).is_(None))
    return list(session.scalars(unreleased.order_by(col(EmergencyStopRow.at), col(EmergencyStopRow.id))))


def _hold_log(session: Session) -> None:
    """Only who holds the leader's row appends to the log of events."""
    session.scalars(select(LeaderRow).with_for_update()).one()


def _stop(row: EmergencyStopRow) -> EmergencyStop:
    return EmergencyStop(id=row.id, reason=row.reason, by=row.by, at=row.at)
