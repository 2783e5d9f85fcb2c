"""Reading the site for people: limits, documents, decisions, and how it did so far."""

from __future__ import annotations

import statistics
import zlib
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import JobState
from scheduler.records import PowerSample
from scheduler.store.energy import sample_of, total_energy
from scheduler.store.event_tables import PowerEventRow
from scheduler.store.tables import (
    CheckpointRow,
    CurrentRow,
    DecisionRow,
    JobRow,
    LeaderRow,
    ManualLimitRow,
    SampleRow,
)
from scheduler.store.upsert import sql_table
from scheduler.store.views import DecisionView, Document, LeaderView, LimitView, Summary


def limit_view(row: ManualLimitRow) -> LimitView:
    """A limit as people see it."""
    return LimitView(**row.model_dump())


_CURRENT = sql_table(CurrentRow)
_BY_KEY = select(_CURRENT).where(_CURRENT.c.key == bindparam("wanted"))


def current_document(session: Session, key: str) -> Document | None:
    """The newest document of that key; None before the leader wrote one."""
    row = session.connection().execute(_BY_KEY, {"wanted": key}).first()
    return Document(text=row.document, updated_at=row.updated_at) if row else None


def current_leader(session: Session) -> LeaderView:
    """Who leads; epoch 0 before anybody did."""
    row = session.scalars(select(LeaderRow)).one()
    return LeaderView(epoch=row.epoch, holder=row.holder, claimed_at=row.claimed_at, ticked_at=row.ticked_at)


def samples_since(session: Session, since: datetime) -> tuple[PowerSample, ...]:
    """Power samples from `since` on, oldest first. Seconds are kept for an hour."""
    later = select(SampleRow).where(col(SampleRow.at) >= since).order_by(col(SampleRow.at))
    return tuple(sample_of(row) for row in session.scalars(later))


def decisions_around(session: Session, at: datetime, *, before: int, after: int) -> tuple[DecisionView, ...]:
    """Recorded decisions, oldest first: the newest `before` up to and at `at`, and the next `after`."""
    column = col(DecisionRow.at)
    past = select(DecisionRow).where(column <= at).order_by(column.desc(), col(DecisionRow.id).desc())
    future = select(DecisionRow).where(column > at).order_by(column, col(DecisionRow.id))
    earlier = session.scalars(past.limit(before)).all()
    later = session.scalars(future.limit(after)).all()
    return tuple(_decision(row) for row in [*reversed(earlier), *later])


def newest_decision(session: Session, *, since: int) -> tuple[int, DecisionView] | None:
    """The newest decision that was recorded whole, with its number; None if none has a number above `since`."""
    number = col(DecisionRow.id)
    whole = col(DecisionRow.snapshot).is_not(None) & col(DecisionRow.decision).is_not(None)
    newer = select(DecisionRow).where(whole, number > since).order_by(number.desc()).limit(1)
    row = session.scalars(newer).first()
    return None if row is None or row.id is None else (row.id, _decision(row))


def summary(session: Session) -> Summary:
    """How the site did since its store was made."""
    times = select(
        col(PowerEventRow.began_at), col(PowerEventRow.complied_at), col(PowerEventRow.released_at)
    )
    falls = session.execute(times.where(col(PowerEventRow.draw_w) > col(PowerEventRow.limit_w))).all()
    seconds = sorted((done - began).total_seconds() for began, done, _ in falls if done is not None)
    energy = total_energy(session)
    damaged = session.scalar(select(func.count(col(CheckpointRow.damaged_at)))) or 0
    return Summary(
        withdrawals=len(falls),
        withdrawals_open=sum(done is None and released is None for _, done, released in falls),
        comply_p50_s=statistics.median(seconds) if seconds else None,
        comply_max_s=seconds[-1] if seconds else None,
        over_limit_s=energy.over_limit_s,
        steps_lost=int(session.scalar(select(func.sum(col(JobRow.lost_steps)))) or 0),
        checkpoints_verified=session.scalar(select(func.count(col(CheckpointRow.verified_at)))) or 0,
        checkpoints_quarantined=damaged,
        energy=energy,
        jobs=jobs_by_state(session),
    )


def jobs_by_state(session: Session) -> dict[JobState, int]:
    """How many jobs there are in each state that any is in."""
    counted = select(col(JobRow.state), func.count()).group_by(col(JobRow.state)).order_by(col(JobRow.state))
    return {JobState(state): count for state, count in session.execute(counted)}


def _decision(row: DecisionRow) -> DecisionView:
    return DecisionView(
        at=row.at,
        epoch=row.epoch,
        snapshot_json=_expanded(row.snapshot),
        decision_json=_expanded(row.decision),
    )


def _expanded(document: bytes | None) -> bytes | None:
    return None if document is None else zlib.decompress(document)
