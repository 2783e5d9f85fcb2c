"""What a leader reads: everything when it begins, and what people did since."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.arrays import worse
from scheduler.core.credit import Owed
from scheduler.core.envelope import Envelope
from scheduler.core.faults import Faulted
from scheduler.core.forecast import LimitRecord
from scheduler.core.interval import Running
from scheduler.core.jobs import FINAL_STATES, Attempt, AttemptState, Desired, Job, JobState
from scheduler.core.projects import Used
from scheduler.core.settlement import Measured
from scheduler.core.trim import Trimmed
from scheduler.records import FAULTED, LIMIT_RECORD, LIMITS_TOLD, MEASURED, SETTLING, TRIM, Intents, Stored
from scheduler.store import instructions, machine_wishes, power_events, stops
from scheduler.store.members import read_members
from scheduler.store.open_orders import read_open_orders
from scheduler.store.rows import attempt_of, job_of, limit_envelope, nodes_by_attempt
from scheduler.store.settlement_days import hours_of
from scheduler.store.site_queries import current_document
from scheduler.store.tables import AttemptRow, IntentRow, JobRow, LeaderRow, ManualLimitRow
from scheduler.store.ticks import USED
from scheduler.store.wishes import ANSWERS, JOB, LIMITS, MACHINES, MEMBERS, STOPS, WISH
from scheduler.wire import WireError, loads

log = logging.getLogger(__name__)

_FINAL = tuple(state.value for state in FINAL_STATES)


def read_stored(session: Session, *, reaction_s: float) -> Stored:
    """Everything a new leader starts from, as one consistent view."""
    jobs, settling = _open_jobs(session), _settling(session)
    leader = session.scalars(select(LeaderRow)).one()
    return Stored(
        jobs=jobs,
        attempts=_open_attempts(session),
        settled=_settled(session, jobs),
        open_orders=read_open_orders(session),
        limits=_limits(session, reaction_s),
        last_cut_at=leader.last_cut_at,
        owed=loads(Owed, leader.owed) if leader.owed else None,
        seq=session.scalar(select(func.max(col(IntentRow.seq)))) or 0,
        members=read_members(session),
        stops=stops.standing(session),
        released_stops=stops.released_ids(session),
        used=_used(session),
        record=_limit_record(session),
        told=_limits_told(session),
        instructions=instructions.standing(session),
        last_instruction=instructions.last_number(session),
        trim=_trim(session),
        power_events=power_events.open_events(session),
        miner_wishes=machine_wishes.by_group(session),
        settling=settling,
        measured=_measured(session),
        hours=hours_of(session, settling.starts_at if settling is not None else None),
        faulted=_faulted(session),
    )


def _used(session: Session) -> Used | None:
    """What projects used, as last recorded. A site goes on without it: all then begin alike."""
    document = current_document(session, USED)
    try:
        return None if document is None else loads(Used, document.text)
    except WireError as error:
        log.warning("what projects used before is not counted: %s", error)
        return None


def _limit_record(session: Session) -> LimitRecord | None:
    """What was seen of the limit; of another version of Barq it is of no use, and is begun anew."""
    document = current_document(session, LIMIT_RECORD)
    try:
        return None if document is None else loads(LimitRecord, document.text)
    except WireError as error:
        log.warning("the record of the limit cannot be read and begins anew: %s", error)
        return None


def _trim(session: Session) -> Trimmed | None:
    """What the meter taught of the model's error; of another version of Barq it is of no use, and is learned anew."""
    document = current_document(session, TRIM)
    try:
        return None if document is None else loads(Trimmed, document.text)
    except WireError as error:
        log.warning("what the meter taught before is not counted: %s", error)
        return None


def _faulted(session: Session) -> Mapping[str, Faulted]:
    """On which nodes starts failed of late. A site goes on without it: each then counts as well."""
    document = current_document(session, FAULTED)
    try:
        return {} if document is None else loads(dict[str, Faulted], document.text)
    except WireError as error:
        log.warning("on which nodes starts failed cannot be read and is learned anew: %s", error)
        return {}


def _settling(session: Session) -> Running | None:
    """The interval of settlement that was not over. Of another version of Barq it is lost, and its log says so."""
    document = current_document(session, SETTLING)
    try:
        return None if document is None else loads(Running, document.text)
    except WireError as error:
        log.warning("the running interval of settlement cannot be read and begins anew: %s", error)
        return None


