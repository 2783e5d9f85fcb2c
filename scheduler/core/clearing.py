"""Others who make room for a job that waits for GPUs: for one at a time, as each save costs."""

from __future__ import annotations

from scheduler.core.jobs import Job
from scheduler.core.lean import is_carried
from scheduler.core.overtaking import is_next
from scheduler.core.plan import Plan
from scheduler.core.reclaiming import Others, is_reclaiming, make_room, victims_for
from scheduler.core.room import Room
from scheduler.core.snapshot import Snapshot
from scheduler.core.supply import rise_w
from scheduler.core.tenancy import Tenancy
from scheduler.core.windows import too_short


class Clearing:
    """That of one round."""

    def __init__(self, plan: Plan, room: Room, tenancy: Tenancy, snapshot: Snapshot, limit_w: float) -> None:
        self._plan, self._room, self._tenancy = plan, room, tenancy
        self._snapshot, self._limit_w = snapshot, limit_w
        self._others = Others(plan)
        self._may_begin = not is_reclaiming(plan)

    def call_in(self, job: Job, jobs: int, *, lacks_gpus: bool) -> None:
        """Have borrowers give back what is owed to the first of `jobs` alike, if the power lasts."""
        if self._tenancy.is_lent and not self._lasts(job, 0.0):
            return
        if self._tenancy.call_in(job, jobs, lacks_gpus=lacks_gpus, limit_w=self._limit_w):
            self._may_begin = False

    def is_all_for(self, job: Job) -> bool:
        """Have others leave for a job that has waited long for GPUs. Whether nobody at all may pass it meanwhile."""
        plan, is_due = self._plan, is_next(self._plan, self._room, job, self._limit_w)
        gains = self._may_begin and (is_due or self._others.may_leave_for(job))
        if gains and (is_due or is_carried(plan, job, self._limit_w)):
            self._may_begin = not self._reclaims(job, is_next=is_due)
        return is_due and is_reclaiming(plan)

    def _reclaims(self, job: Job, *, is_next: bool) -> bool:
        """Whether others were told to leave. Not for a job that the forecast would keep from a start after all."""
        plan = self._plan
        victims = victims_for(plan, self._room, job, self._tenancy.quotas, is_next=is_next)
        freed_w = sum(rise_w(plan, v) for v in victims)
        if not victims or not self._lasts(job, plan.start_w(job) - freed_w):
            return False
        make_room(plan, victims, job)
        return True

    def _lasts(self, job: Job, more_w: float) -> bool:
        """Whether the watts that there are, as far as it takes so many more, last until a start has paid off."""
        more_w = min(more_w, self._limit_w - self._plan.at_knees_w(job.spec.flex))
        return too_short(self._plan, self._snapshot, job, more_w=more_w) is None
