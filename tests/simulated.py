"""A small simulated site, and the parts of one without a loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptOrder, FallbackStep, Fence, Order, Rank
from scheduler.sim.clock import Timeline, us
from scheduler.sim.gang import Gang
from scheduler.sim.node import SimNode
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.run import run
from scheduler.sim.site import Pace, Partner, SimSite
from scheduler.sim.work import Demand, JobRun
from scheduler.sim.workload import PowerTrace, SimJob

HOUR_S = 3600.0
SITE = SimSite(
    name="small",
    nodes=4,
    gpus=4,
    firm_w=8200.0,
    partners=(Partner(name="m1", max_w=6000.0), Partner(name="m2", max_w=3000.0)),
)
AMPLE_W = 40_000.0


def power(*steps: tuple[float, float]) -> PowerTrace:
    """A limit by (s, W)."""
    return PowerTrace(name="steps", steps=steps)


def job(name: str, *, gpus: int = 1, work_s: float = 1000.0, arrives_s: float = 0.0, **more: Any) -> SimJob:
    """One job."""
    return SimJob(id=name, arrives_s=arrives_s, gpus=gpus, work_s=work_s, **more)


def simulated(
    jobs: Sequence[SimJob], trace: PowerTrace, *, hours: float = 4.0, site: SimSite = SITE, **more: Any
) -> RunOutcome:
    """A short run."""
    return run(jobs, trace, site, window_s=hours * HOUR_S, **more)


def busy_day(seed: int, *, hours: float, jobs_per_hour: float) -> tuple[list[SimJob], PowerTrace]:
    """Jobs of all sizes, under a limit that changes every quarter of an hour."""
    chance, at_s = random.Random(seed), 0.0
    jobs: list[SimJob] = []
    while (at_s := at_s + chance.expovariate(jobs_per_hour / HOUR_S)) < hours * HOUR_S:
        gpus = chance.choice([1, 1, 1, 2, 2, 3, 4, 6])
        jobs.append(
            job(f"j{len(jobs)}", gpus=gpus, work_s=chance.uniform(60.0, 5000.0), arrives_s=round(at_s, 3))
        )
    quarters = int(hours * 4)
    steps = [(q * 900.0, chance.choice([8200.0, 9500.0, 15_000.0, 24_000.0])) for q in range(quarters)]
    return jobs, power(*steps)


def energy_wh(outcome: RunOutcome, *fields: str) -> float:
    """Watt-hours of some of the intervals' fields over the window."""
    ends_s = [*(i.starts_s for i in outcome.intervals[1:]), outcome.window_s]
    spans = zip(outcome.intervals, ends_s, strict=True)
    return sum((end - i.starts_s) * sum(getattr(i, f) for f in fields) for i, end in spans) / HOUR_S


class Bench:
    """Nodes, and whoever gives them orders by hand."""

    def __init__(
        self, nodes: int = 1, *, work_s: float = 1000.0, until_s: float = 1e6, **pace: float
    ) -> None:
        self.timeline = Timeline()
        self.site = replace(SITE, nodes=nodes, pace=Pace(**pace))
        self.run = JobRun(job("j", gpus=4 * nodes, work_s=work_s), Demand(), 0)
        self.gangs: dict[str, Gang] = {}
        self.fence = 0
        specs = [s for s in self.site.specs().values() if s.gpus]
        self.nodes = [
            SimNode(
                spec,
                self.timeline,
                gangs=self._gang,
                save_after_s=self.site.timing.save_after_s,
                touched=lambda _: None,
                until_us=us(until_s),
            )
            for spec in specs
        ]

    def _gang(self, order: AttemptOrder) -> Gang:
        if order.attempt_id not in self.gangs:
            self.gangs[order.attempt_id] = Gang(
                self.run,
                order.attempt_id,
                size=order.rank.nodes,
                pace=self.site.pace,
                model=self.site.model,
                overhead=self.site.overhead,
                timeline=self.timeline,
            )
        return self.gangs[order.attempt_id]

    def order(self, index: int, *attempts: AttemptOrder, lease_s: float = 1e7, standby: bool = False) -> None:
        """One node is told."""
        node = self.nodes[index]
        self.fence += 1
        node.take(
            Order(
                group_id=node.spec.group_id,
                boot_id=node.report().boot_id,
                fence=Fence(epoch=1, seq=self.fence),
                expires_boottime_s=self.timeline.monotonic_s() + lease_s,
                entitlement_w=5000.0,
                fallback=(FallbackStep(after_s=0.0, limit_w=2000.0),),
                attempts=attempts,
                standby=standby,
            )
        )

    def tell(self, phase: Phase = Phase.RUN, *, cap_w: float = 400.0, number: int = 1, **more: Any) -> None:
        """All nodes are told the same of the job's attempt."""
        for index in range(len(self.nodes)):
            self.order(index, self.attempt(phase, cap_w=cap_w, number=number, node_rank=index), **more)

    def attempt(
        self, phase: Phase = Phase.RUN, *, cap_w: float = 400.0, number: int = 1, node_rank: int = 0
    ) -> AttemptOrder:
        """An order for the job's attempt."""
        return AttemptOrder(
            attempt_id=f"j.{number}",
            job_id="j",
            number=number,
            phase=phase,
            gpu_ids=("0", "1", "2", "3"),
            cap_w=cap_w,
            tier=4,
            launch=Launch(
                command=("x",),
                working_dir="/",
                checkpoint_dir="/c",
                output_dir="/o",
                log_path="/l",
                grace_s=60.0,
            ),
            rank=Rank(node_rank=node_rank, nodes=len(self.nodes)),
        )

    def wait(self, seconds: float) -> None:
        """Time passes, event by event."""
        end_us = self.timeline.now_us + us(seconds)
        while (next_us := self.timeline.next_us()) <= end_us:
            self.timeline.now_us = max(next_us, self.timeline.now_us)
            self.timeline.settle()
        self.timeline.now_us = end_us
        for gang in self.gangs.values():
            gang.settle()

    def seen(self) -> list[str]:
        """What each node reports of each attempt."""
        return [f.observed.value for n in self.nodes for f in n.report().attempts]
