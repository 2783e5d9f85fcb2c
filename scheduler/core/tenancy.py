"""The quotas of projects in one round of starts: who may start, and who gets back what others borrowed."""

from __future__ import annotations

from scheduler.core.jobs import Job
from scheduler.core.lending import Lenders
from scheduler.core.plan import Plan
from scheduler.core.queueing import Borrows, Queue
from scheduler.core.quotas import exceeded
from scheduler.core.reasons import Reason
from scheduler.core.room import Room


class Tenancy:
    """Without effect where no project has a nominal."""

    def __init__(self, plan: Plan, room: Room, queue: Queue) -> None:
        self._plan = plan
        self.quotas = plan.tenants.quotas()
        self._lenders: Lenders | None = None
        if self.quotas is not None:
            self._lenders = Lenders(plan, room, self.quotas)
            self.quotas.reserve(queue.waiting(plan))

    @property
    def is_lent(self) -> bool:
        """Whether there is anything to be called in."""
        return self._lenders is not None

    def exceeded(self, job: Job) -> Reason | None:
        """Why its project's quota keeps a job from a start now, None if it does not."""
        if self.quotas is None:
            return None
        return exceeded(self.quotas, self._plan.tenants.of(job), job.spec.total_gpus)

    @property
    def borrows(self) -> Borrows | None:
        """Whether a job would take GPUs that are others' own; None where nobody has any."""
        return None if self.quotas is None else self._would_borrow

    def _would_borrow(self, job_id: str) -> bool:
        job = self._plan.jobs[job_id]
        return self.quotas is not None and self.quotas.borrows(
            self._plan.tenants.of(job), job.spec.total_gpus
        )

    def start(self, job: Job) -> None:
        """A job starts."""
        if self.quotas is not None:
            self.quotas.start(self._plan.tenants.of(job), job.spec.total_gpus)

    def call_in(self, job: Job, jobs: int, *, lacks_gpus: bool, limit_w: float) -> bool:
        """Have borrowers make room for the first of `jobs` alike if it lacks GPUs or watts. Whether any was told to."""
        if self._lenders is None:
            return False
        free_w = limit_w - self._plan.at_knees_w(job.spec.flex)
        if not lacks_gpus and self._plan.start_w(job) <= free_w:
            return False
        return self._lenders.call_in(job, jobs, lacks_gpus=lacks_gpus, free_w=free_w)
