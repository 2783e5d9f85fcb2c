"""The life of a job and of an attempt: one table each, and the only way to move along them."""

from __future__ import annotations

from datetime import datetime

from scheduler.core.altered import altered
from scheduler.core.jobs import FINAL_STATES, AttemptState, Desired, Job, JobState

S = JobState
A = AttemptState

_WAITING_TO = frozenset({S.STARTING, S.HELD, S.CANCELLED, S.FAILED})
_ENDS = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.PAUSED, S.HELD, S.PENDING, S.CANCELLING})
_ACTIVE = frozenset({S.STARTING, S.RUNNING, S.SUSPENDED, S.PREEMPTING})

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    S.PENDING: _WAITING_TO,
    S.PAUSED: _WAITING_TO,
    S.HELD: frozenset({S.PENDING, S.PAUSED, S.CANCELLED}),
    S.STARTING: _ENDS | _ACTIVE,
    S.RUNNING: _ENDS | _ACTIVE,
    S.SUSPENDED: _ENDS | _ACTIVE,
    S.PREEMPTING: _ENDS,
    S.CANCELLING: frozenset({S.CANCELLED, S.SUCCEEDED, S.FAILED}),
    S.CANCELLED: frozenset(),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset(),
}

_UP = frozenset({A.STARTING, A.RUNNING, A.SUSPENDED, A.SAVING, A.ENDED})
ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    A.ALLOCATED: _UP,
    A.STARTING: _UP,
    A.RUNNING: frozenset({A.SUSPENDED, A.PARKED, A.SAVING, A.ENDED}),
    A.SUSPENDED: frozenset({A.RUNNING, A.PARKED, A.SAVING, A.ENDED}),
    A.PARKED: frozenset({A.RUNNING, A.SUSPENDED, A.SAVING, A.ENDED}),
    A.SAVING: frozenset({A.ENDED}),
    A.ENDED: frozenset(),
}


_SHOWN = {
    A.ALLOCATED: S.STARTING,
    A.STARTING: S.STARTING,
    A.RUNNING: S.RUNNING,
    A.SUSPENDED: S.SUSPENDED,
    A.PARKED: S.SUSPENDED,
    A.SAVING: S.PREEMPTING,
}


class InvalidTransition(Exception):
    """A move that the table does not know: `job_id`, `start`, `finish`."""

    def __init__(self, job_id: str, start: JobState, finish: JobState) -> None:
        super().__init__(f"job {job_id}: {start} cannot become {finish}")
        self.job_id, self.start, self.finish = job_id, start, finish


def moved(job: Job, state: JobState, at: datetime) -> Job:
    """The job in its new state. The same state is no move. Raises `InvalidTransition` on one that the table lacks."""
    if state is job.state:
        return job
    if state not in JOB_TRANSITIONS[job.state]:
        raise InvalidTransition(job.id, job.state, state)
    return altered(job, state=state, since_at=at)


def attempt_moved(state: AttemptState, seen: AttemptState) -> AttemptState:
    """The observed state if the table allows it, else the old one: a late report never moves an attempt back."""
    return seen if seen in ATTEMPT_TRANSITIONS[state] else state


def job_state(attempt: AttemptState, desired: Desired) -> JobState:
    """What a job with a living attempt shows."""
    if desired is Desired.CANCEL:
        return S.CANCELLING
    return _SHOWN[attempt]


def is_final(state: JobState) -> bool:
    """Whether nothing will ever happen to the job again."""
    return state in FINAL_STATES
