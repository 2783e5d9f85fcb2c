"""Runs with faults: `python -m scheduler.sim.trial --seed N --minutes M`. A promise that breaks ends the run.

At every instant (DESIGN section 1): outside the reaction time the site draws no more than the limit, as far as anybody
was told of it; no node draws more than its guard is entitled to, outside a fall; no job lives twice; whoever waits or
is suspended knows why. A miner that lies about its draw is found out by the meter alone, and again each time that its
excess shows: then a reaction time.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from dataclasses import fields, replace
from typing import Any, Final

from scheduler.core.decide import Decision, Policy, PowerAware
from scheduler.core.envelope import Envelope, lowest
from scheduler.core.jobs import WAITING_STATES, AttemptState, JobState, Phase
from scheduler.core.orders import AttemptOrder, GuardReport, Order
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.core.trim import TrimRule
from scheduler.errors import BarqError
from scheduler.sim.clock import US, us
from scheduler.sim.cluster import SimCluster
from scheduler.sim.engine import ANSWERED_US, SOURCE, Case, Engine
from scheduler.sim.faults import Fault, FaultRates, Mishaps, Span
from scheduler.sim.gang import Gang
from scheduler.sim.guard import Leased
from scheduler.sim.machines import SimMachines
from scheduler.sim.metered import MeteredSite, true_factor
from scheduler.sim.miners import SimMiners
from scheduler.sim.node import SimNode
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import Pace, Partner, SimSite, Timing
from scheduler.sim.workload import PowerTrace, SimJob
from scheduler.store.testing import InMemoryStore

STALE_S = 5.0
EPSILON_W = 1e-3
#: Either partner alone may refuse to obey at the firm level: all else can make room for it, and has to.
SITE = SimSite(
    name="trial",
    nodes=4,
    gpus=4,
    firm_w=9000.0,
    margin=0.02,
    standby=None,
    partners=(Partner(name="m1", max_w=1500.0, base_w=60.0), Partner(name="m2", max_w=1000.0, base_w=40.0)),
    pace=Pace(start_s=2.0, restore_s=10.0, save_s=5.0, checkpoint_interval_s=60.0, grace_s=20.0),
    timing=Timing(
        lease_s=15.0,
        fall_s=3.0,
        clock_uncertainty_s=0.5,
        suspend_max_s=60.0,
        restart_s=10.0,
        unreachable_after_s=5.0,
        lost_after_s=60.0,
        heartbeat_s=1.0,
        meter_s=1.0,
        rest_s=1.0,
    ),
)
METER: Final = TrimRule(most=0.02, accuracy=0.01, least=0.012)
HALLS: Final = (1.0, 1.01, 0.98)
"""What metered sites draw in truth, of what their files say: by seed."""


def metered(site: SimSite, *, seed: int, trim: TrimRule = METER) -> MeteredSite:
    """The same with a trusted meter, work that draws all that it may, and a hall other than its file says."""
    known = {f.name: getattr(site, f.name) for f in fields(SimSite)} | {"margin": 0.03}
    trim = replace(trim, fresh_s=2.0 * (site.timing.meter_s or 1.0))
    return MeteredSite(**known, trim=trim, work=1.0, hall=HALLS[seed % len(HALLS)])


class Breach(BarqError):
    """A promise was broken. The message says which, when, and what repeats the run."""


class _Links(SimCluster):
    """Loses and delays orders and answers."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(trial.groups, lambda _: trial.woken())
        self._trial = trial

    async def deliver(self, orders: Any, *, timeout_s: float) -> dict[str, GuardReport | str]:  # noqa: ANN401 - as in the port
        """Per group: the report that came back, or why none did."""
        del timeout_s
        self.orders += len(orders)
        self._trial.woken()
        return {order.group_id: self._deliver(order) for order in orders}

    def _deliver(self, order: Order) -> GuardReport | str:
        trial, mishaps = self._trial, self._trial.mishaps
        guard = trial.groups[order.group_id]
        if not trial.is_heard(guard) or mishaps.happens(mishaps.rates.order_lost):
            return "the order was lost"
        if mishaps.happens(mishaps.rates.order_late):
            late_us = trial.timeline.now_us + us(mishaps.late_s())
            trial.timeline.at(late_us, self._arrive, order)
            return "no answer within the deadline"
        guard.take(order)
        return "the answer was lost" if mishaps.happens(mishaps.rates.report_lost) else guard.report()

    def _arrive(self, order: Order) -> None:
        guard = self._trial.groups[order.group_id]
        if self._trial.is_heard(guard):
            guard.take(order)


