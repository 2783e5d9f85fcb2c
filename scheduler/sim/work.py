"""What becomes of each job of a run: its progress, what it lost, the watts it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from enum import StrEnum

from scheduler.core.orders import Observed
from scheduler.sim.clock import US
from scheduler.sim.outcome import JobOutcome, Span
from scheduler.sim.workload import SimJob

J_PER_WH = 3600.0


class Doing(StrEnum):
    """What a job is doing, as a bystander sees it."""

    WAIT = "wait"
    START = "start"
    RESTORE = "restore"
    RUN = "run"
    HOLD = "hold"  #: suspended, or waiting for a member of its gang
    SAVE = "save"
    DONE = "done"


def not_running(seen: Collection[Observed], *, again: bool) -> Doing:
    """What a job does that does not compute, by what is seen of its members; `again` where it ran before."""
    if Observed.SAVING in seen:
        return Doing.SAVE
    if Observed.STARTING in seen:
        return Doing.RESTORE if again else Doing.START
    return Doing.HOLD


_WAITING = frozenset({Doing.WAIT, Doing.HOLD})
_ON_GPUS = frozenset({Doing.START, Doing.RESTORE, Doing.RUN, Doing.HOLD, Doing.SAVE})


class Demand:
    """How many GPUs work now, and how many are waited for."""

    def __init__(self) -> None:
        self.running_gpus = 0
        self.waiting_gpus = 0
        self._sizes: Counter[int] = Counter()  #: of waiting jobs
        self.spans: list[Span] | None = None  #: kept where somebody wants them

    def moved(self, gpus: int, before: Doing | None, after: Doing) -> None:
        """A job of so many GPUs does something else."""
        if (was := before in _WAITING) is not (waits := after in _WAITING):
            self.waiting_gpus += gpus if waits else -gpus
            self._sizes[gpus] += 1 if waits else -1
            if was and not self._sizes[gpus]:
                del self._sizes[gpus]
        if before is Doing.RUN:
            self.running_gpus -= gpus
        if after is Doing.RUN:
            self.running_gpus += gpus

    @property
    def smallest(self) -> int:
        """GPUs of the smallest job that waits, 1 where none does."""
        return min(self._sizes, default=1)


class JobRun:
    """One job's life. Progress is in seconds at full speed."""

    __slots__ = (
        "committed_s",
        "demand",
        "doing",
        "energy_j",
        "finished_us",
        "job",
        "kills",
        "lost_gpu_s",
        "pauses",
        "progress_s",
        "since_us",
        "started_us",
        "was_ready",
    )

    def __init__(self, job: SimJob, demand: Demand, now_us: int) -> None:
        self.job = job
        self.demand = demand
        self.doing: Doing | None = None
        self.since_us = now_us
        self.progress_s = 0.0  #: of the living attempt, or what is committed
        self.committed_s = 0.0
        self.started_us: int | None = None
        self.finished_us: int | None = None
        self.was_ready = False  #: an attempt got as far as computing
        self.lost_gpu_s = 0.0
        self.pauses = 0
        self.kills = 0
        self.energy_j = 0.0
        self.shows(Doing.WAIT, now_us)

    def shows(self, doing: Doing, now_us: int) -> None:
        """It does something else from now on, or the same."""
        before = self.doing
        if doing is before:
            return
        self.demand.moved(self.job.gpus, before, doing)
        if self.demand.spans is not None and before in _ON_GPUS and now_us > self.since_us:
            self.demand.spans.append(self._span(before, now_us))
        self.doing, self.since_us = doing, now_us

    def lose(self, gpu_s: float) -> None:
        """GPU-seconds went by without progress, or progress was lost."""
        self.lost_gpu_s += gpu_s

    def outcome(self) -> JobOutcome:
        """What became of it."""
        return JobOutcome(
            job=self.job,
            started_s=None if self.started_us is None else self.started_us / US,
            finished_s=None if self.finished_us is None else self.finished_us / US,
            kept_gpu_s=self.progress_s * self.job.gpus,
            lost_gpu_s=self.lost_gpu_s,
            pauses=self.pauses,
            kills=self.kills,
            energy_wh=self.energy_j / J_PER_WH,
        )

    def _span(self, doing: Doing, now_us: int) -> Span:
        return Span(
            job_id=self.job.id,
            starts_s=self.since_us / US,
            ends_s=now_us / US,
            gpus=self.job.gpus,
            what=doing.value,
        )
