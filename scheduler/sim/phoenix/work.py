"""What is true of the jobs of a closed loop: what they draw and how far they come, by each one's own cap curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.core.jobs import Attempt, Phase
from scheduler.core.orders import AttemptFacts, Observed
from scheduler.core.power import GpuModel
from scheduler.sim.outcome import JobOutcome
from scheduler.sim.phoenix.event import PhoenixSite
from scheduler.sim.workload import SimJob

_SAVED_CODE = 85  #: what a job exits with that saved and wants to go on later
_KILL = 9


@dataclass(slots=True, kw_only=True)
class Work:
    """One job, as it really goes. Progress is counted at full speed, in GPU-seconds."""

    job: SimJob
    curve: GpuModel
    began_at: datetime
    started_s: float | None = None
    kept_gpu_s: float = 0.0
    saved_gpu_s: float = 0.0  #: of it, what the last save holds
    lost_gpu_s: float = 0.0
    energy_wh: float = 0.0
    pauses: int = 0
    kills: int = 0
    phases: dict[str, Phase] = field(default_factory=dict)  #: by attempt, as last told

    def told(self, attempt: Attempt) -> None:
        """An order is obeyed."""
        before = self.phases.get(attempt.id, Phase.RUN)
        if before is Phase.RUN and attempt.phase is not Phase.RUN:
            self.pauses += 1
        if attempt.phase is not before and attempt.phase is Phase.SAVE_EXIT:
            self.saved_gpu_s = self.kept_gpu_s
        if attempt.phase is not before and attempt.phase is Phase.KILL:
            self.kills += 1
            self.lost_gpu_s += self.kept_gpu_s - self.saved_gpu_s
            self.kept_gpu_s = self.saved_gpu_s
        self.phases[attempt.id] = attempt.phase
        if self.started_s is None:
            self.started_s = (attempt.created_at - self.began_at).total_seconds()

    def goes_on(self, attempt: Attempt, seconds: float, at: datetime, site: PhoenixSite) -> None:
        """So many seconds pass until `at`, all in one state."""
        gpu_s = attempt.gpu_count * seconds
        match observed(attempt, at, site):
            case Observed.RUNNING:
                self.kept_gpu_s += gpu_s * self.curve.speed(attempt.cap_w)
            case Observed.SAVING:
                self.lost_gpu_s += gpu_s
            case Observed.STARTING if attempt.number > 1:
                self.lost_gpu_s += gpu_s
        self.energy_wh += attempt.gpu_count * self.gpu_w(attempt, at, site) * seconds / 3600

    def gpu_w(self, attempt: Attempt, at: datetime, site: PhoenixSite) -> float:
        """What each of its GPUs draws."""
        match observed(attempt, at, site):
            case Observed.RUNNING:
                return self.curve.busy_w(attempt.cap_w)
            case Observed.ENDED:
                return self.curve.idle_w
        return self.curve.idle_w + self.curve.context_w

    def outcome(self) -> JobOutcome:
        """What became of it so far."""
        return JobOutcome(
            job=self.job,
            started_s=self.started_s,
            finished_s=None,
            kept_gpu_s=self.kept_gpu_s,
            lost_gpu_s=self.lost_gpu_s,
            pauses=self.pauses,
            kills=self.kills,
            energy_wh=self.energy_wh,
        )


def changes_at(attempt: Attempt, site: PhoenixSite) -> tuple[datetime, ...]:
    """When an attempt goes from one state to the next by itself."""
    ready_at = attempt.created_at + timedelta(seconds=site.restart_s)
    gone_at = attempt.since_at + timedelta(seconds=site.save_s)
    return (ready_at, gone_at) if attempt.phase is Phase.SAVE_EXIT else (ready_at,)


def observed(attempt: Attempt, at: datetime, site: PhoenixSite) -> Observed:
    """What a guard that obeys at once sees just before `at`. A job that had not begun has nothing to save."""
    began = at > attempt.created_at + timedelta(seconds=site.restart_s)
    match attempt.phase:
        case Phase.RUN:
            return Observed.RUNNING if began else Observed.STARTING
        case Phase.SUSPEND:
            return Observed.SUSPENDED
        case Phase.SAVE_EXIT:
            return Observed.SAVING if began and at <= changes_at(attempt, site)[-1] else Observed.ENDED
    return Observed.ENDED


def facts(attempt: Attempt, work: Work, at: datetime, site: PhoenixSite) -> AttemptFacts:
    """What is reported of an attempt. One second of full speed counts as a step."""
    seen, step = observed(attempt, at, site), int(work.kept_gpu_s / work.job.gpus)
    if seen is not Observed.ENDED:
        return AttemptFacts(attempt_id=attempt.id, observed=seen, step=step)
    saved = attempt.phase is Phase.SAVE_EXIT
    return AttemptFacts(
        attempt_id=attempt.id,
        observed=seen,
        step=step,
        committed_step=step if saved else None,
        committed_path=f"/commits/{attempt.job_id}/step-{step}" if saved else None,
        asked_to_exit=saved,
        killed=not saved,
        exit_code=_SAVED_CODE if saved else None,
        signal=None if saved else _KILL,
    )


def held(
    holder: tuple[Attempt, Work] | None, model: GpuModel, at: datetime, site: PhoenixSite
) -> tuple[float, float, int]:
    """Draw, enforced cap and number of processes of a GPU that somebody holds, or nobody."""
    if holder is None or observed(holder[0], at, site) is Observed.ENDED:
        return model.idle_w, model.min_cap_w, 0
    attempt, work = holder
    return work.gpu_w(attempt, at, site), attempt.cap_w if attempt.phase is Phase.RUN else model.min_cap_w, 1


def works(
    jobs: tuple[SimJob, ...], curves: Mapping[str, GpuModel], plain: GpuModel, began_at: datetime
) -> dict[str, Work]:
    """One for each job; `plain` is the curve of those that have none of their own."""
    return {j.id: Work(job=j, curve=curves.get(j.id, plain), began_at=began_at) for j in jobs}