class Trial(Engine):
    """One run with faults. Raises `Breach`; ValueError where nobody would notice that somebody is silent."""

    def __init__(self, case: Case, rates: FaultRates, *, repeat: str = "") -> None:
        if case.site.timing.heartbeat_s is None:
            raise ValueError(
                "timing.heartbeat_s: None; faults need guards that report by themselves: give it 1 s, and real leases"
            )
        super().__init__(replace(case, listener=self._judge))
        self.mishaps = Mishaps(case.seed, rates)
        self.database = InMemoryStore()
        self.store, self.cluster = self.database, _Links(self)
        self.standing: dict[tuple[Fault, str], Span] = {}  #: what is wrong now
        self.happened = 0
        self._must_lead = False
        self._repeat = repeat
        self._told: Envelope = self.supply.envelope(0)
        self._over_since_us: int | None = None
        self._hall = true_factor(case.site)
        self.margin = case.site.margin  #: that was decided with last
        self.proven_s = 0.0  #: for how long that was less than the site file's
        self._falling_us: dict[str, int] = {}  #: nodes over their entitlement, and since when
        self._limits: list[tuple[int, float]] = []  #: (since, W) as told, oldest first

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def is_heard(self, guard: Leased) -> bool:
        """Whether anything reaches a guard, and comes back."""
        return not guard.is_dark and (Fault.CUT, guard.spec.group_id) not in self.standing

    def _is(self, fault: Fault) -> bool:
        return (fault, "") in self.standing

    def woken(self) -> None:
        """There may be something new soon."""
        self.wake(ANSWERED_US)

    def _schedule(self) -> None:
        super()._schedule()
        nodes, miners = [n.spec.group_id for n in self.nodes], [m.spec.group_id for m in self.miners]
        for span in self.mishaps.spans(nodes, miners, self.case.window_s):
            self.timeline.at(us(span.starts_s), self._begin, span)
            self.timeline.at(us(span.ends_s), self._end, span)

    def _begin(self, span: Span) -> None:
        self.happened += 1
        self.standing[span.fault, span.group_id] = span
        self._turn(span, wrong=True)

    def _end(self, span: Span) -> None:
        self.standing.pop((span.fault, span.group_id), None)
        self._turn(span, wrong=False)

    def _turn(self, span: Span, *, wrong: bool) -> None:
        group = self.groups.get(span.group_id)
        if span.fault is Fault.CRASH and group is not None:
            if wrong:
                group.go_dark()
            else:
                group.wake()
        elif span.fault is Fault.STUBBORN and isinstance(group, SimMiners | SimMachines):
            group.behave(stubborn=wrong)
        elif span.fault is Fault.STORELESS:
            self.database.up = not wrong

    # -- the engine, with faults -----------------------------------------------------------------------------------

    def _report(self, group: Leased) -> None:
        report, rates = group.report(), self.mishaps.rates
        if not self.is_heard(group) or self.mishaps.happens(rates.report_lost):
            return
        if self.mishaps.happens(rates.report_late):
            self.timeline.at(self.timeline.now_us + us(self.mishaps.late_s()), self._take, report)
        else:
            self._take(report)

    def _take(self, report: GuardReport) -> None:
        if not self._is(Fault.LEADERLESS):
            super()._take(report)

    async def _tick(self) -> None:
        if self._is(Fault.LEADERLESS):
            self._tick_us = self.timeline.now_us + us(self.case.site.timing.rest_s)
            self._must_lead = True
            return
        if self._must_lead:
            if not self.database.up:
                self._tick_us = self.timeline.now_us + us(self.case.site.timing.rest_s)
                return
            await self._lead()
            self._must_lead = False
        self._heed()
        await super()._tick()

    def _heed(self) -> None:
        """The limit as it was told last."""
        self.view.envelopes[SOURCE] = self._told

    def _tell_limit(self, _: object) -> None:
        if not self._is(Fault.SILENCE):
            self._told = replace(self.supply.envelope(self.timeline.now_us), stale_after_s=STALE_S)
            self._note_limit()
            self.wake(0)

    def _beat(self, what: object) -> None:
        super()._beat(what)
        self._tell_limit(None)

    def _measure(self, _: object) -> None:
        now_us, meter_s = self.timeline.now_us, self.case.site.timing.meter_s or 1.0
        self.timeline.at(now_us + us(meter_s), self._measure, None)
        self.proven_s += meter_s * (self.margin < self.case.site.margin)
        if self._is(Fault.BLIND) or self._is(Fault.LEADERLESS):
            return
        lie = self.standing.get((Fault.LIE, ""))
        draw_w = self.true_w() * (lie.factor if lie else 1.0)
        self.loop.on_meter(MeterReading(draw_w=draw_w, measured_at=self.timeline.now()))

    def _gang(self, order: AttemptOrder) -> Gang:
        before = self._gangs.get(order.job_id)
        gang = super()._gang(order)
        if gang is not before:
            gang.fails = lambda: self.mishaps.happens(self.mishaps.rates.save_fails)
            if before is not None and not before.is_over:
                self._break(f"{order.job_id} lives twice: {before.attempt_id} and {gang.attempt_id}")
        return gang

    # -- what must never be ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        super()._look()
        self._note_limit()
        self._judge_draw(self.true_w(), self._allowed_w())
        for node in self.nodes:
            self._judge_node(node, node.draw_w(), node.entitled_w())

    def _judge_node(self, node: SimNode, draw_w: float, entitled_w: float) -> None:
        """Over what its guard is entitled to only for as long as the fall after a lowering order may take."""
        now_us, name = self.timeline.now_us, node.spec.group_id
        if not node.is_powered or draw_w <= entitled_w + EPSILON_W:
            self._falling_us.pop(name, None)
        elif now_us - self._falling_us.setdefault(name, now_us) > us(self.case.site.timing.fall_s):
            self._break(f"{name} draws {draw_w:.1f} W and may draw {entitled_w:.1f} W")

    def _judge_draw(self, draw_w: float, allowed_w: float) -> None:
        """Over the limit never; but each time that a miner is found out, which takes the meter a while."""
        now_us = self.timeline.now_us
        if draw_w <= allowed_w + EPSILON_W:
            self._over_since_us = None
            return
        since_us = self._over_since_us = now_us if self._over_since_us is None else self._over_since_us
        lies = any(fault is Fault.STUBBORN for fault, _ in self.standing)
        if not lies or now_us - since_us > us(self.case.site.reaction_s):
            self._break(f"the site draws {draw_w:.1f} W and may draw {allowed_w:.1f} W")

    def true_w(self) -> float:
        """What the site draws."""
        return self.notes.site_w() * self._hall

    def _note_limit(self) -> None:
        now = self.timeline.now()
        limit_w = lowest([self._told], now, now=now, firm_w=self.case.site.firm_w).limit_w
        if not self._limits or self._limits[-1][1] != limit_w:
            self._limits.append((self.timeline.now_us, limit_w))

    def _allowed_w(self) -> float:
        """The highest limit in force at any instant of the last reaction time."""
        since_us = self.timeline.now_us - us(self.case.site.reaction_s)
        while len(self._limits) > 1 and self._limits[1][0] <= since_us:
            del self._limits[0]
        return max(w for _, w in self._limits)

    def _judge(self, snapshot: Snapshot, decision: Decision) -> None:
        """Whoever waits knows why."""
        self.margin = snapshot.margin
        held = {
            a.job_id
            for a in ({**snapshot.attempts, **decision.attempts}).values()
            if a.phase is Phase.SUSPEND and a.state is AttemptState.SUSPENDED
        }
        for job in ({**snapshot.jobs, **decision.jobs}).values():
            waits = job.state in WAITING_STATES or job.state is JobState.HELD or job.id in held
            if waits and job.id not in decision.reasons:
                self._break(f"{job.id} is {job.state} and was given no reason")

    def _break(self, what: str) -> None:
        raise Breach(
            f"{self.timeline.now_us / US:.3f} s: {what}; wrong now: {sorted(self.standing)}{self._repeat}"
        )


