"""Checkpoints as they were verified, and as they were found damaged. Notes may come again after a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.reasons import Event
from scheduler.records import QUARANTINED, CheckpointNote
from scheduler.store.tables import CheckpointRow


def record_checkpoints(session: Session, notes: Sequence[CheckpointNote]) -> frozenset[tuple[str, str]]:
    """Add what is new; mark what is damaged. Of the damage that was on record already: its job, and what it is."""
    if not notes:
        return frozenset()
    known, again = _known(session, notes), set()
    for note in notes:
        rows = known.setdefault((note.job_id, note.step), [])
        if note.damaged and any(row.why == note.damaged for row in rows):
            again.add((note.job_id, note.damaged))
        new = _damage(rows, note) if note.damaged else _verified(rows, note)
        if new is not None:
            rows.append(new)
            session.add(new)
    session.flush()
    return frozenset(again)


def without_known(events: Iterable[Event], again: Collection[tuple[str, str]]) -> list[Event]:
    """What the log is to be told: each damage once, however often a scheduler began anew and heard of it."""
    return [e for e in events if e.kind != QUARANTINED or (e.job_id, e.data.get("what")) not in again]


def _known(session: Session, notes: Sequence[CheckpointNote]) -> dict[tuple[str, int], list[CheckpointRow]]:
    """The rows of the same jobs and steps, oldest first."""
    theirs = (
        select(CheckpointRow)
        .where(col(CheckpointRow.job_id).in_({note.job_id for note in notes}))
        .where(col(CheckpointRow.step).in_({note.step for note in notes}))
        .order_by(col(CheckpointRow.id))
    )
    known: dict[tuple[str, int], list[CheckpointRow]] = {}
    for row in session.scalars(theirs):
        known.setdefault((row.job_id, row.step), []).append(row)
    return known


def _verified(rows: Iterable[CheckpointRow], note: CheckpointNote) -> CheckpointRow | None:
    """A new row, unless it is known: told again, or found good by the attempt that resumed from it."""
    for row in rows:
        same = row.path == note.path
        if same and (row.attempt_id == note.attempt_id or row.damaged_at is None):
            return None
    return _row(note, verified=True)


def _damage(rows: list[CheckpointRow], note: CheckpointNote) -> CheckpointRow | None:
    """Marks the newest sound checkpoint of that step. A new row only for one that was never seen sound."""
    if any(row.why == note.damaged for row in rows):
        return None
    for row in reversed(rows):
        if row.damaged_at is None:
            row.damaged_at, row.why = note.at, note.damaged
            return None
    return _row(note, verified=False)


def _row(note: CheckpointNote, *, verified: bool) -> CheckpointRow:
    return CheckpointRow(
        job_id=note.job_id,
        attempt_id=note.attempt_id,
        step=note.step,
        path=note.path,
        verified_at=note.at if verified else None,
        damaged_at=None if verified else note.at,
        why=note.damaged,
    )
