"""Slurm's defaults with power as one more countable resource: priority, EASY backfill, requeue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.jobs import Attempt, Job, JobState, Phase, Placement
from scheduler.core.placement import place
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.sim.baselines.frame import Baseline
from scheduler.sim.baselines.room import Pool, Room

REQUEUE_DELAY_S = 120.0  #: a requeued job is not looked at for so long
WINDOW_S = 24 * 3600.0  #: `bf_window`: a start further off is not reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reservation:
    """When and where the head of the queue will start, and the watts that are left then."""

    in_s: float
    placements: tuple[Placement, ...]
    left_w: float
    pool: Pool  #: GPUs that are free now and not reserved

    def after(self, room: Room, need_w: float = 0.0) -> _Reservation:
        """The same once a job was started, which takes `need_w` beyond the head's start."""
        pool = Pool.beside(room.nodes, self.placements)
        return replace(self, left_w=self.left_w - need_w, pool=pool)


class SlurmDefault(Baseline):
    """Priority, EASY backfill; victims are killed and requeued from their last periodic checkpoint.

    Source: Slurm's sched/backfill with `PreemptMode=REQUEUE`: no grace (GraceTime 0), the lowest priority and then the
    youngest first, the same job again after two minutes. We leave out the limit of five requeues (`MaxBatchRequeue`),
    after which a person has to release the job, and reserve for the head alone (EASY).

    A job is taken to run as long as its user said, from its last start on: a requeued job has all its time again. One
    of which nothing is known is without end, as under Slurm's default of no time limit: where the head's start depends
    on it, that lies beyond the window of a day in which backfill looks, nothing is reserved, and the jobs behind are
    started wherever they fit.
    """

    name = "slurm"
    saves = False

    def rank(self, job: Job) -> tuple[float, ...]:
        """By priority, then arrival."""
        return (-job.spec.priority, job.number)

    def victims(self, plan: Plan, attempts: Iterable[Attempt]) -> list[Attempt]:
        """The lowest priority, then the youngest; firm work after all others."""

        def order(attempt: Attempt) -> tuple[bool, int, int]:
            job = plan.jobs[attempt.job_id]
            return job.spec.flex == 0, job.spec.priority, -job.number

        return sorted(attempts, key=order)

    def ready_at(self, job: Job) -> datetime | None:
        """Two minutes after it was requeued, at the earliest."""
        if job.state is not JobState.PAUSED:
            return job.not_before_at
        return job.since_at + timedelta(seconds=REQUEUE_DELAY_S)

    def start(self, queue: Iterable[Job], room: Room) -> None:
        """In order until one does not fit; behind it only what does not delay its reserved start."""
        head: Job | None = None
        reserved: _Reservation | None = None
        for job in queue:
            if not room.is_open:
                return
            if head is None:
                if not room.start(job) and room.may_start(job):
                    head, reserved = job, self._reservation(job, room)
            elif reserved is None:
                room.start(job)
            elif self.estimate_s(job) <= reserved.in_s:
                reserved = reserved.after(room) if room.start(job) else reserved
            else:
                reserved = _beside(job, reserved, room)

    def _reservation(self, head: Job, room: Room) -> _Reservation | None:
        """The first end of work after which GPUs and watts, at today's limit, do; None if not within the window."""
        plan, pool, left_w = room.plan, Pool(room.nodes.free), room.left_w
        for in_s, attempt in self._ends(plan):
            if in_s > WINDOW_S:
                return None
            pool.give(attempt.placements)
            left_w += plan.freed_w(attempt, plan.model(attempt).idle_w)
            if pool.total < head.spec.total_gpus or (found := place(head, pool, plan)) is None:
                continue
            if (need_w := room.need_w(head, found)) <= left_w:
                beside = Pool.beside(room.nodes, found)
                return _Reservation(in_s=in_s, placements=found, left_w=left_w - need_w, pool=beside)
        return None

    def _ends(self, plan: Plan) -> list[tuple[float, Attempt]]:
        """All that holds GPUs, the first to end first, in s from now; what was told to leave is as good as gone."""
        ends = [(0.0 if a.phase in LEAVING else self._left_s(plan, a), a) for a in plan.in_phase(*Phase)]
        return sorted(ends, key=lambda end: (end[0], end[1].id))

    def _left_s(self, plan: Plan, attempt: Attempt) -> float:
        """Seconds until an attempt has run as long as was said; without end where nothing was."""
        runs_s = 0.0 if attempt.running_at is None else (plan.at - attempt.running_at).total_seconds()
        return max(0.0, self.estimate_s(plan.jobs[attempt.job_id]) - runs_s)


def _beside(job: Job, reserved: _Reservation, room: Room) -> _Reservation:
    """Start a job that outlasts the head's start only on GPUs and watts that the head leaves; what is left after it."""
    if job.spec.total_gpus > reserved.pool.total:
        return reserved
    where = room.where(job, within=reserved.pool)
    if where is None or (need_w := room.need_w(job, where)) > reserved.left_w:
        return reserved
    return reserved.after(room, need_w) if room.start(job, within=reserved.pool) else reserved
