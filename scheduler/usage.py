"""What projects use of the site, kept up from decision to decision: GPU-hours held, and energy they are entitled to.

Energy is what the GPUs of a project's attempts may draw under their caps: that is what nobody else can have meanwhile,
whatever they make of it. Time in which nobody led is nobody's: what ran on then is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from scheduler.core.fair_share import NOTHING, grown
from scheduler.core.jobs import Attempt, AttemptState, Job, Phase
from scheduler.core.projects import OTHERS, Usage, Used
from scheduler.core.snapshot import Group, SitePolicy

RENEWED = timedelta(seconds=60)
"""How often decisions are told: turns change no sooner."""


class UsageBook:
    """The accounts of all projects. Without effect where the site names none."""

    def __init__(self, site: SitePolicy, at: datetime) -> None:
        self._half_life_s = site.fair_share.half_life_s
        self._names = {p.name for p in site.projects}
        self._rates: dict[str, tuple[str, int, float]] = {}  #: of attempts: project, GPUs, W
        self._projects: dict[str, list[float]] = {}  #: GPUs and W
        self._usages: dict[str, Usage] = {}
        self._at = at
        self.used: Used | None = None  #: as decisions are told

    def begin(
        self,
        used: Used | None,
        attempts: Mapping[str, Attempt],
        jobs: Mapping[str, Job],
        groups: Mapping[str, Group],
    ) -> None:
        """Go on from what an earlier leader left, decayed since, with what runs now."""
        if not self._names:
            return
        for name, usage in (used.projects if used is not None else {}).items():
            since_s = max(0.0, (self._at - used.at).total_seconds()) if used is not None else 0.0
            self._grow(self._key(name), usage, since_s)
        self.note(attempts, jobs, groups)
        self._tell()

    def pass_to(
        self,
        at: datetime,
        changed: Mapping[str, Attempt],
        jobs: Mapping[str, Job],
        groups: Mapping[str, Group],
    ) -> None:
        """Time has passed since the last call, with what ran then; from now on these attempts are as changed."""
        if not self._names:
            return
        seconds = (at - self._at).total_seconds()
        if seconds > 0:
            for name in self._usages.keys() | self._projects.keys():
                gpus, watts = self._projects.get(name, (0.0, 0.0))
                self._usages[name] = grown(
                    self._usages.get(name, NOTHING),
                    gpus=gpus,
                    watts=watts,
                    seconds=seconds,
                    half_life_s=self._half_life_s,
                )
            self._at = at
        self.note(changed, jobs, groups)
        if self.used is None or at - self.used.at >= RENEWED:
            self._tell()

    def note(
        self, changed: Mapping[str, Attempt], jobs: Mapping[str, Job], groups: Mapping[str, Group]
    ) -> None:
        """Attempts are as given from now on."""
        for attempt in changed.values():
            project, gpus, watts = self._rates.pop(attempt.id, ("", 0, 0.0))
            self._add(project, -gpus, -watts)
            job = jobs.get(attempt.job_id)
            if job is None or attempt.state is AttemptState.ENDED:
                continue
            rate = (self._key(job.spec.project), attempt.gpu_count, entitled_w(attempt, groups))
            self._rates[attempt.id] = rate
            self._add(*rate)

    def _add(self, project: str, gpus: int, watts: float) -> None:
        if gpus:
            sums = self._projects.setdefault(project, [0, 0.0])
            sums[0] += gpus
            sums[1] += watts
            if sums[0] <= 0:
                del self._projects[project]  # or rounding would leave it a few microwatts for ever

    def _grow(self, name: str, usage: Usage, seconds: float) -> None:
        left = grown(usage, gpus=0.0, watts=0.0, seconds=seconds, half_life_s=self._half_life_s)
        known = self._usages.get(name, NOTHING)
        self._usages[name] = Usage(gpu_h=known.gpu_h + left.gpu_h, kwh=known.kwh + left.kwh)

    def _key(self, project: str) -> str:
        return project if project in self._names else OTHERS

    def _tell(self) -> None:
        self.used = Used(at=self._at, projects=dict(sorted(self._usages.items())))


def entitled_w(attempt: Attempt, groups: Mapping[str, Group]) -> float:
    """What the GPUs of an attempt may draw by its orders, W."""
    total_w = 0.0
    for placement in attempt.placements:
        group = groups.get(placement.node_id)
        if group is None or not group.spec.gpus:
            continue
        model = group.spec.gpus[0].power
        each_w = model.charge_w(attempt.cap_w) if attempt.phase is Phase.RUN else model.held_w()
        total_w += len(placement.gpu_ids) * each_w
    return total_w