def trial_case(seed: int, minutes: float, policy: Policy | None = None, site: SimSite = SITE) -> Case:
    """Jobs of all sizes on a small site, under a limit that jumps without notice and never falls below firm."""
    chance, window_s = random.Random(seed), minutes * 60.0  # noqa: S311 - seeded, to be repeated
    jobs: list[SimJob] = []
    steps, at_s = [(0.0, 16_000.0)], 0.0
    while (at_s := round(at_s + chance.expovariate(1 / 40.0), 3)) < window_s:
        gpus, flex = chance.choice([1, 1, 2, 4, 6, 8]), chance.choice([0, 2, 4, 4, 4])
        jobs.append(
            SimJob(
                id=f"j{len(jobs)}", arrives_s=at_s, gpus=gpus, work_s=chance.uniform(20.0, 400.0), flex=flex
            )
        )
    while (at_s := round(steps[-1][0] + 1.0 + chance.expovariate(1 / 60.0), 3)) < window_s:
        steps.append((at_s, chance.choice([9000.0, 10_000.0, 13_000.0, 16_000.0])))
    power = PowerTrace(name="jumps", steps=tuple(steps))
    return Case(
        jobs=jobs, power=power, site=site, policy=policy or PowerAware(), window_s=window_s, seed=seed
    )