def _measured(session: Session) -> tuple[Measured, ...]:
    """Intervals of settlement that waited for their prices. Of another version they are lost, and the log says so."""
    document = current_document(session, MEASURED)
    try:
        return () if document is None else loads(tuple[Measured, ...], document.text)
    except WireError as error:
        log.warning("intervals of settlement without a price cannot be read and are not settled: %s", error)
        return ()


def _limits_told(session: Session) -> tuple[Envelope, ...]:
    """What each source told last. Of another version of Barq it is of no use: each counts as not heard yet."""
    document = current_document(session, LIMITS_TOLD)
    try:
        return () if document is None else loads(tuple[Envelope, ...], document.text)
    except WireError as error:
        log.warning("what sources of the limit told last cannot be read: %s", error)
        return ()


def read_intents(session: Session, after: int, *, reaction_s: float) -> Intents:
    """What people did after sequence number `after`."""
    later = select(IntentRow).where(col(IntentRow.seq) > after).order_by(col(IntentRow.seq))
    news = session.scalars(later).all()
    if not news:
        return Intents(seq=after)
    jobs = _open_jobs(session, only=_about(news, JOB))
    stopped = any(row.kind == STOPS for row in news)
    return Intents(
        seq=max(row.seq or 0 for row in news),
        jobs=jobs,
        desired=_desired(session, _about(news, WISH)),
        limits=_limits(session, reaction_s) if any(row.kind == LIMITS for row in news) else None,
        settled=_settled(session, jobs),
        members=read_members(session) if any(row.kind == MEMBERS for row in news) else None,
        stops=stops.standing(session) if stopped else None,
        released_stops=stops.released_ids(session) if stopped else frozenset(),
        answers=instructions.answers(session) if any(row.kind == ANSWERS for row in news) else {},
        miner_wishes=machine_wishes.by_group(session) if any(row.kind == MACHINES for row in news) else None,
    )


def _about(news: Iterable[IntentRow], kind: str) -> set[str]:
    return {row.job_id for row in news if row.kind == kind and row.job_id is not None}


def _open_jobs(session: Session, *, only: set[str] | None = None) -> tuple[Job, ...]:
    """Jobs that are not final, in order of submission."""
    rows = select(JobRow).where(col(JobRow.state).not_in(_FINAL)).order_by(col(JobRow.number))
    if only is not None:
        rows = rows.where(col(JobRow.id).in_(only))
    return tuple(job_of(row) for row in session.scalars(rows)) if only is None or only else ()


def _open_attempts(session: Session) -> tuple[Attempt, ...]:
    """Attempts that have not ended, by job and number."""
    not_ended = select(AttemptRow).where(col(AttemptRow.state) != AttemptState.ENDED.value)
    rows = session.scalars(not_ended.order_by(col(AttemptRow.job_id), col(AttemptRow.number))).all()
    nodes = nodes_by_attempt(session, [row.id for row in rows])
    return tuple(attempt_of(row, nodes[row.id]) for row in rows)


def _settled(session: Session, jobs: Sequence[Job]) -> dict[str, JobState]:
    """Final states among the jobs that these depend on; of an array, how those of it ended that have."""
    needed = {job_id for job in jobs for job_id in job.spec.dependencies}
    if not needed:
        return {}
    final = select(col(JobRow.id), col(JobRow.state)).where(col(JobRow.id).in_(needed))
    found = {job_id: JobState(state) for job_id, state in session.execute(final) if state in _FINAL}
    array_id, state = col(JobRow.array_id), col(JobRow.state)
    parts = select(array_id, state).where(array_id.in_(needed), state.in_(_FINAL)).distinct()
    for array, ended in session.execute(parts):
        found[str(array)] = worse(found.get(str(array), JobState.SUCCEEDED), JobState(ended))
    return found


def _desired(session: Session, job_ids: set[str]) -> dict[str, Desired]:
    """What people want now; where they changed their minds meanwhile, the last word."""
    if not job_ids:
        return {}
    wishes = select(col(JobRow.id), col(JobRow.desired)).where(col(JobRow.id).in_(job_ids))
    return {job_id: Desired(desired) for job_id, desired in session.execute(wishes)}


def _limits(session: Session, reaction_s: float) -> tuple[Envelope, ...]:
    """Limits that nobody released. One that has ended says so itself."""
    unreleased = select(ManualLimitRow).where(col(ManualLimitRow.released_at).is_(None))
    rows = session.scalars(unreleased.order_by(col(ManualLimitRow.id)))
    return tuple(limit_envelope(row, reaction_s=reaction_s) for row in rows)
