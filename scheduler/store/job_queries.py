"""Reading jobs for people: one, a page of them, their attempts, checkpoints and events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import FINAL_STATES, WAITING_STATES, AttemptState, Desired, JobSpec, JobState
from scheduler.core.reasons import Reason
from scheduler.store.cursors import cursor_of, number_of
from scheduler.store.refusals import InvalidField, JobNotFound
from scheduler.store.rows import attempt_of, commit_of, legible, nodes_by_attempt, placements_of
from scheduler.store.tables import AttemptNodeRow, AttemptRow, CheckpointRow, EventRow, JobRow
from scheduler.store.views import AttemptView, CheckpointState, CheckpointView, EventView, JobPage, JobView
from scheduler.wire import loads

MAX_PAGE = 1000
"""Rows given at once, whatever is asked for."""

VIRTUAL_STATES: Mapping[str, frozenset[JobState]] = {
    "waiting": WAITING_STATES | {JobState.HELD},
    "active": frozenset(JobState) - WAITING_STATES - FINAL_STATES - {JobState.HELD},
    "finished": FINAL_STATES,
}
"""Names for several states at once; every state is in one of them."""
"""What a database can compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list. `state` is a job state or one of `VIRTUAL_STATES`, in any case."""

    state: str | None = None
    name: str | None = None
    project: str | None = None
    owner: str | None = None
    array: str | None = None


def get_job(session: Session, job_id: str) -> JobView:
    """One job. Raises `JobNotFound`."""
    return get_jobs(session, [job_id])[0]


def get_jobs(session: Session, job_ids: Sequence[str]) -> list[JobView]:
    """Several jobs, in the order asked for. Raises `JobNotFound`."""
    rows = {row.id: row for row in session.scalars(select(JobRow).where(col(JobRow.id).in_(job_ids)))}
    for job_id in job_ids:
        if job_id not in rows:
            raise JobNotFound(job_id)
    return _views(session, [rows[job_id] for job_id in job_ids])


def list_jobs(session: Session, which: JobFilter, *, limit: int, after: str | None) -> JobPage:
    """A page of jobs, newest first. `after` is the `next` of the page before. Raises `InvalidField`."""
    size = max(1, min(limit, MAX_PAGE))
    query = _filtered(which).order_by(col(JobRow.number).desc()).limit(size + 1)
    if after is not None:
        query = query.where(col(JobRow.number) < number_of(after))
    rows = list(session.scalars(query))
    more = len(rows) > size
    shown = rows[:size]
    return JobPage(jobs=tuple(_views(session, shown)), next=cursor_of(shown[-1].number) if more else None)


def job_attempts(session: Session, job_id: str) -> tuple[AttemptView, ...]:
    """All attempts of a job, by number. Raises `JobNotFound`."""
    _must_exist(session, job_id)
    theirs = select(AttemptRow).where(col(AttemptRow.job_id) == job_id).order_by(col(AttemptRow.number))
    rows = session.scalars(theirs).all()
    nodes = nodes_by_attempt(session, [row.id for row in rows])
    return tuple(AttemptView(attempt=attempt_of(r, nodes[r.id]), lost_steps=r.lost_steps) for r in rows)


def job_checkpoints(session: Session, job_id: str) -> tuple[CheckpointView, ...]:
    """All checkpoints of a job, oldest first. Raises `JobNotFound`."""
    _must_exist(session, job_id)
    theirs = select(CheckpointRow).where(col(CheckpointRow.job_id) == job_id).order_by(col(CheckpointRow.id))
    return tuple(_checkpoint(row) for row in session.scalars(theirs))


def job_events(session: Session, job_id: str | None, *, after: int, limit: int) -> tuple[EventView, ...]:
    """Events after number `after`, oldest first: of a job, or of the whole site. Raises `JobNotFound`."""
    later = _events_of(session, job_id).where(col(EventRow.seq) > after).order_by(col(EventRow.seq))
    return tuple(_event(row) for row in session.scalars(later.limit(max(1, min(limit, MAX_PAGE)))))


def recent_events(session: Session, job_id: str | None, *, limit: int) -> tuple[EventView, ...]:
    """The newest events, oldest of them first: of a job, or of the whole site. Raises `JobNotFound`."""
    newest = (
        _events_of(session, job_id).order_by(col(EventRow.seq).desc()).limit(max(1, min(limit, MAX_PAGE)))
    )
    return tuple(_event(row) for row in reversed(session.scalars(newest).all()))


def _must_exist(session: Session, job_id: str) -> None:
    if session.get(JobRow, job_id) is None:
        raise JobNotFound(job_id)


def _filtered(which: JobFilter) -> Select[JobRow]:
    query = select(JobRow)
    if which.state is not None:
        query = query.where(col(JobRow.state).in_([state.value for state in _states(which.state)]))
    if which.name is not None:
        query = query.where(col(JobRow.name) == which.name)
    if which.project is not None:
        query = query.where(col(JobRow.project) == which.project)
    if which.owner is not None:
        query = query.where(col(JobRow.owner) == which.owner)
    if which.array is not None:
        query = query.where(col(JobRow.array_id) == which.array)
    return query


def _states(name: str) -> frozenset[JobState]:
    if name.lower() in VIRTUAL_STATES:
        return VIRTUAL_STATES[name.lower()]
    if name.upper() in JobState.__members__:
        return frozenset({JobState[name.upper()]})
    raise InvalidField("state", name, f"use one of {', '.join([*VIRTUAL_STATES, *JobState.__members__])}")


def _views(session: Session, rows: Sequence[JobRow]) -> list[JobView]:
    current = _current_attempts(session, [row.id for row in rows])
    nodes = nodes_by_attempt(session, [attempt.id for attempt in current.values()])
    return [_view(row, current.get(row.id), nodes) for row in rows]


def _current_attempts(session: Session, job_ids: Sequence[str]) -> dict[str, AttemptRow]:
    """The attempt of each job that goes on."""
    going_on = select(AttemptRow).where(col(AttemptRow.state) != AttemptState.ENDED.value)
    theirs = going_on.where(col(AttemptRow.job_id).in_(job_ids)).order_by(col(AttemptRow.number))
    return {row.job_id: row for row in session.scalars(theirs)} if job_ids else {}


def _view(row: JobRow, attempt: AttemptRow | None, nodes: Mapping[str, Sequence[AttemptNodeRow]]) -> JobView:
    with legible(f"job {row.id}"):
        return JobView(
            id=row.id,
            number=row.number,
            owner=row.owner,
            state=JobState(row.state),
            desired=Desired(row.desired),
            reason=loads(Reason, row.reason) if row.reason else None,
            attempt=attempt.id if attempt else None,
            placements=placements_of(nodes[attempt.id]) if attempt else (),
            attempts=row.attempts,
            failures=row.failures,
            step=row.step,
            last_commit=commit_of(row.commit_path, row.commit_step),
            lost_steps=row.lost_steps,
            energy_wh=row.energy_wh,
            submitted_at=row.submitted_at,
            since_at=row.since_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            spec=loads(JobSpec, row.spec),
            request=json.loads(row.request),
        )


def _checkpoint(row: CheckpointRow) -> CheckpointView:
    return CheckpointView(
        step=row.step,
        path=row.path,
        attempt_id=row.attempt_id,
        state=CheckpointState.VERIFIED if row.damaged_at is None else CheckpointState.QUARANTINED,
        verified_at=row.verified_at,
        damaged_at=row.damaged_at,
        why=row.why,
    )


def _events_of(session: Session, job_id: str | None) -> Select[EventRow]:
    if job_id is None:
        return select(EventRow)
    _must_exist(session, job_id)
    return select(EventRow).where(col(EventRow.job_id) == job_id)


def _event(row: EventRow) -> EventView:
    return EventView(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        text=row.text,
        job_id=row.job_id,
        attempt_id=row.attempt_id,
        data=json.loads(row.data),
    )
