"""Drives the real loop over a simulated site on a virtual clock, from event to event (DESIGN section 9).

At each instant at which anything is due: what is due happens, guards that have news report, the loop ticks if it was
woken, and what holds from then on is noted. Between two such instants nothing is done.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from scheduler.core.decide import Decision, Foreseeing, Policy, PowerAware
from scheduler.core.jobs import Job, JobSpec, JobState, Launch, Phase
from scheduler.core.orders import AttemptOrder, GroupKind, GroupSpec, GuardReport
from scheduler.core.snapshot import Group, MeterReading
from scheduler.garbage import uncollected
from scheduler.reconcile import Reconciler, Recorder
from scheduler.sim.answers import is_awaited, is_progress
from scheduler.sim.clock import BEGAN_AT, Timeline, us, us_of
from scheduler.sim.cluster import SimCluster
from scheduler.sim.gang import Gang
from scheduler.sim.guard import Leased
from scheduler.sim.machines import Machines, SimMachines
from scheduler.sim.miners import SimMiners
from scheduler.sim.node import SimNode
from scheduler.sim.notes import Notes
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.store import JobStore, Listener, SimRecorder, SimStore
from scheduler.sim.supply import Supply
from scheduler.sim.work import Demand, JobRun
from scheduler.sim.workload import PowerTrace, SimJob
from scheduler.view import View

GATHER_US = us(0.05)  #: events that come within this long share a tick, as in the service
ANSWERED_US = us(1.0)  #: what an answer to an order tells waits for the service's period
FOR_EVER_S = 1e12  #: figures of the chain do not age in a run
SOURCE = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is simulated."""

    jobs: Sequence[SimJob]
    power: PowerTrace
    site: SimSite
    policy: Policy
    window_s: float
    jobs_name: str = "jobs"
    seed: int = 0
    keep_spans: bool = False
    listener: Listener | None = None  #: sees every decision


