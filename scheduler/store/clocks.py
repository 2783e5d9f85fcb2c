"""By which clock the leader reckons: where that was set, what runs began by the new one, too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import AttemptState, JobState
from scheduler.store.site_queries import current_document
from scheduler.store.tables import AttemptRow, CurrentRow, JobRow, LeaderRow
from scheduler.store.upsert import upsert
from scheduler.store.wishes import standing_limits
from scheduler.wire import WireError, dumps, loads

CLOCK = "clock"
"""The key of the leader's clock, among the documents that it keeps."""
_NOISE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """A boot of a host, and its time of day then, Unix seconds by the clock as it is now."""

    boot_id: str
    offset_s: float


def reckon(session: Session, clock: Reckoning, *, at: datetime) -> float:
    """Note the clock that a new leader reckons by. By how much it was set since the last one of this boot, s.

    Time limits count from when an attempt began to run, what waits does so for a while, and a power limit by hand lasts
    for as long as a person said: all are told by the clock as it is now. Of the clock of another boot nothing is known
    but that it was ahead, if anything began later than now.
    """
    before = _known(session)
    values = {"key": CLOCK, "document": dumps(clock).decode(), "updated_at": at}
    upsert(session, CurrentRow, [values])
    is_known = before is not None and before.boot_id == clock.boot_id
    by_s = clock.offset_s - before.offset_s if before is not None and is_known else 0.0
    if abs(by_s) <= _NOISE_S:
        by_s = 0.0
    _move_work(session, timedelta(seconds=by_s), at)
    if by_s:
        _move_limits(session, by_s, at)
    session.flush()
    return by_s


def _move_work(session: Session, by: timedelta, at: datetime) -> None:
    going_on = select(AttemptRow).where(col(AttemptRow.state) != AttemptState.ENDED.value)
    for row in session.scalars(going_on):
        _move(row, by, at)
    retried = select(JobRow).where(
        col(JobRow.state) == JobState.PENDING.value, col(JobRow.not_before_at).is_not(None)
    )
    for job in session.scalars(retried):
        since_at = min(at, job.since_at + by)
        if job.not_before_at is not None:
            job.not_before_at += since_at - job.since_at
        job.since_at = since_at
    leader = session.scalars(select(LeaderRow)).one()
    if leader.last_cut_at is not None:
        leader.last_cut_at = min(at, leader.last_cut_at + by)


def _move_limits(session: Session, by_s: float, at: datetime) -> None:
    lasting = standing_limits(at - timedelta(seconds=max(0.0, by_s)))
    for limit in session.scalars(lasting):
        limit.created_at = min(at, limit.created_at + timedelta(seconds=by_s))
        if limit.ends_at is not None:
            limit.ends_at += timedelta(seconds=by_s)


def _known(session: Session) -> Reckoning | None:
    document = current_document(session, CLOCK)
    try:
        return None if document is None else loads(Reckoning, document.text)
    except WireError:
        return None  # of another version of Barq: nothing is known of an earlier clock


def _move(row: AttemptRow, by: timedelta, at: datetime) -> None:
    """Nothing of an attempt was later than now: what another clock told of it counts from now on."""
    row.created_at, row.since_at = min(at, row.created_at + by), min(at, row.since_at + by)
    if row.running_at is not None:
        row.running_at = min(at, row.running_at + by)
