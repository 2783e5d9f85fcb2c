"""The event log: append-only, and chained so that a change to the past shows.

Each row's hash is blake2b(hash of the row before + the row as canonical JSON). A row that was altered, taken out of
the middle or put in breaks the chain from there on. Rows cut off at the end do not: keep a `head` elsewhere for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.reasons import Event
from scheduler.store.tables import EventRow, LeaderRow
from scheduler.store.views import LogLine
from scheduler.wire import dumps

Row = dict[str, Any]
"""The columns of an event."""
GENESIS = "0" * 64
"""What the first row is chained to."""
_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest link of the chain."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where the chain does not hold, and how it shows."""

    seq: int
    why: str


def head(session: Session) -> Head:
    """The newest row's number and hash; number 0 while there is none."""
    newest = select(EventRow).order_by(col(EventRow.seq).desc()).limit(1)
    row = session.scalars(newest).first()
    return Head(seq=row.seq, hash=row.hash) if row else Head(seq=0, hash=GENESIS)


def append(session: Session, events: Iterable[Event]) -> dict[int, Event]:
    """Chain events to the log; returns them by number. The caller holds the leader's row, so nobody else appends."""
    last, rows, logged = head(session), [], {}
    for event in events:
        row = _row(event, last.seq + 1)
        last = Head(seq=last.seq + 1, hash=_link(last.hash, row))
        rows.append(row | {"hash": last.hash})
        logged[last.seq] = event
    if rows:
        session.execute(insert(EventRow), rows)
    return logged


def note(session: Session, *events: Event) -> None:
    """Chain what a person did. Holds the leader's row until the commit, as each tick does."""
    session.scalars(select(LeaderRow).with_for_update()).one()
    append(session, events)


def line(session: Session, seq: int) -> LogLine | None:
    """A line with all that its hash was made of, so that anybody can make it again; None if it is not there."""
    row = session.get(EventRow, seq)
    if row is None:
        return None
    before = session.get(EventRow, seq - 1)
    content = row.model_dump() | {"at": _instant(row.at)}
    return LogLine(**content, hash_before=before.hash if before else GENESIS)


def link(before: str, row: EventRow) -> str:
    """The hash of a row, in hexadecimal, given the hash of the row before it."""
    return _link(before, row.model_dump(exclude={"hash"}))


def _link(before: str, content: Row) -> str:
    return hashlib.blake2b(before.encode() + _canonical(content), digest_size=32).hexdigest()


def verify_chain(session: Session, *, since: Head | None = None) -> Break | None:
    """The first place where the chain does not hold, None if it holds from `since` (or the start) to its end."""
    last = since or Head(seq=0, hash=GENESIS)
    while page := _page(session, after=last.seq):
        for row in page:
            if row.seq != last.seq + 1:
                return Break(
                    seq=last.seq + 1, why=f"event {last.seq + 1} is missing, the next one is {row.seq}"
                )
            if row.hash != link(last.hash, row):
                return Break(
                    seq=row.seq, why=f"event {row.seq} or its place was changed after it was written"
                )
            last = Head(seq=row.seq, hash=row.hash)
        session.expunge_all()
    return None


def _page(session: Session, *, after: int) -> list[EventRow]:
    later = select(EventRow).where(col(EventRow.seq) > after).order_by(col(EventRow.seq)).limit(_PAGE)
    return list(session.scalars(later))


def _row(event: Event, seq: int) -> Row:
    """A row but for its hash. Not an `EventRow`, which takes a hundred times as long to make."""
    return {
        "seq": seq,
        "at": event.at,
        "kind": event.kind,
        "text": event.text,
        "job_id": event.job_id,
        "attempt_id": event.attempt_id,
        "data": dumps(event.data).decode(),
    }


def _canonical(content: Row) -> bytes:
    """The content as one spelling: keys sorted, no spaces, the time in UTC to the microsecond."""
    spelled = content | {"at": _instant(content["at"])}
    return json.dumps(spelled, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
