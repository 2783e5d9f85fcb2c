"""Of which newcomers nothing would follow: those behind their like."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.bare import rouses
from scheduler.core.jobs import Job, JobState
from scheduler.core.plan import Plan
from scheduler.core.queueing import Queue, start_shape
from scheduler.core.raises import Raises


def would_wait(job: Job, plan: Plan, raises: Raises, queue: Queue, settled: Mapping[str, JobState]) -> bool:
    """Whether a job that came right after a round would wait, and change nothing for anybody else.

    It does if one that asks for the same, at the same priority, was just refused, and nothing was found for that one.
    Where projects have quotas, one more of a lender's jobs may call in one more borrower.
    """
    if plan.tenants.has_quotas or _may_be_housed(plan, raises):
        return False
    alike = [r.job for r in raises.refused if r.job.spec.priority == job.spec.priority]
    kind = queue.would_enter(job, plan, settled) if alike else None
    return kind is not None and any(start_shape(other, plan) == kind for other in alike)


def _may_be_housed(plan: Plan, raises: Raises) -> bool:
    """Whether nodes come up, or are kept watts to, perhaps for who lacks GPUs: for two it may be more of them."""
    comes_up = rouses(plan) or not plan.off <= plan.asleep()
    return (comes_up or raises.reserved_w > 0) and any(r.lacks_gpus for r in raises.refused)