class Engine:
    """One run. Raises ValueError on a case that makes no sense."""

    def __init__(self, case: Case) -> None:
        _check(case)
        self.case = case
        self.timeline = Timeline()
        self.end_us = us(case.window_s)
        self.demand = Demand()
        if case.keep_spans:
            self.demand.spans = []
        self.runs: dict[str, JobRun] = {}
        self.ticks = self.events = 0
        self.loop_s = 0.0  #: that passed in the loop
        self._gangs: dict[str, Gang] = {}  #: the newest of each job
        self._news: dict[str, Leased] = {}
        self._tick_us = 0
        self._answers: list[tuple[GuardReport, Group]] = []
        self._specs = case.site.specs()
        self.nodes = [self._node(s) for s in self._specs.values() if s.kind is GroupKind.NODE]
        self.miners = [self._miner(self._specs[p.name], p) for p in case.site.partners]
        self.groups: dict[str, Leased] = {g.spec.group_id: g for g in (*self.nodes, *self.miners)}
        self.store: JobStore = SimStore()
        self.cluster = SimCluster(self.groups, self._answered)
        self.notes = Notes(case.site, self.nodes, self.miners, self.demand)
        self.supply = _supply(case)
        self._launch = _launch(case)

    async def run(self) -> RunOutcome:
        """From the start of the window to its end."""
        with (
            uncollected()
        ):  # next to nothing of a run is in cycles, and all else that it keeps would be looked through
            return await self._run()

    async def _run(self) -> RunOutcome:
        began_s = time.perf_counter()
        await self._lead()
        self._schedule()
        while True:
            next_us = min(self.timeline.next_us(), self._tick_us)
            if next_us >= self.end_us:
                break
            self.timeline.now_us = max(next_us, self.timeline.now_us)
            self.events += self.timeline.settle()
            await self._listen()
            self._hear()
            if self._tick_us <= self.timeline.now_us:
                await self._tick()
            self._look()
        self.timeline.now_us = self.end_us
        return self._outcome(time.perf_counter() - began_s)

    def _outcome(self, wall_s: float) -> RunOutcome:
        case = self.case
        for gang in self._gangs.values():
            gang.close_books()
        return RunOutcome(
            policy=case.policy.name,
            jobs_name=case.jobs_name,
            power_name=case.power.name,
            seed=case.seed,
            window_s=case.window_s,
            reaction_s=case.site.reaction_s,
            intervals=tuple(self.notes.intervals),
            jobs=tuple(run.outcome() for run in self.runs.values()),
            wall_s=wall_s,
            spans=tuple(self.demand.spans or ()),
        )

    def _look(self) -> None:
        """Note what holds from now on."""
        self.notes.note(self.timeline.now_us, self.supply.limit_w(self.timeline.now_us))

    async def _lead(self) -> None:
        """A leader begins from what the store has."""
        case, now = self.case, self.timeline.now()
        epoch, stored = await self.store.claim("simulated", at=now), await self.store.load()
        self.view = View(case.site.policy(), self._specs, epoch=epoch, at=now, sources=self._sources())
        self.view.restore(stored)
        if (chain := case.site.chain) is not None:
            self.view.chain = replace(chain, as_of_at=now, stale_after_s=FOR_EVER_S)
        self.loop = Reconciler(
            view=self.view,
            store=self.store,
            cluster=self.cluster,
            clock=self.timeline,
            policy=case.policy,
            journal=self._recorder,
        )

    def _sources(self) -> Sequence[str]:
        """What tells the limit."""
        return [SOURCE]

    def _recorder(self, epoch: int) -> Recorder:
        return SimRecorder(epoch, self.case.listener)

    async def _listen(self) -> None:
        """Hear what is due of the sources: here a change of the limit says so by itself."""

    # -- the loop --------------------------------------------------------------------------------------------------

    def wake(self, in_us: int) -> None:
        """Have the loop tick so much later at the latest."""
        self._tick_us = min(self._tick_us, self.timeline.now_us + in_us)

    def _answered(self, answers: Collection[GuardReport]) -> None:
        """Keep answers, and how their groups were known before them."""
        groups = self.view.groups
        self._answers += [(answer, groups[answer.spec.group_id]) for answer in answers]

    def _heed_answers(self, decision: Decision) -> None:
        """Look again soon if anything may follow from those that came."""
        answers, self._answers = self._answers, []
        groups, now, fall_s = self.view.groups, self.timeline.now(), self.case.site.timing.fall_s
        for answer, before in answers:
            heard = groups[answer.spec.group_id]
            if is_awaited(answer, before, heard, decision, now, fall_s=fall_s):
                self.wake(ANSWERED_US)
                return

    async def _tick(self) -> None:
        self.ticks += 1
        now_us = self.timeline.now_us
        self._tick_us = now_us + us(self.case.site.timing.rest_s)
        began_s = time.perf_counter()  # asking for the process's own time stalls a busy host
        decision = await self.loop.tick()
        self.loop_s += time.perf_counter() - began_s
        await self.loop.close()  # orders arrive
        self._heed_answers(decision)
        self._hear()
        if decision.wake_at is not None:
            self._tick_us = min(self._tick_us, max(us_of(decision.wake_at), now_us + 1))
        if any(
            a.phase is Phase.SUSPEND and a.since_at == self.timeline.now() for a in decision.attempts.values()
        ):
            long_us = now_us + us(self.case.site.timing.suspend_max_s)  # then they have been held for long
            self.timeline.at(long_us, self._nudge, None)

    def _nudge(self, _: object) -> None:
        self.wake(0)

    def _hear(self) -> None:
        """Every guard that has news reports."""
        if not self._news:
            return
        news, self._news = self._news, {}
        for group in news.values():
            if group.version != group.told_version and not group.is_dark:
                self._report(group)

    def _report(self, group: Leased) -> None:
        self._take(group.report())

    def _take(self, report: GuardReport) -> None:
        group = self.view.groups[report.spec.group_id]
        if self.loop.on_report(report) and not is_progress(report, group):
            self.wake(GATHER_US)

    def _touch(self, group: Leased) -> None:
        """A guard has news, or another draw."""
        self._news[group.spec.group_id] = group
        self.notes.touch(group)

    # -- the site --------------------------------------------------------------------------------------------------

    def _node(self, spec: GroupSpec) -> SimNode:
        return SimNode(spec, self.timeline, gangs=self._gang, **self._leases())

    def _miner(self, spec: GroupSpec, partner: Partner) -> Leased:
        pace = {"down_s": partner.down_s, "up_s": partner.up_s}
        if spec.machine is None:
            return SimMiners(spec, self.timeline, **pace, **self._leases())
        machines = Machines(kind=spec.machine, count=int(spec.miners_max_w // spec.machine.max_w), **pace)
        return SimMachines(spec, self.timeline, machines=machines, **self._leases())

    def _leases(self) -> dict[str, Any]:
        save_after_s = self.case.site.timing.save_after_s
        return {"save_after_s": save_after_s, "touched": self._touch, "until_us": self.end_us}

    def _gang(self, order: AttemptOrder) -> Gang:
        """The gang of an attempt; its first member makes it."""
        gang = self._gangs.get(order.job_id)
        if gang is None or gang.attempt_id != order.attempt_id:
            site = self.case.site
            gang = self._gangs[order.job_id] = Gang(
                self.runs[order.job_id],
                order.attempt_id,
                size=order.rank.nodes,
                pace=site.pace,
                model=site.model,
                overhead=site.overhead,
                timeline=self.timeline,
            )
        return gang

    # -- what is due -----------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """The whole window's arrivals and limits, and the first words of the guards."""
        at, site = self.timeline.at, self.case.site
        for number, job in enumerate(sorted(self.case.jobs, key=lambda j: (j.arrives_s, j.id)), start=1):
            if us(job.arrives_s) < self.end_us:
                at(us(job.arrives_s), self._arrive, (number, job))
        for at_us in self.supply.news_us(self.end_us):
            at(at_us, self._tell_limit, None)
        for at_us in self.supply.changes_us(self.end_us):
            at(at_us, self._feed, None)
        if site.timing.heartbeat_s is not None:
            at(us(site.timing.heartbeat_s), self._beat, None)
        if site.timing.meter_s is not None:
            at(us(site.timing.meter_s), self._measure, None)
        for group in self.groups.values():
            self._report(group)
        self._tick_us = 0

    def _arrive(self, what: tuple[int, SimJob]) -> None:
        number, job = what
        now = self.timeline.now()
        self.runs[job.id] = JobRun(job, self.demand, self.timeline.now_us)
        new = Job(
            id=job.id,
            number=number,
            spec=self._spec(job),
            submitted_at=now,
            state=JobState.PENDING,
            since_at=now,
        )
        self.store.submit(new)
        if not self._would_wait(new):
            self.wake(GATHER_US)

    def _would_wait(self, job: Job) -> bool:
        """Whether it is left to the next round: nothing else would come of one just for it."""
        policy = self.case.policy
        return isinstance(policy, Foreseeing) and policy.would_wait(job)

    def _spec(self, job: SimJob) -> JobSpec:
        per_node = self.case.site.gpus
        nodes = -(-job.gpus // per_node)
        rest = job.gpus - (nodes - 1) * per_node
        return JobSpec(
            name=job.id,
            launch=self._launch,
            gpus=min(job.gpus, per_node),
            nodes=nodes,
            last_gpus=rest if nodes > 1 and rest < per_node else None,
            scatter=self.case.site.scatter,
            topology=self.case.site.together,
            priority=job.priority,
            flex=job.flex,
            project=job.project,
            deadline_at=_deadline_at(job),
            estimate_s=job.estimate_s,
        )

    def _tell_limit(self, _: object) -> None:
        """Another change of the limit is known from now on, or binds."""
        self.view.envelopes[SOURCE] = self.supply.envelope(self.timeline.now_us)
        self.wake(0)

    def _feed(self, _: object) -> None:
        """The limit is another from now on. At 0 W the site is without power: hosts go dark, whatever was decided."""
        for group in self.groups.values():
            is_dark = self._lacks_power(group)
            if group.is_dark is not is_dark:
                if is_dark:
                    group.go_dark()
                else:
                    group.wake()

    def _lacks_power(self, group: Leased) -> bool:
        """Whether a group is without power now."""
        del group
        return bool(self.supply.limit_w(self.timeline.now_us) <= 0.0)

    def _beat(self, _: object) -> None:
        """Every guard that has power reports, news or none."""
        for group in self.groups.values():
            if not group.is_dark:
                self._report(group)
        self.timeline.at(
            self.timeline.now_us + us(self.case.site.timing.heartbeat_s or 0.0), self._beat, None
        )

    def _measure(self, _: object) -> None:
        """The site meter is read."""
        reading = MeterReading(draw_w=self.notes.site_w(), measured_at=self.timeline.now())
        self.loop.on_meter(reading)
        self.timeline.at(self.timeline.now_us + us(self.case.site.timing.meter_s or 0.0), self._measure, None)


def _check(case: Case) -> None:
    seen: set[str] = set()
    for job in case.jobs:
        if job.id in seen:
            raise ValueError(f"jobs: {job.id} is there twice; give each job an id of its own")
        if job.gpus < 1 or not 0.0 < job.work_s < math.inf or job.arrives_s < 0:
            raise ValueError(
                f"jobs: {job.id} asks for {job.gpus} GPUs for {job.work_s:g} s from {job.arrives_s:g} s on; "
                "GPUs and work have to be positive, the arrival at least 0"
            )
        seen.add(job.id)


def _supply(case: Case) -> Supply:
    site = case.site
    return Supply(
        case.power,
        notice_s=site.notice_s,
        reaction_s=site.reaction_s,
        source=SOURCE,
        forecast_error=site.forecast_error,
        seed=case.seed,
    )


def _launch(case: Case) -> Launch:
    site = case.site
    return Launch(
        command=("simulated",),
        working_dir="/sim",
        checkpoint_dir="/sim",
        output_dir="/sim",
        log_path="/sim/log",
        checkpoint_interval_s=site.pace.checkpoint_interval_s,
        checkpoint_auto=site.checkpoint_auto and isinstance(case.policy, PowerAware),
        grace_s=site.pace.grace_s,
    )


def _deadline_at(job: SimJob) -> datetime | None:
    return None if job.deadline_s is None else BEGAN_AT + timedelta(seconds=job.arrives_s + job.deadline_s)
