"""How much service a job has had, for sites on which who had little goes first.

By default jobs go in the order of their arrival: what lasts and has to wait cannot make up for it later, since it
computes no faster than its own GPUs do. Where users would rather see short jobs done soon, a site says how many
GPU-hours count as little. Least attained service (Nuyens and Wierman's survey of foreground-background scheduling;
Tiresias for GPUs) in levels, so that near equals keep the order of their submission and do not take turns.

Lifetimes are heavy-tailed: after s of service the chance to need T more is about s / (s + T).
"""

from __future__ import annotations

from datetime import datetime

from scheduler.core.jobs import Attempt, Job
from scheduler.core.snapshot import SitePolicy

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


def served_s(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """For how long a job has run, its living attempt included."""
    if attempt is None or attempt.running_at is None:
        return job.ran_s
    return job.ran_s + (at - attempt.running_at).total_seconds()


def lasts(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """The chance that a job needs `LASTING_S` more, by what it has had."""
    s = served_s(job, attempt, at)
    return s / (s + LASTING_S)
