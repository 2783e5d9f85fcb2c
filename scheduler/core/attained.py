"""How much service a job has had: who had little goes first, for most jobs are short and nobody knows which.

Least attained service (Nuyens and Wierman's survey of foreground-background scheduling; Tiresias for GPUs) in levels,
so that near equals keep the order of their submission and are not exchanged for each other.

Only who had next to nothing passes others in the queue. Lifetimes are heavy-tailed: after s of service the chance to
need T more is about s / (s + T). What lasts and has to wait cannot make up for it later, since it computes no faster
than its own GPUs do; what is over soon can, on other GPUs.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.core.jobs import Attempt, Job

FIRST_LEVEL_GPU_S = 4 * 3600.0  #: a job with less is likely to be over soon
PAIRS = 2
LASTING_S = 4 * 3600.0  #: T above: a withdrawal that matters lasts for hours
_FACTOR = 64.0  #: each level reaches so many times as far as the one before


def level(gpu_s: float) -> int:
    """The level of so many GPU-seconds, 0 = least."""
    found, reach = 0, FIRST_LEVEL_GPU_S
    while gpu_s >= reach:
        found, reach = found + 1, reach * _FACTOR
    return found


def least_gpu_s(level: int) -> float:
    """The GPU-seconds with which a level begins."""
    return FIRST_LEVEL_GPU_S * _FACTOR ** (level - 1) if level > 0 else 0.0


def level_of(job: Job, attempt: Attempt | None, at: datetime) -> int:
    """The level of a job, with what its living attempt has had so far."""
    return level(gpu_s(job, attempt, at))


def gpu_s(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """The GPU-seconds that a job has had, with those of its living attempt so far."""
    return served_s(job, attempt, at) * max(1, job.spec.total_gpus)


def turn(level: int) -> int:
    """The place of a level in the queue: the first alone, then two by two.

    Who is two levels behind another comes after it, so that who made room for another does not take it back.
    """
    return int((level + 1) // PAIRS)


def served_s(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """For how long a job has run, its living attempt included."""
    if attempt is None or attempt.running_at is None:
        return job.ran_s
    return job.ran_s + (at - attempt.running_at).total_seconds()


def lasts(job: Job, attempt: Attempt | None, at: datetime) -> float:
    """The chance that a job needs `LASTING_S` more, by what it has had."""
    s = served_s(job, attempt, at)
    return s / (s + LASTING_S)