def trial(
    seed: int,
    *,
    minutes: float = 20.0,
    policy: Policy | None = None,
    rates: FaultRates | None = None,
    has_meter: bool = True,
) -> RunOutcome:
    """One run with faults. Raises `Breach` with the command that repeats it."""
    site = SITE if has_meter else replace(SITE, timing=replace(SITE.timing, meter_s=None))
    return asyncio.run(_trial(seed, minutes, site, policy, rates).run())


def metered_trial(seed: int, *, minutes: float = 20.0, trim: TrimRule = METER) -> float:
    """The same of a site with a trusted meter: for how long that had proved a smaller margin, s. Raises `Breach`."""
    run = _trial(seed, minutes, metered(SITE, seed=seed, trim=trim), None, None)
    asyncio.run(run.run())
    return run.proven_s


def _trial(
    seed: int, minutes: float, site: SimSite, policy: Policy | None, rates: FaultRates | None
) -> Trial:
    flag = " --metered" if isinstance(site, MeteredSite) else ""
    repeat = f"; again: python -m scheduler.sim.trial --seed {seed} --minutes {minutes:g}{flag}"
    return Trial(trial_case(seed, minutes, policy, site), rates or FaultRates(), repeat=repeat)


def main() -> int:
    """Entry point: 0 when every promise held, 1 with what broke."""
    parser = argparse.ArgumentParser(
        description="simulated sites with faults; tells what repeats a broken promise"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--runs", type=int, default=1, help="with one seed after the other")
    parser.add_argument("--minutes", type=float, default=20.0, help="of each run, simulated")
    parser.add_argument(
        "--metered", action="store_true", help="with a meter that is trusted to prove a margin"
    )
    args = parser.parse_args()
    logging.getLogger("scheduler").setLevel(logging.CRITICAL)  # what goes wrong is the point of it
    broken, proven_s = 0, 0.0
    for seed in range(args.seed, args.seed + args.runs):
        try:
            if args.metered:
                proven_s += metered_trial(seed, minutes=args.minutes)
            else:
                trial(seed, minutes=args.minutes)
        except Breach as breach:
            broken += 1
            sys.stdout.write(f"seed {seed}: {breach}\n")
    hours = args.runs * args.minutes / 60.0
    each = f"one in {hours / broken:.1f} hours" if broken else "none"
    sys.stdout.write(f"{hours:.1f} simulated hours with faults; broken promises: {broken} ({each})\n")
    if args.metered:
        sys.stdout.write(f"of them with a proven margin: {proven_s / 3600.0:.1f}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
