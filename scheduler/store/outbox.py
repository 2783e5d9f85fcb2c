"""The outbox of webhooks: what to tell is written in the transaction of the tick that made it so, and told later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import FINAL_STATES, Job, JobState
from scheduler.records import Delivery, TickRecord, Told
from scheduler.store.database import reading, writing
from scheduler.store.tables import JobRow, NotificationRow, NotifyTargetRow
from scheduler.store.views import NotificationView, NotifyTarget

PAUSE, RESUME, END = "pause", "resume", "end"
KEPT = timedelta(days=7)
_AT_WORK = frozenset({JobState.STARTING, JobState.RUNNING})
_STOPPED = frozenset({JobState.SUSPENDED, JobState.PREEMPTING, JobState.PAUSED, JobState.HELD})

Before = Mapping[str, tuple[JobState, NotifyTargetRow]]


def add_targets(session: Session, targets: Mapping[str, NotifyTarget | None]) -> None:
    """Note whom to tell of new jobs."""
    session.flush()
    for job_id, target in targets.items():
        if target is not None:
            events = json.dumps(sorted(set(target.events)))
            row = NotifyTargetRow(job_id=job_id, url=target.url, events=events, secret=target.secret)
            session.add(row)


# -- with the tick ---------------------------------------------------------------------------------------------------


def told_of(session: Session, jobs: Sequence[Job]) -> Before:
    """Of these jobs those that somebody wants to hear of, in their states as stored so far."""
    if not jobs:
        return {}
    theirs = (
        select(col(JobRow.state), NotifyTargetRow)
        .join(NotifyTargetRow, col(NotifyTargetRow.job_id) == col(JobRow.id))
        .where(col(JobRow.id).in_([job.id for job in jobs]))
    )
    return {target.job_id: (JobState(state), target) for state, target in session.execute(theirs)}


def note_changes(session: Session, tick: TickRecord, before: Before) -> None:
    """Put what the tick changed into the outbox. The jobs' rows are those after it."""
    for job in tick.jobs:
        if job.id not in before:
            continue
        was, target = before[job.id]
        event = _event(was, job.state, is_paused=target.is_paused)
        if event is None:
            continue
        target.is_paused = event == PAUSE
        if event in json.loads(target.events):
            session.add(_notification(session, job, event, tick.at))
    session.flush()


def _event(was: JobState, now: JobState, *, is_paused: bool) -> str | None:
    """What a change means to who waits for the job: one pause, however many steps it takes, and one resume."""
    if now in FINAL_STATES:
        return None if was in FINAL_STATES else END
    if now in _STOPPED and was in _AT_WORK:
        return None if is_paused else PAUSE
    return RESUME if now is JobState.RUNNING and is_paused else None


def _notification(session: Session, job: Job, event: str, at: datetime) -> NotificationRow:
    row = session.get_one(JobRow, job.id, populate_existing=True)
    reason = json.loads(row.reason) if row.reason else None
    delivery_id = uuid4().hex
    body = {
        "delivery": delivery_id,
        "event": event,
        "at": at.isoformat(),
        "job_id": job.id,
        "name": row.name,
        "project": row.project,
        "state": job.state.value,
        "reason": {"code": reason["code"], "text": reason["text"]} if reason else None,
        "step": row.step,
        "attempt": job.attempts,
    }
    return NotificationRow(
        id=delivery_id, job_id=job.id, event=event, body=json.dumps(body), created_at=at, next_at=at
    )


def forget_told(session: Session, *, at: datetime) -> None:
    """Drop what was settled long ago, and the secrets of jobs of which there is nothing more to tell."""
    settled = col(NotificationRow.next_at).is_(None)
    session.execute(delete(NotificationRow).where(settled, col(NotificationRow.created_at) < at - KEPT))
    over = select(col(JobRow.id)).where(col(JobRow.state).in_([s.value for s in FINAL_STATES]))
    waiting = select(col(NotificationRow.job_id)).where(col(NotificationRow.next_at).is_not(None))
    job_id = col(NotifyTargetRow.job_id)
    session.execute(delete(NotifyTargetRow).where(job_id.in_(over), job_id.not_in(waiting)))


# -- afterwards ------------------------------------------------------------------------------------------------------


def job_notifications(session: Session, job_id: str) -> tuple[NotificationView, ...]:
    """What a job's webhook was told or is to be told, oldest first."""
    theirs = select(NotificationRow).where(col(NotificationRow.job_id) == job_id)
    rows = session.scalars(theirs.order_by(col(NotificationRow.created_at), col(NotificationRow.id)))
    return tuple(NotificationView(**row.model_dump(exclude={"job_id", "body"})) for row in rows)


class SqlOutbox:
    """The `Outbox` port on the database, in a thread of its own, so that nobody waits for a disk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")

    async def due(self, at: datetime, *, most: int, without: Sequence[str] = ()) -> Sequence[Delivery]:
        """What is to be tried now, oldest first, but for the ids in `without`. Raises `StoreError`."""
        step = partial(self._due, at, most, without)
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    async def settle(self, delivery_id: str, told: Told) -> None:
        """Note what became of a try. Raises `StoreError`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._settle, delivery_id, told)

    def close(self) -> None:
        """Finish what is being read or written."""
        self._thread.shutdown(wait=True)

    def _due(self, at: datetime, most: int, without: Sequence[str]) -> list[Delivery]:
        ready = (
            select(NotificationRow, NotifyTargetRow)
            .join(NotifyTargetRow, col(NotifyTargetRow.job_id) == col(NotificationRow.job_id))
            .where(col(NotificationRow.next_at) <= at, col(NotificationRow.id).not_in(without))
            .order_by(col(NotificationRow.next_at), col(NotificationRow.id))
            .limit(most)
        )
        with reading(self._engine) as session:
            return [_delivery(row, target) for row, target in session.execute(ready)]

    def _settle(self, delivery_id: str, told: Told) -> None:
        values: dict[str, Any] = {
            "tries": col(NotificationRow.tries) + 1,
            "next_at": told.next_at,
            "status": told.status,
            "error": told.error,
            "delivered_at": told.at if told.is_delivered else None,
        }
        with writing(self._engine) as session:
            session.execute(
                update(NotificationRow).where(col(NotificationRow.id) == delivery_id).values(values)
            )


def _delivery(row: NotificationRow, target: NotifyTargetRow) -> Delivery:
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        event=row.event,
        url=target.url,
        secret=target.secret,
        body=row.body,
        created_at=row.created_at,
        tries=row.tries,
    )
