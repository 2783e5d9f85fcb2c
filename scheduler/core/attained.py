"""How much service a job has had: who had little goes first, for most jobs are short and nobody knows which.

Least attained service (Nuyens and Wierman's survey of foreground-background scheduling; Tiresias for GPUs) in levels,
so that near equals keep the order of their submission and are not exchanged for each other.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.core.jobs import Attempt, Job

FIRST_LEVEL_GPU_S = 4 * 3600.0  #: a job with less is likely to be over soon
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
    running_s = 0.0
    if attempt is not None and attempt.running_at is not None:
        running_s = (at - attempt.running_at).total_seconds()
    return (job.ran_s + running_s) * max(1, job.spec.total_gpus)
