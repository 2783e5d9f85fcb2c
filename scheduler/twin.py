"""The twin of a site in shadow mode: simulated guards behind the port `Cluster`, on the real clock, in this process.

They carry out orders by the very lease, fallback and power model of the simulator, and nobody else does: no process is
started, no device is asked or set. A job is taken to need, at full speed, what its `estimate` says, else
`OF_TIME_LIMIT` of its time limit; without either it runs until somebody cancels it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from scheduler.core.inventory import Inventory
from scheduler.core.jobs import JobSpec
from scheduler.core.orders import AttemptOrder, GroupKind, GroupSpec, GuardReport, Order
from scheduler.core.power import site_w
from scheduler.core.shadow import Draw
from scheduler.ports import Clock, ReportListener
from scheduler.settings import Site
from scheduler.sim.clock import NEVER_US, US, Timeline, us
from scheduler.sim.details import inventory_of
from scheduler.sim.gang import Gang
from scheduler.sim.guard import Leased
from scheduler.sim.machines import Machines, SimMachines
from scheduler.sim.miners import SimMiners
from scheduler.sim.node import SimNode
from scheduler.sim.site import Pace
from scheduler.sim.work import Demand, JobRun
from scheduler.sim.workload import SimJob
from scheduler.view import View

OF_TIME_LIMIT: Final = 0.9
"""Of its time limit a job is taken to need so much, where it says no more: people leave themselves some air."""
BEAT_S: Final = 1.0
"""Each group reports at least so often, news or none, as a real one does."""
_FOR_EVER_S: Final = 1e9
_PACE: Final = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a job has to do, seconds at full speed, and how much of it is done already."""

    gpus: int
    work_s: float = _FOR_EVER_S
    done_s: float = 0.0
    is_resumed: bool = False  #: an earlier attempt computed: this one restores first


Works = Callable[[AttemptOrder], Work]


def works_of(view: View) -> Works:
    """What jobs have to do, by what is known of them: after a restart they go on where they were seen last."""

    def work(order: AttemptOrder) -> Work:
        job, attempt = view.jobs.get(order.job_id), view.attempts.get(order.attempt_id)
        if job is None:
            return Work(gpus=len(order.gpu_ids) * order.rank.nodes)
        commit_s = job.last_commit.step if job.last_commit else 0
        seen_s = attempt.last_step if attempt and attempt.last_step is not None else commit_s
        return Work(
            gpus=job.spec.total_gpus,
            work_s=needed_s(job.spec),
            done_s=float(max(commit_s, seen_s)),
            is_resumed=commit_s > 0 and (attempt is None or attempt.running_at is None),
        )

    return work


def needed_s(spec: JobSpec) -> float:
    """How long a job is taken to run at full speed."""
    if spec.estimate_s is not None:
        return spec.estimate_s
    return _FOR_EVER_S if spec.time_limit_s is None else OF_TIME_LIMIT * spec.time_limit_s


