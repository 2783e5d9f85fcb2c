"""What people write: new jobs, wishes for old ones, limits by hand. Each leaves an intent for the leader to pick up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Executable, Select, bindparam, insert, or_, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import Desired, Job, JobSpec, JobState
from scheduler.core.lifecycle import is_final
from scheduler.store import chain, deeds, outbox
from scheduler.store.refusals import InvalidField, JobIsFinal, JobNotFound, LimitNotFound
from scheduler.store.rows import job_values
from scheduler.store.tables import SITE_USER, IntentRow, JobRow, ManualLimitRow, SiteRow
from scheduler.store.upsert import insert_for, sql_table
from scheduler.store.views import JobView, NewJob
from scheduler.wire import dumps

JOB, WISH, LIMITS, MEMBERS, STOPS, ANSWERS = "job", "wish", "limits", "members", "stops", "answers"
MACHINES = "machines"
"""Kinds of intents: a job was submitted; somebody wants something of a job; limits, or stops, were set or released;
nodes joined or left; somebody answered a dispatch instruction; somebody wants something of machines that mine.
"""

_MAX_LIMIT_W = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLimit:
    """A limit that a person sets. `for_s` None = until it is released."""

    limit_w: float
    reason: str
    by: str
    for_s: float | None = None


def submit(session: Session, site: str, new: Sequence[NewJob], *, at: datetime) -> list[JobView]:
    """Add all of the jobs or none. Returns them, in order. Raises `InvalidField`, and whatever `build` raises."""
    first = take_numbers(session, site, len(new))
    jobs = [_pending(_id_of(site, n, job), n, job, at) for n, job in enumerate(new, start=first)]
    _check_dependencies(session, [job.spec for job in jobs])
    rows = [
        job_values(job, request=dumps(n.request).decode(), owner=n.owner)
        for job, n in zip(jobs, new, strict=True)
    ]
    if rows:
        connection = session.connection()
        connection.execute(insert(sql_table(JobRow)), rows)
        outbox.add_targets(session, {job.id: n.notify for job, n in zip(jobs, new, strict=True)})
        intents = [{"kind": JOB, "job_id": job.id, "at": at} for job in jobs]
        connection.execute(insert(sql_table(IntentRow)), intents)
    return [_new_view(job, n) for job, n in zip(jobs, new, strict=True)]


def _new_view(job: Job, new: NewJob) -> JobView:
    """The job as it is shown before anybody looked at it."""
    return JobView(
        id=job.id,
        number=job.number,
        state=job.state,
        desired=job.desired,
        reason=None,
        attempt=None,
        placements=(),
        attempts=0,
        failures=0,
        step=None,
        last_commit=None,
        lost_steps=0,
        energy_wh=None,
        submitted_at=job.submitted_at,
        since_at=job.since_at,
        started_at=None,
        ended_at=None,
        spec=job.spec,
        request=new.request,
        owner=new.owner,
    )


def set_desired(
    session: Session, site: str, job_id: str, desired: Desired, *, at: datetime, by: str = SITE_USER
) -> None:
    """Note what `by` wants of a job. Again is no change. Raises `JobNotFound`, `JobIsFinal`.

    To cancel what was cancelled is no change either, but a job on its way out is not called back.
    """
    take_numbers(session, site, 0)
    row = session.get(JobRow, job_id)
    if row is None:
        raise JobNotFound(job_id)
    if row.desired == desired.value and (desired is Desired.CANCEL or not is_final(JobState(row.state))):
        return
    if is_final(JobState(row.state)):
        raise JobIsFinal(job_id, JobState(row.state))
    if row.desired == Desired.CANCEL.value:
        raise JobIsFinal(job_id, JobState.CANCELLING)
    row.desired = desired.value
    session.add(IntentRow(kind=WISH, job_id=job_id, at=at))
    chain.note(session, deeds.wished(job_id, desired, by=by, at=at))


def add_limit(session: Session, site: str, new: NewLimit, *, at: datetime) -> ManualLimitRow:
    """Set a limit by hand. Raises `InvalidField`."""
    _check_limit(new)
    take_numbers(session, site, 0)
    ends_at = None if new.for_s is None else at + timedelta(seconds=new.for_s)
    row = ManualLimitRow(limit_w=new.limit_w, reason=new.reason, by=new.by, created_at=at, ends_at=ends_at)
    session.add_all([row, IntentRow(kind=LIMITS, at=at)])
    session.flush()
    deed = deeds.limited(new.limit_w, limit_id=row.id, for_s=new.for_s, by=new.by, reason=new.reason, at=at)
    chain.note(session, deed)
    return row


def release_limits(
    session: Session, site: str, *, by: str, reason: str, at: datetime, limit_id: int | None = None
) -> list[ManualLimitRow]:
    """End one standing limit, or all of them. Returns those that it ended. Raises `LimitNotFound`."""
    take_numbers(session, site, 0)
    if limit_id is not None and session.get(ManualLimitRow, limit_id) is None:
        raise LimitNotFound(limit_id)
    rows = [row for row in session.scalars(standing_limits(at)) if limit_id in (None, row.id)]
    for row in rows:
        row.released_at, row.released_by, row.release_reason = at, by, reason
    if rows:
        session.add(IntentRow(kind=LIMITS, at=at))
        released = {str(row.id): row.limit_w for row in rows}
        chain.note(session, deeds.released(released, by=by, reason=reason, at=at))
    return rows


def standing_limits(at: datetime) -> Select[ManualLimitRow]:
    """Limits in force at `at`, oldest first."""
    lasts = or_(col(ManualLimitRow.ends_at).is_(None), col(ManualLimitRow.ends_at) > at)
    unreleased = select(ManualLimitRow).where(col(ManualLimitRow.released_at).is_(None))
    return unreleased.where(lasts).order_by(col(ManualLimitRow.id))


def take_numbers(session: Session, site: str, count: int) -> int:
    """The first of `count` new job numbers. Holds the site's row until the commit, so that intents commit in order."""
    numbers = {"site": site, "first": 1 + count, "count": count}
    statement = _taking(session.get_bind().dialect.name)
    return int(session.connection().execute(statement, numbers).scalar_one()) - count


