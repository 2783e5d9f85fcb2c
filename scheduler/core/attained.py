"""How much service a job has had: among equals who had little goes first, for most of those are soon done.

Least attained service (Nuyens and Wierman's survey of foreground-background scheduling; Tiresias for GPUs) in levels,
so that near equals keep the order of their submission and do not take turns. So jobs that never ran go in the order of
their arrival; who had his share and was paused, for want of power say, resumes behind them, until he has waited for
three days: then he is overtaken no more. Nobody who runs leaves for it, unless a site says so.

Lifetimes are heavy-tailed: after s of service the chance to need T more is about s / (s + T).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from scheduler.core.jobs import Attempt, Job
from scheduler.core.snapshot import SitePolicy

OVERTAKEN = timedelta(days=3)  #: who has waited this long goes as if he had had little
LASTING_S = 4 * 3600.0  #: T above: a withdrawal that matters lasts for hours
_FACTOR = 64.0  #: each level reaches so many times as far as the one before


def level(gpu_s: float, first_gpu_s: float) -> int:
    """The level of so many GPU-seconds, 0 = least; the first reaches to `first_gpu_s`, 0 = there is but one."""
    found, reach = 0, first_gpu_s
    while 0 < reach <= gpu_s:
        found, reach = found + 1, reach * _FACTOR
    return found


def level_of(job: Job, attempt: Attempt | None, at: datetime, site: SitePolicy) -> int:
    """The level of a job, with what its living attempt has had so far."""
    if site.little_service_gpu_h <= 0:
        return 0
    gpu_s = served_s(job, attempt, at) * max(1, job.spec.total_gpus)
    return level(gpu_s, site.little_service_gpu_h * 3600.0)


def turn(level: int) -> int:
    """The place of a level in the queue: the first alone, then two by two.

    Who is two levels behind another comes after it, so that who made room for another does not take it back.
    """
    return (level + 1) // 2


def place(job: Job, at: datetime, site: SitePolicy) -> int:
    """The turn of a job that waits: less is sooner."""
    found = turn(level_of(job, None, at, site))
    return 0 if found and at - job.since_at >= OVERTAKEN else found


def moves_up_at(job: Job, at: datetime, site: SitePolicy) -> datetime | None:
    """When a job that waits is overtaken no more; None if nobody overtakes it as it is."""
    return job.since_at + OVERTAKEN if place(job, at, site) else None


def served_s(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """For how long a job has run, its living attempt included."""
    if attempt is None or attempt.running_at is None:
        return job.ran_s
    return job.ran_s + (at - attempt.running_at).total_seconds()


def lasts(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """The chance that a job needs `LASTING_S` more, by what it has had."""
    s = served_s(job, attempt, at)
    return s / (s + LASTING_S)
