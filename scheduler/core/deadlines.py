"""Deadlines: how long a job may still stand idle, from when on it goes before its equals, and that one was missed.

    slack = deadline - now - work left - one restart

The work left is the user's estimate (else the time limit) less the time that the job has run. Where nobody said, it
counts as none: the slack is then the least that can be said. A job is *urgent* once its slack is down to what is easily
lost: one checkpoint interval, one restart more, and a tenth of the work left, for time under a cap counts in full and
estimates are guesses. It is urgent until the deadline and no longer: what is late already delays nobody who is not.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduler.core.altered import altered
from scheduler.core.jobs import Attempt, Job, JobState, Phase
from scheduler.core.lifecycle import is_final
from scheduler.core.plan import Plan
from scheduler.core.reasons import Event
from scheduler.core.snapshot import SitePolicy

_IN_HAND = 0.1  #: share of the work left


def work_left_s(job: Job, attempt: Attempt | None, at: datetime) -> float | None:
    """Seconds of work that are left at full speed, None where nobody said how much there is."""
    spec = job.spec
    stated_s = spec.time_limit_s if spec.estimate_s is None else spec.estimate_s
    return None if stated_s is None else max(0.0, stated_s - _done_s(job, attempt, at))


def _done_s(job: Job, attempt: Attempt | None, at: datetime) -> float:
    if attempt is None or attempt.running_at is None:
        return job.ran_s
    until_at = at if attempt.phase is Phase.RUN else attempt.since_at
    return job.ran_s + max(0.0, (until_at - attempt.running_at).total_seconds())


def slack_s(job: Job, attempt: Attempt | None, at: datetime, site: SitePolicy) -> float | None:
    """How long it may stand idle from now and be done in time after one restart; None without a deadline."""
    deadline_at = job.spec.deadline_at
    if deadline_at is None:
        return None
    return (deadline_at - at).total_seconds() - (work_left_s(job, attempt, at) or 0.0) - site.restart_s


def urgent_at(job: Job, attempt: Attempt | None, at: datetime, site: SitePolicy) -> datetime | None:
    """From when on it is urgent if it does not run until then; None without a deadline."""
    spare_s = slack_s(job, attempt, at, site)
    if spare_s is None:
        return None
    left_s = work_left_s(job, attempt, at) or 0.0
    easily_lost_s = job.spec.launch.checkpoint_interval_s + site.restart_s + _IN_HAND * left_s
    return at + timedelta(seconds=spare_s - easily_lost_s)


def is_urgent(job: Job, attempt: Attempt | None, at: datetime, site: SitePolicy) -> bool:
    """Whether it goes before its equals now, and is the last of them to give way."""
    deadline_at = job.spec.deadline_at
    if deadline_at is None or at >= deadline_at:
        return False
    from_at = urgent_at(job, attempt, at, site)
    return from_at is not None and from_at <= at


def changes_at(job: Job, at: datetime, site: SitePolicy) -> datetime | None:
    """When a job that waits becomes urgent, or is not any more; None if neither will be."""
    deadline_at = job.spec.deadline_at
    if deadline_at is None or deadline_at <= at:
        return None
    from_at = urgent_at(job, None, at, site)
    return from_at if from_at is not None and from_at > at else deadline_at


def note_missed(plan: Plan) -> None:
    """Tell of each deadline that has passed, once. The job goes on."""
    for job_id in sorted(plan.deadlines.due(plan.at)):
        job = plan.jobs.get(job_id)
        if job is None or is_final(job.state) or job.state is JobState.CANCELLING:
            continue
        plan.jobs[job_id] = altered(job, missed_at=plan.at)
        text = f"{job_id} missed its deadline, {job.spec.deadline_at:%Y-%m-%d %H:%M:%S} UTC, and goes on"
        plan.events.append(Event(at=plan.at, kind="job.deadline_missed", text=text, job_id=job_id))
