"""Steps that a job had completed and has to do again. Derived from its attempts, kept in its row."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import AttemptState, Outcome
from scheduler.store.tables import AttemptRow, JobRow
from scheduler.store.upsert import sql_table

_NOTHING_TO_REDO = frozenset({Outcome.SUCCEEDED.value, Outcome.CANCELLED.value})


def settle_losses(session: Session, job_ids: Collection[str]) -> None:
    """Bring the lost steps of these jobs and of their attempts up to date."""
    commits = _commits(session, job_ids)
    attempts: dict[str, list[AttemptRow]] = {job_id: [] for job_id in commits}
    theirs = select(AttemptRow).where(col(AttemptRow.job_id).in_(list(commits)))
    for row in session.scalars(theirs.order_by(col(AttemptRow.number))):
        attempts[row.job_id].append(row)
    lost = {job_id: lost_steps(rows, committed_step=commits[job_id]) for job_id, rows in attempts.items()}
    _write(
        session,
        AttemptRow,
        [(a.id, n) for j, rows in attempts.items() for a, n in zip(rows, lost[j], strict=True)],
    )
    _write(session, JobRow, [(job_id, sum(steps)) for job_id, steps in lost.items()])


def lost_steps(attempts: Sequence[AttemptRow], *, committed_step: int | None) -> list[int]:
    """For each attempt of a job, by number: the steps it completed that the next one has to do again.

    Where no later attempt has started yet, the newest verified commit says where it will. An attempt that goes on,
    succeeded or was cancelled loses nothing.
    """
    return [_lost(a, attempts[i + 1 :], committed_step) for i, a in enumerate(attempts)]


def _lost(attempt: AttemptRow, later: Sequence[AttemptRow], committed_step: int | None) -> int:
    over = attempt.state == AttemptState.ENDED.value
    if not over or attempt.outcome in _NOTHING_TO_REDO or attempt.last_step is None:
        return 0
    kept = committed_step or attempt.resumed_step or 0
    resumed = next((a.resumed_step for a in later if a.resumed_step is not None), kept)
    return max(0, attempt.last_step - resumed)


def _commits(session: Session, job_ids: Collection[str]) -> dict[str, int | None]:
    of_jobs = select(col(JobRow.id), col(JobRow.commit_step)).where(col(JobRow.id).in_(list(job_ids)))
    return {row[0]: row[1] for row in session.execute(of_jobs)}


def _write(session: Session, table: type[AttemptRow | JobRow], lost: list[tuple[str, int]]) -> None:
    target = sql_table(table)
    changed = update(target).where(target.c.id == bindparam("row"), target.c.lost_steps != bindparam("lost"))
    if lost:
        values = [{"row": row_id, "lost": steps} for row_id, steps in lost]
        session.connection().execute(changed.values(lost_steps=bindparam("lost")), values)
