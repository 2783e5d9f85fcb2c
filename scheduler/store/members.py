"""Nodes, and guards of miners, that joined from other machines: written by people's side, read by the leader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.orders import GroupSpec
from scheduler.records import Member
from scheduler.store.refusals import NodeNotFound
from scheduler.store.rows import legible
from scheduler.store.tables import IntentRow, MemberRow
from scheduler.store.wishes import MEMBERS, take_numbers
from scheduler.wire import dumps, loads

Check = Callable[[tuple[Member, ...]], None]
"""Raises what the caller wants where what joins does not go with the members that there are, itself included."""


def read_members(session: Session) -> tuple[Member, ...]:
    """All of them, by name."""
    rows = session.scalars(select(MemberRow).order_by(col(MemberRow.name)))
    return tuple(_member(row) for row in rows)


def join(
    session: Session, site: str, specs: Sequence[GroupSpec], *, by: str, at: datetime, check: Check
) -> None:
    """Add groups, or take in that they come back; `check` sees all members first, in the same transaction."""
    take_numbers(session, site, 0)
    check(read_members(session))
    for spec in specs:
        text = dumps(spec).decode()
        session.merge(MemberRow(name=spec.group_id, spec=text, leaving=False, joined_at=at, joined_by=by))
    session.add(IntentRow(kind=MEMBERS, at=at))


def leave(session: Session, site: str, name: str, *, at: datetime) -> None:
    """Have no new work sent to a node. Again is no change. Raises `NodeNotFound`."""
    take_numbers(session, site, 0)
    row = _found(session, name)
    if not row.leaving:
        row.leaving = True
        session.add(IntentRow(kind=MEMBERS, at=at))


def forget(session: Session, site: str, name: str, *, at: datetime) -> None:
    """Take a node out of the site: it counts no more. Raises `NodeNotFound`."""
    take_numbers(session, site, 0)
    session.delete(_found(session, name))
    session.add(IntentRow(kind=MEMBERS, at=at))


def _found(session: Session, name: str) -> MemberRow:
    row = session.get(MemberRow, name)
    if row is None:
        raise NodeNotFound(name)
    return row


def _member(row: MemberRow) -> Member:
    with legible(f"member {row.name}"):
        return Member(spec=loads(GroupSpec, row.spec), leaving=row.leaving)
