"""Between the core's values and table rows: the only place that knows how a job or an attempt is flattened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.envelope import OPERATOR, Envelope, Segment
from scheduler.core.jobs import (
    Attempt,
    AttemptState,
    CommitRef,
    Desired,
    FailureCause,
    Job,
    JobSpec,
    JobState,
    Outcome,
    PauseCause,
    Phase,
    Placement,
)
from scheduler.core.lifecycle import is_final
from scheduler.errors import StoreError
from scheduler.store.tables import SITE_USER, AttemptNodeRow, AttemptRow, JobRow, ManualLimitRow
from scheduler.wire import dumps, loads

_CAUSES: dict[str, FailureCause | PauseCause] = {c.value: c for c in (*FailureCause, *PauseCause)}

Values = dict[str, Any]


def job_values(job: Job, *, request: str = "{}", owner: str = SITE_USER) -> Values:
    """All columns of a new job."""
    spec = job.spec
    return {
        "number": job.number,
        "owner": owner,
        "name": spec.name,
        "project": spec.project,
        "queue": spec.queue,
        "kind": spec.kind.value,
        "priority": spec.priority,
        "flex": spec.flex,
        "gpus": spec.gpus,
        "nodes": spec.nodes,
        "array_id": spec.array.id if spec.array else None,
        "desired": job.desired.value,
        "submitted_at": job.submitted_at,
        "spec": dumps(spec).decode(),
        "request": request,
        **job_changes(job),
    }


def job_changes(job: Job) -> Values:
    """The columns that the leader changes. `desired` is not among them: it belongs to the people's side."""
    commit = job.last_commit
    return {
        "id": job.id,
        "state": job.state.value,
        "since_at": job.since_at,
        "ended_at": job.since_at if is_final(job.state) else None,
        "attempts": job.attempts,
        "failures": job.failures,
        "not_before_at": job.not_before_at,
        "commit_step": commit.step if commit else None,
        "commit_path": commit.path if commit else None,
        "save_s": job.save_s,
        "ran_s": job.ran_s,
        "cut_at": job.cut_at,
        "missed_at": job.missed_at,
        "storage": job.storage,
        "pinned_to": dumps(job.pinned_to).decode(),
    }


@contextmanager
def legible(what: str) -> Iterator[None]:
    """A row that cannot be understood is the store's failure, not the reader's."""
    try:
        yield
    except (ValueError, KeyError) as error:
        raise StoreError(f"{what} cannot be read: {error}; was it written by another version?") from error


def job_of(row: JobRow) -> Job:
    """The core's view of a row."""
    with legible(f"job {row.id}"):
        return Job(
            id=row.id,
            number=row.number,
            spec=loads(JobSpec, row.spec),
            submitted_at=row.submitted_at,
            state=JobState(row.state),
            since_at=row.since_at,
            desired=Desired(row.desired),
            attempts=row.attempts,
            failures=row.failures,
            not_before_at=row.not_before_at,
            last_commit=commit_of(row.commit_path, row.commit_step),
            save_s=row.save_s,
            ran_s=row.ran_s,
            cut_at=row.cut_at,
            missed_at=row.missed_at,
            storage=row.storage,
            pinned_to=loads(tuple[str, ...], row.pinned_to),
        )


def commit_of(path: str | None, step: int | None) -> CommitRef | None:
    """A commit that is stored in two columns."""
    return None if path is None or step is None else CommitRef(path=path, step=step)


def attempt_values(attempt: Attempt) -> Values:
    """All columns of an attempt but those that the store derives."""
    resume = attempt.resume_from
    return {
        "id": attempt.id,
        "job_id": attempt.job_id,
        "number": attempt.number,
        "state": attempt.state.value,
        "phase": attempt.phase.value,
        "since_at": attempt.since_at,
        "cap_w": attempt.cap_w,
        "resume_step": resume.step if resume else None,
        "resume_path": resume.path if resume else None,
        "created_at": attempt.created_at,
        "running_at": attempt.running_at,
        "pause_cause": attempt.pause_cause.value if attempt.pause_cause else None,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        "cause": attempt.cause.value if attempt.cause else None,
        "ended_at": attempt.ended_at,
        "last_step": attempt.last_step,
        "resumed_step": attempt.resumed_step,
        "cut_at": attempt.cut_at,
        "lost_steps": 0,
    }


def attempt_nodes(attempt: Attempt) -> list[Values]:
    """One row per node that it holds GPUs of, in order of rank."""
    return [
        {"attempt_id": attempt.id, "rank": i, "node_id": p.node_id, "gpu_ids": dumps(p.gpu_ids).decode()}
        for i, p in enumerate(attempt.placements)
    ]


def attempt_of(row: AttemptRow, nodes: Iterable[AttemptNodeRow]) -> Attempt:
    """The core's view of a row and the rows of its nodes."""
    with legible(f"attempt {row.id}"):
        return Attempt(
            id=row.id,
            job_id=row.job_id,
            number=row.number,
            state=AttemptState(row.state),
            phase=Phase(row.phase),
            since_at=row.since_at,
            placements=placements_of(nodes),
            cap_w=row.cap_w,
            resume_from=commit_of(row.resume_path, row.resume_step),
            created_at=row.created_at,
            running_at=row.running_at,
            pause_cause=PauseCause(row.pause_cause) if row.pause_cause else None,
            outcome=Outcome(row.outcome) if row.outcome else None,
            cause=_CAUSES[row.cause] if row.cause else None,
            ended_at=row.ended_at,
            last_step=row.last_step,
            resumed_step=row.resumed_step,
            cut_at=row.cut_at,
        )


def placements_of(nodes: Iterable[AttemptNodeRow]) -> tuple[Placement, ...]:
    """Placements in order of rank."""
    ranked = sorted(nodes, key=lambda n: n.rank)
    return tuple(Placement(node_id=n.node_id, gpu_ids=loads(tuple[str, ...], n.gpu_ids)) for n in ranked)


def limit_envelope(row: ManualLimitRow, *, reaction_s: float) -> Envelope:
    """A person's limit as the loop takes it: never stale, until it ends or is released."""
    segment = Segment(
        starts_at=row.created_at,
        limit_w=row.limit_w,
        provenance=f"{row.reason} ({row.by})",
        document=f"manual limit {row.id}",
        giver_id=str(row.id),
    )
    return Envelope(
        source=OPERATOR,
        issued_at=row.created_at,
        read_at=row.created_at,
        reaction_s=reaction_s,
        segments=(segment,),
        valid_until=row.ends_at,
    )


def nodes_by_attempt(session: Session, attempt_ids: Sequence[str]) -> dict[str, list[AttemptNodeRow]]:
    """The node rows of these attempts; an empty list for one without."""
    nodes: dict[str, list[AttemptNodeRow]] = defaultdict(list)
    if attempt_ids:
        theirs = select(AttemptNodeRow).where(col(AttemptNodeRow.attempt_id).in_(attempt_ids))
        for node in session.scalars(theirs):
            nodes[node.attempt_id].append(node)
    return nodes
