"""Arrays as people see them: what became of all jobs of one, and what is wanted of all of them at once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import FINAL_STATES, Desired, JobSpec, JobState
from scheduler.store import chain, deeds
from scheduler.store.refusals import ArrayHasEnded, ArrayNotFound
from scheduler.store.rows import legible
from scheduler.store.tables import SITE_USER, IntentRow, JobRow
from scheduler.store.upsert import sql_table
from scheduler.store.views import ArrayView
from scheduler.store.wishes import WISH, take_numbers
from scheduler.wire import loads

_FINAL = tuple(state.value for state in FINAL_STATES)


def get_array(session: Session, array_id: str) -> ArrayView:
    """One array, with its jobs by state. Raises `ArrayNotFound`."""
    theirs = col(JobRow.array_id) == array_id
    first = session.scalars(select(JobRow).where(theirs).order_by(col(JobRow.number)).limit(1)).first()
    if first is None:
        raise ArrayNotFound(array_id)
    counted = select(col(JobRow.state), func.count()).where(theirs).group_by(col(JobRow.state))
    with legible(f"job {first.id}"):
        place = loads(JobSpec, first.spec).array
    return ArrayView(
        id=array_id,
        name=first.name.rpartition("[")[0],
        owner=first.owner,
        count=place.count if place else 0,
        most=place.most if place else None,
        submitted_at=first.submitted_at,
        jobs={JobState(state): count for state, count in session.execute(counted)},
    )


def wish_of_all(
    session: Session, site: str, array_id: str, desired: Desired, *, at: datetime, by: str = SITE_USER
) -> None:
    """Note what `by` wants of every job of an array that has not ended and is not on its way out.

    Again is no change. Raises `ArrayNotFound`, and `ArrayHasEnded` where there is no such job and none that ended so.
    """
    take_numbers(session, site, 0)
    jobs = sql_table(JobRow)
    open_ones = (jobs.c.array_id == array_id, jobs.c.state.not_in(_FINAL))
    change = update(jobs).where(*open_ones, jobs.c.desired.not_in((desired.value, Desired.CANCEL.value)))
    connection = session.connection()
    taken = connection.execute(change.values(desired=desired.value).returning(jobs.c.id))
    changed = sorted(taken.scalars())
    if changed:
        intents = [{"kind": WISH, "job_id": job_id, "at": at} for job_id in changed]
        connection.execute(insert(sql_table(IntentRow)), intents)
        chain.note(session, *(deeds.wished(job_id, desired, by=by, at=at) for job_id in changed))
        return
    known = get_array(session, array_id)
    wanted = select(jobs.c.id).where(jobs.c.array_id == array_id, jobs.c.desired == desired.value)
    if desired is not Desired.CANCEL:
        wanted = wanted.where(jobs.c.state.not_in(_FINAL))
    if connection.execute(wanted.limit(1)).first() is None:
        raise ArrayHasEnded(known.id)
