"""Whoever needs half the site or more, and would be passed for good: equals begin beside it for as long as such come.

Nobody knows how long those who run will last, so that a job that does not fit is passed by its equals. One that needs
most of the site would never find it free: once at least half of its GPUs stand idle, those who passed it make room,
and nobody passes it until they have. Who came before it is waited for, and others pass it meanwhile.
"""

from __future__ import annotations

from scheduler.core.attained import level_of, place, turn
from scheduler.core.floors import MOVABLE_TIER
from scheduler.core.jobs import Attempt, Job, Phase
from scheduler.core.lean import is_carried
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.room import Room

_PART = 0.5  #: of the site that it needs at least, and of its GPUs that stand idle


def has_passed(plan: Plan, attempt: Attempt, job: Job) -> bool:
    """Whether an attempt is of an equal that came later, and began first only because there was room for it."""
    its_job, at, site = plan.jobs[attempt.job_id], plan.at, plan.site
    if its_job.spec.priority != job.spec.priority or its_job.number < job.number:
        return False
    if plan.tenants.turn(its_job) < plan.tenants.turn(job):
        return False
    return turn(level_of(its_job, attempt, at, site)) >= place(job, at, site)


def is_next(plan: Plan, room: Room, job: Job, limit_w: float) -> bool:
    """Whether it is the turn of a job that lacks GPUs: it needs much, much is idle, and others will make room."""
    needed, there = job.spec.total_gpus, plan.tenants.site_gpus
    if room.total < _PART * needed or needed < _PART * there or not is_carried(plan, job, limit_w):
        return False
    staying = sum(a.gpu_count for a in plan.attempts.values() if not _makes_room(plan, a, job))
    return needed <= there - staying


def _makes_room(plan: Plan, attempt: Attempt, job: Job) -> bool:
    """Whether an attempt leaves, or will once it may be asked to."""
    if attempt.phase in LEAVING:
        return True
    its = plan.jobs[attempt.job_id].spec
    if attempt.phase is not Phase.RUN or its.flex < MOVABLE_TIER:
        return False
    is_below = plan.site.priority_preempts and its.priority < job.spec.priority
    return is_below or has_passed(plan, attempt, job)
