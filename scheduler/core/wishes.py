"""What people want of their jobs, and what their own limits demand: hold, cancel, release, time limits."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace

from scheduler.core.jobs import (
    WAITING_STATES,
    Attempt,
    Desired,
    FailureCause,
    Job,
    JobState,
    PauseCause,
    Phase,
)
from scheduler.core.lifecycle import is_final, moved
from scheduler.core.plan import Plan
from scheduler.core.reasons import Code, Event
from scheduler.core.snapshot import Snapshot
from scheduler.core.waiting import broken_dependency


def fulfil(plan: Plan, snapshot: Snapshot, dependents: AbstractSet[str] = frozenset()) -> None:
    """Turn wishes into phases of attempts, and into states of jobs that have none.

    `dependents` are the waiting jobs whose fate hangs on that of others; what changed is known to the plan.
    """
    touched = plan.touched_jobs()
    living = {a.id for job_id in touched if (a := plan.of(job_id)) is not None}
    leaving = {a.id for a in plan.in_phase(Phase.SAVE_EXIT)}
    for attempt_id in sorted(living | leaving | plan.timed | plan.since.attempts):
        if (attempt := plan.attempts.get(attempt_id)) is not None:
            _of_attempt(plan, attempt)
    for job_id in sorted({*touched, *dependents}):
        job = plan.jobs.get(job_id)
        if job is not None and plan.of(job_id) is None and not is_final(job.state):
            _of_waiting(plan, job, snapshot)


def _of_attempt(plan: Plan, attempt: Attempt) -> None:
    job = plan.jobs[attempt.job_id]
    if attempt.phase is Phase.KILL:
        return
    if job.desired is Desired.CANCEL:
        plan.stop(attempt, Phase.KILL, PauseCause.OPERATOR)
        plan.jobs[job.id] = moved(job, JobState.CANCELLING, plan.at)
    elif _out_of_time(plan, job, attempt):
        plan.change(attempt, phase=Phase.KILL, cause=FailureCause.TIME_LIMIT)
    elif job.desired is Desired.HOLD and attempt.phase is not Phase.SAVE_EXIT:
        plan.stop(attempt, Phase.SAVE_EXIT, PauseCause.OPERATOR)
    elif attempt.phase is Phase.SAVE_EXIT and _overdue(plan, attempt):
        plan.stop(attempt, Phase.KILL, attempt.pause_cause)


def _overdue(plan: Plan, attempt: Attempt) -> bool:
    """The guard kills at the grace itself; this is for one that did not."""
    return (plan.at - attempt.since_at).total_seconds() > 2 * plan.grace_s(attempt)


def _out_of_time(plan: Plan, job: Job, attempt: Attempt) -> bool:
    if job.spec.time_limit_s is None or attempt.running_at is None:
        return False
    return job.ran_s + (plan.at - attempt.running_at).total_seconds() > job.spec.time_limit_s


def _of_waiting(plan: Plan, job: Job, snapshot: Snapshot) -> None:
    waits = job.state in WAITING_STATES
    if job.desired is Desired.CANCEL:
        _finish(
            plan, job, JobState.CANCELLED, "cancelled before it ran" if job.attempts == 0 else "cancelled"
        )
    elif job.desired is Desired.HOLD and waits:
        plan.jobs[job.id] = moved(job, JobState.HELD, plan.at)
    elif job.desired is Desired.RUN and job.state is JobState.HELD:
        back = JobState.PAUSED if job.last_commit else JobState.PENDING
        plan.jobs[job.id] = moved(replace(job, not_before_at=None), back, plan.at)
    elif waits and (other := broken_dependency(job, snapshot.settled)):
        _finish(plan, job, JobState.FAILED, f"{other}, which it depends on, did not succeed")


def _finish(plan: Plan, job: Job, state: JobState, why: str) -> None:
    plan.jobs[job.id] = moved(job, state, plan.at)
    data = {"cause": Code.DEPENDENCY, "why": why} if state is JobState.FAILED else {}
    kind, text = f"job.{state.lower()}", f"{job.id} {why}"
    plan.events.append(Event(at=plan.at, kind=kind, text=text, job_id=job.id, data=data))