@cache  # asked by every request that submits
def _taking(dialect: str) -> Executable:
    site = sql_table(SiteRow)
    statement = insert_for(dialect, SiteRow).values(name=bindparam("site"), next_number=bindparam("first"))
    taken = statement.on_conflict_do_update(
        index_elements=["name"], set_={"next_number": site.c.next_number + bindparam("count")}
    )
    return taken.returning(site.c.next_number)


def _pending(job_id: str, number: int, new: NewJob, at: datetime) -> Job:
    spec = new.build(job_id)
    return Job(id=job_id, number=number, spec=spec, submitted_at=at, state=JobState.PENDING, since_at=at)


def _id_of(site: str, number: int, new: NewJob) -> str:
    return f"{site}-{number}" if new.index is None else f"{site}-{number - new.before}_{new.index}"


def _check_dependencies(session: Session, specs: Sequence[JobSpec]) -> None:
    wanted = {job_id for spec in specs for job_id in spec.dependencies}
    known = (
        set(session.scalars(select(col(JobRow.id)).where(col(JobRow.id).in_(wanted)))) if wanted else set()
    )
    if wanted - known:
        array_id = col(JobRow.array_id)
        known |= set(session.scalars(select(array_id).where(array_id.in_(wanted - known)).distinct()))
    for job_id in sorted(wanted - known):
        raise InvalidField("dependencies", job_id, "name a job that was submitted before")


def _check_limit(new: NewLimit) -> None:
    if not (math.isfinite(new.limit_w) and 0 <= new.limit_w <= _MAX_LIMIT_W):
        raise InvalidField("limit_w", new.limit_w, "give watts, 0 or more")
    if not new.reason.strip():
        raise InvalidField("reason", new.reason, "say why, for those who will wonder")
    if new.for_s is not None and not (math.isfinite(new.for_s) and new.for_s > 0):
        raise InvalidField("for_s", new.for_s, "give seconds, more than 0, or leave it out")
