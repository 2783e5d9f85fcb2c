"""Others who make room for a job that waits for GPUs: for one at a time, as each save costs."""

from __future__ import annotations

from scheduler.core.jobs import Job
from scheduler.core.lean import is_carried
from scheduler.core.overtaking import is_next
from scheduler.core.plan import Plan
from scheduler.core.reclaiming import Others, is_reclaiming, reclaim
from scheduler.core.room import Room
from scheduler.core.tenancy import Tenancy


class Clearing:
    """That of one round."""

    def __init__(self, plan: Plan, room: Room, tenancy: Tenancy, limit_w: float) -> None:
        self._plan, self._room, self._tenancy, self._limit_w = plan, room, tenancy, limit_w
        self._others = Others(plan)
        self._may_begin = not is_reclaiming(plan)

    def call_in(self, job: Job, jobs: int, *, lacks_gpus: bool) -> None:
        """Have borrowers give back what is owed to the first of `jobs` alike."""
        if self._tenancy.call_in(job, jobs, lacks_gpus=lacks_gpus, limit_w=self._limit_w):
            self._may_begin = False

    def is_all_for(self, job: Job) -> bool:
        """Have others leave for a job that has waited long for GPUs. Whether nobody at all may pass it meanwhile."""
        plan, is_due = self._plan, is_next(self._plan, self._room, job, self._limit_w)
        gains = self._may_begin and (is_due or self._others.may_leave_for(job))
        if gains and (is_due or is_carried(plan, job, self._limit_w)):
            self._may_begin = not reclaim(plan, self._room, job, self._tenancy.quotas, is_next=is_due)
        return is_due and is_reclaiming(plan)