class RealTime(Timeline):
    """A timeline that follows a real clock: what is due happens at its own instant, if a little later."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._began_s = clock.monotonic_s()

    def catch_up(self) -> None:
        """Do all that is due by now, one instant after the other."""
        now_us = us(self._clock.monotonic_s() - self._began_s)
        while (next_us := self.next_us()) <= now_us:
            self.now_us = max(self.now_us, next_us)
            self.settle()
        self.now_us = max(self.now_us, now_us)

    def left_s(self) -> float:
        """Until something is due."""
        return max(0.0, (self.next_us() - self.now_us) / US)


class Twin:
    """Implements the ports `Cluster` and `InventorySource`. It moves while `run` runs, and with each order."""

    def __init__(self, specs: Mapping[str, GroupSpec], site: Site, *, works: Works, clock: Clock) -> None:
        self._site, self._works, self._clock = site, works, clock
        self._time = RealTime(clock)
        self._demand = Demand()
        self._runs: dict[str, JobRun] = {}
        self._gangs: dict[str, Gang] = {}  #: the newest of each job
        self._news: dict[str, Leased] = {}
        self._moved = asyncio.Event()
        self._listener: ReportListener = _ignore
        self._is_closed = False
        self.nodes = [self._node(s) for s in specs.values() if s.kind is GroupKind.NODE]
        self.miners = [self._miner(s) for s in specs.values() if s.kind is GroupKind.MINERS]
        self._groups: dict[str, Leased] = {g.spec.group_id: g for g in (*self.nodes, *self.miners)}

    # -- the port --------------------------------------------------------------------------------------------------

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Have the groups follow at once. Per group: its report, or why there is none."""
        del timeout_s
        self._time.catch_up()
        answers = {o.group_id: self._answer(o) for o in orders}
        self._moved.set()
        return answers

    async def inventory(self, group_id: str, *, timeout_s: float) -> Inventory | str:
        """The machines of a group of miners as they are in the twin."""
        del timeout_s
        group = self._groups.get(group_id)
        miners = next((m for m in self._site.miners if m.name == group_id), None)
        if group is None or miners is None:
            return f"the twin has no miners {group_id}"
        self._time.catch_up()
        return inventory_of(group.report(), miners)

    def listen(self, on_report: ReportListener) -> None:
        """Have unasked reports handed over as they arise, while `run` runs."""
        self._listener = on_report

    async def close(self) -> None:
        """It moves no more, and reports no more."""
        self._is_closed, self._listener = True, _ignore
        self._moved.set()

    # -- as time goes by -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Let time pass in the twin until it is closed: what is due happens, and groups report."""
        beats_at_s = self._clock.monotonic_s()
        while not self._is_closed:
            self._moved.clear()
            self._time.catch_up()
            beats = self._clock.monotonic_s() >= beats_at_s
            if beats:
                beats_at_s = self._clock.monotonic_s() + BEAT_S
                self._count_up()
            self._tell(self._groups if beats else self._news)
            rest_s = min(beats_at_s - self._clock.monotonic_s(), self._time.left_s())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), timeout=max(0.0, rest_s))

    def draw(self) -> Draw:
        """What its meter would show now, and who draws it."""
        self._time.catch_up()
        site = self._site.power
        it_w = sum(n.draw_w() for n in self.nodes)
        miners_w = sum(m.draw_w() for m in self.miners)
        drawn_w = site_w(it_w=it_w, miners_w=miners_w, overhead=site.overhead, auxiliary_w=site.auxiliary_w)
        return Draw(
            at=self._clock.now(),
            draw_w=drawn_w,
            ai_w=site.overhead * sum(n.busy_w for n in self.nodes),
            miners_w=miners_w - sum(m.spec.base_w for m in self.miners),
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    def _answer(self, order: Order) -> GuardReport | str:
        group = self._groups.get(order.group_id)
        if self._is_closed or group is None:
            return "the twin is closed" if self._is_closed else f"the twin has no group {order.group_id}"
        group.take(order)
        return group.report()

    def _tell(self, groups: Mapping[str, Leased]) -> None:
        for group in list(groups.values()):
            if groups is self._groups or group.version != group.told_version:
                self._listener(group.report())
        self._news.clear()

    def _touch(self, group: Leased) -> None:
        """A group has news, or another draw."""
        self._news[group.spec.group_id] = group

    def _count_up(self) -> None:
        """Have reports tell of progress; forget what no node remembers: the store knows how far it got."""
        for gang in self._gangs.values():
            if not gang.is_over:
                gang.settle()
        held = {m.gang.run.job.id for n in self.nodes for m in n.members.values()}
        for job_id in self._runs.keys() - held:
            del self._runs[job_id], self._gangs[job_id]

    def _leases(self) -> dict[str, Any]:
        save_after_s = self._site.timing.save_after_s
        return {"save_after_s": save_after_s, "touched": self._touch, "until_us": NEVER_US}

    def _node(self, spec: GroupSpec) -> SimNode:
        return SimNode(spec, self._time, gangs=partial(self._gang, spec), **self._leases())

    def _miner(self, spec: GroupSpec) -> Leased:
        miners = next(m for m in self._site.miners if m.name == spec.group_id)
        span_w = miners.max_w - miners.rest_w
        pace = {"down_s": span_w / miners.ramp_down_w_per_s, "up_s": span_w / miners.ramp_up_w_per_s}
        if spec.machine is None:
            return SimMiners(spec, self._time, **pace, **self._leases())
        machines = Machines(kind=spec.machine, count=miners.count, **pace)
        return SimMachines(spec, self._time, machines=machines, **self._leases())

    def _gang(self, spec: GroupSpec, order: AttemptOrder) -> Gang:
        """The gang of an attempt; its first member makes it. GPUs of a node are taken to be alike."""
        gang = self._gangs.get(order.job_id)
        if gang is None or gang.attempt_id != order.attempt_id:
            launch = order.launch
            gang = self._gangs[order.job_id] = Gang(
                self._run_of(order),
                order.attempt_id,
                size=order.rank.nodes,
                pace=replace(
                    _PACE, checkpoint_interval_s=launch.checkpoint_interval_s, grace_s=launch.grace_s
                ),
                model=spec.gpus[0].power,
                overhead=self._site.power.overhead,
                timeline=self._time,
            )
        return gang

    def _run_of(self, order: AttemptOrder) -> JobRun:
        run = self._runs.get(order.job_id)
        if run is None:
            work = self._works(order)
            job = SimJob(id=order.job_id, arrives_s=0.0, gpus=work.gpus, work_s=work.work_s)
            run = self._runs[order.job_id] = JobRun(job, self._demand, self._time.now_us)
            run.committed_s, run.was_ready = min(work.done_s, work.work_s), work.is_resumed
        return run


def _ignore(_report: GuardReport) -> None:
    """Nobody listens yet."""
