"""One tick of the loop, written as one transaction. The caller opens and commits it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.jobs import FINAL_STATES, WAITING_STATES, Attempt, AttemptState, JobState
from scheduler.errors import StaleEpoch
from scheduler.records import TickRecord
from scheduler.store import chain, instructions, outbox, power_events, stops
from scheduler.store.checkpoints import record_checkpoints, without_known
from scheduler.store.energy import forget_old_samples, record_sample
from scheduler.store.losses import settle_losses
from scheduler.store.open_orders import record_orders
from scheduler.store.rows import attempt_nodes, attempt_values, job_changes, job_values
from scheduler.store.settlement import record_intervals
from scheduler.store.tables import (
    AttemptNodeRow,
    AttemptRow,
    CurrentRow,
    DecisionRow,
    IntentRow,
    JobRow,
    LeaderRow,
    ManualLimitRow,
)
from scheduler.store.upsert import sql_table, upsert
from scheduler.wire import dumps

DECISIONS_KEPT = timedelta(hours=24)
MOST_DECISIONS = 20_000
"""However many there are in a day: some 30 KB each, packed, for 64 nodes and 256 jobs."""
USED = "used"
"""The key of what projects used, among the documents that the leader keeps."""
INTENTS_KEPT = timedelta(hours=24)
_STILL = WAITING_STATES | FINAL_STATES | {JobState.HELD}
_QUICKLY = 1  # zlib: a snapshot shrinks tenfold at the lowest level already


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A tick with what can be prepared before the transaction begins."""

    tick: TickRecord
    digest: str
    snapshot: bytes | None
    decision: bytes | None


@dataclass(slots=True, kw_only=True)
class Seen:
    """Attempts of which this process wrote something that does not change, to save itself the second time."""

    placed: set[str] = field(default_factory=set)  #: nodes and GPUs
    resumed: set[str] = field(default_factory=set)  #: the step it started from

    def note(self, attempts: Collection[Attempt]) -> None:
        """Remember what was written; forget what has ended. Call it after the commit."""
        self.placed |= {a.id for a in attempts}
        self.resumed |= {a.id for a in attempts if a.resumed_step is not None}
        over = {a.id for a in attempts if a.state is AttemptState.ENDED}
        self.placed -= over
        self.resumed -= over


def pack(tick: TickRecord) -> Packed:
    """Compress the documents and take the digest by which a repeated tick is known."""
    rest = dumps(replace(tick, snapshot_json=None, decision_json=None))
    return Packed(
        tick=tick,
        digest=hashlib.blake2b(rest, digest_size=16).hexdigest(),
        snapshot=_compressed(tick.snapshot_json),
        decision=_compressed(tick.decision_json),
    )


def write_tick(session: Session, packed: Packed, seen: Seen) -> None:
    """Write all of a tick; nothing if it is the newest one already. Raises `StaleEpoch`."""
    tick = packed.tick
    if not _take_turn(session, packed):
        return
    before = outbox.told_of(session, tick.jobs)
    _write_jobs(session, tick)
    _write_attempts(session, tick.attempts, seen)
    outbox.note_changes(session, tick, before)
    settle_losses(session, _unsettled(tick, seen))
    stops.learn(session, tick.stops)
    instructions.record(session, tick.instructions)
    events = without_known(tick.events, record_checkpoints(session, tick.checkpoints))
    logged = chain.append(session, (*events, *record_intervals(session, tick.intervals)))
    power_events.record_plans(session, tick.counterfactuals, logged)
    power_events.record_events(session, tick.power_events)
    record_orders(session, tick.orders, at=tick.at)
    _write_site(session, packed)


def forget_old(session: Session, tick: TickRecord) -> None:
    """Drop what is kept for a while only; close limits whose time is up. Enough once a minute."""
    forget_old_samples(session, at=tick.at)
    outbox.forget_told(session, at=tick.at)
    over = col(ManualLimitRow.ends_at) <= tick.at
    unreleased = update(ManualLimitRow).where(over, col(ManualLimitRow.released_at).is_(None))
    session.execute(unreleased.values(released_at=ManualLimitRow.ends_at, release_reason="its time was up"))
    newest = session.scalar(select(func.max(col(DecisionRow.id)))) or 0
    too_many = col(DecisionRow.id) <= newest - MOST_DECISIONS
    session.execute(delete(DecisionRow).where((col(DecisionRow.at) < tick.at - DECISIONS_KEPT) | too_many))
    session.execute(delete(IntentRow).where(col(IntentRow.at) < tick.at - INTENTS_KEPT))


def _take_turn(session: Session, packed: Packed) -> bool:
    """Hold the leader's row until the commit. False: this very tick is written. Raises `StaleEpoch`."""
    tick = packed.tick
    leader = session.scalars(select(LeaderRow).with_for_update()).one()
    if leader.epoch != tick.epoch:
        raise StaleEpoch(
            f"epoch {tick.epoch} is over: {leader.holder!r} leads with epoch {leader.epoch}; this leader must stop"
        )
    if (leader.ticked_at, leader.tick_digest) == (tick.at, packed.digest):
        return False
    leader.ticked_at, leader.tick_digest = tick.at, packed.digest
    leader.last_cut_at = tick.last_cut_at or leader.last_cut_at
    if tick.owed is not None:
        leader.owed = dumps(tick.owed).decode()
    session.flush()
    return True


def _write_jobs(session: Session, tick: TickRecord) -> None:
    """Jobs are made by people's side; one that is not there yet (a simulated one) is added."""
    of_tick = select(col(JobRow.id)).where(col(JobRow.id).in_([job.id for job in tick.jobs]))
    there = set(session.scalars(of_tick)) if tick.jobs else set()
    new = [job_values(job) for job in tick.jobs if job.id not in there]
    if new:
        session.execute(insert(JobRow), new)
    changed = [job_changes(job) for job in tick.jobs if job.id in there]
    if changed:
        session.execute(update(JobRow), changed)
    reasons = [{"id": j, "reason": dumps(r).decode() if r else None} for j, r in tick.reasons.items()]
    if reasons:
        session.execute(update(JobRow), reasons)


def _write_attempts(session: Session, attempts: Collection[Attempt], seen: Seen) -> None:
    upsert(session, AttemptRow, [attempt_values(a) for a in attempts], keep={"lost_steps"})
    nodes = [node for a in attempts if a.id not in seen.placed for node in attempt_nodes(a)]
    upsert(session, AttemptNodeRow, nodes, keep={"node_id", "gpu_ids"})
    jobs = sql_table(JobRow)
    progress = (
        update(jobs)
        .where(jobs.c.id == bindparam("job"))
        .values(
            step=func.coalesce(bindparam("reached"), jobs.c.step),
            started_at=func.coalesce(jobs.c.started_at, bindparam("running")),
        )
    )
    if attempts:
        session.connection().execute(
            progress, [_progress(a) for a in sorted(attempts, key=lambda a: a.number)]
        )


def _progress(attempt: Attempt) -> dict[str, object]:
    reached = attempt.last_step if attempt.last_step is not None else attempt.resumed_step
    return {"job": attempt.job_id, "reached": reached, "running": attempt.running_at}


def _unsettled(tick: TickRecord, seen: Seen) -> set[str]:
    """Jobs whose lost steps may have changed: an attempt ended, one showed where it began, a job lies still."""
    moved = {a.job_id for a in tick.attempts if _may_lose(a, seen)}
    return moved | {job.id for job in tick.jobs if job.attempts and job.state in _STILL}


def _may_lose(attempt: Attempt, seen: Seen) -> bool:
    ended = attempt.state is AttemptState.ENDED
    return ended or (attempt.resumed_step is not None and attempt.id not in seen.resumed)


def _write_site(session: Session, packed: Packed) -> None:
    tick = packed.tick
    current = dict(tick.current)
    if tick.used is not None:
        current[USED] = dumps(tick.used).decode()
    documents = [{"key": k, "document": d, "updated_at": tick.at} for k, d in sorted(current.items())]
    upsert(session, CurrentRow, documents)
    if tick.sample is not None:
        record_sample(session, tick.sample)
    if packed.snapshot is not None or packed.decision is not None:
        session.add(
            DecisionRow(at=tick.at, epoch=tick.epoch, snapshot=packed.snapshot, decision=packed.decision)
        )


def _compressed(document: bytes | None) -> bytes | None:
    return None if document is None else zlib.compress(document, _QUICKLY)
