"""A simulated site on which things go wrong. A promise that breaks ends the run.

At every instant (DESIGN section 1): outside the reaction time the site draws no more than the limit, as far as anybody
was told of it; no node draws more than its guard is entitled to, outside a fall; no job lives twice; whoever waits or
is suspended knows why. A miner that lies about its draw is found out by the meter alone, and again each time that its
excess shows: then a reaction time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from scheduler.core.decide import Decision
from scheduler.core.entitlement import idle_w
from scheduler.core.envelope import Envelope, lowest
from scheduler.core.jobs import WAITING_STATES, AttemptState, JobState, Phase
from scheduler.core.orders import AttemptOrder, GuardReport, Order
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.errors import BarqError
from scheduler.sim.clock import US, us
from scheduler.sim.cluster import SimCluster
from scheduler.sim.engine import ANSWERED_US, SOURCE, Case, Engine
from scheduler.sim.fault_rates import Fault, FaultRates
from scheduler.sim.faults import Mishaps, Span
from scheduler.sim.gang import Gang
from scheduler.sim.guard import Leased
from scheduler.sim.machines import SimMachines
from scheduler.sim.metered import true_factor
from scheduler.sim.miners import SimMiners
from scheduler.sim.node import SimNode
from scheduler.sim.outcome import RunOutcome
from scheduler.store.testing import InMemoryStore

STALE_S = 5.0
EPSILON_W = 1e-3


class Breach(BarqError):
    """A promise was broken. The message says which, when, and what repeats the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """Which of them end a run when they break. That no job lives twice always does."""

    limit: bool = True  #: the site's, and what guards are entitled to
    despite_miners: bool = True
    """That of the site even while miners lie about their draw: all else has to be able to make room for them."""
    reasons: bool = True  #: of whoever waits


ALL = Promises()
NONE = Promises(limit=False, despite_miners=False, reasons=False)


class _Links(SimCluster):
    """Loses and delays orders and answers."""

    def __init__(self, site: Faulty) -> None:
        super().__init__(site.groups, lambda _: site.woken())
        self._site = site

    async def deliver(self, orders: Any, *, timeout_s: float) -> dict[str, GuardReport | str]:  # noqa: ANN401 - as in the port
        """Per group: the report that came back, or why none did."""
        del timeout_s
        self.orders += len(orders)
        self._site.woken()
        return {order.group_id: self._deliver(order) for order in orders}

    def _deliver(self, order: Order) -> GuardReport | str:
        site, mishaps = self._site, self._site.mishaps
        guard = site.groups[order.group_id]
        if not site.is_heard(guard) or mishaps.happens(mishaps.rates.order_lost):
            return "the order was lost"
        if mishaps.happens(mishaps.rates.order_late):
            late_us = site.timeline.now_us + us(mishaps.late_s())
            site.timeline.at(late_us, self._arrive, order)
            return "no answer within the deadline"
        guard.take(order)
        return "the answer was lost" if mishaps.happens(mishaps.rates.report_lost) else guard.report()

    def _arrive(self, order: Order) -> None:
        guard = self._site.groups[order.group_id]
        if self._site.is_heard(guard):
            guard.take(order)


class Faulty(Engine):
    """One run with faults. Raises `Breach`; ValueError where nobody would notice that somebody is silent."""

    def __init__(self, case: Case, rates: FaultRates, *, promised: Promises = ALL, repeat: str = "") -> None:
        if case.site.timing.heartbeat_s is None:
            raise ValueError(
                "timing.heartbeat_s: None; faults need guards that report by themselves: give it 1 s, and real leases"
            )
        super().__init__(replace(case, listener=self._judge))
        self._listener = case.listener
        self.mishaps = Mishaps(case.seed, rates)
        self.database = InMemoryStore()
        self.store, self.cluster = self.database, _Links(self)
        self.standing: dict[tuple[Fault, str], Span] = {}  #: what is wrong now
        self.happened: Counter[Fault] = Counter()
        self._promised = promised
        self._must_lead = False
        self._repeat = repeat
        self._told: Envelope = self.supply.envelope(0)
        self._over_since_us: int | None = None
        self._lied_us = (
            -us(case.site.reaction_s) - 1
        )  #: when miners did last while the site was over its limit
        self._hall = true_factor(case.site)
        self.margin = case.site.margin  #: that was decided with last
        self.proven_s = 0.0  #: for how long that was less than the site file's
        self._rest_w = {n.spec.group_id: idle_w(n.spec) for n in self.nodes}
        """What a host draws that goes down or comes up, and counts at until it said that it is down."""
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
        group = self.groups.get(span.group_id)
        if span.fault is Fault.CRASH and isinstance(group, SimNode) and not group.is_powered:
            return  # what is in standby does not crash
        self.happened[span.fault] += 1
        self.standing[span.fault, span.group_id] = span
        self._turn(span, wrong=True)

    def _end(self, span: Span) -> None:
        if self.standing.pop((span.fault, span.group_id), None) is not None:
            self._turn(span, wrong=False)

    def _turn(self, span: Span, *, wrong: bool) -> None:
        group = self.groups.get(span.group_id)
        if span.fault is Fault.CRASH:
            self._feed(None)
        elif span.fault is Fault.STUBBORN and isinstance(group, SimMiners | SimMachines):
            group.behave(stubborn=wrong)
        elif span.fault is Fault.STORELESS:
            self.database.up = not wrong

    def _lacks_power(self, group: Leased) -> bool:
        return super()._lacks_power(group) or (Fault.CRASH, group.spec.group_id) in self.standing

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
        del self.database.records[:-1], self.database.events[:]  # a leader starts from the present

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
        if self._promised.limit:
            self._judge_draw(self.true_w(), self._allowed_w())
            for node in self.nodes:
                self._judge_node(
                    node, node.draw_w(), max(node.entitled_w(), self._rest_w[node.spec.group_id])
                )

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
        long_us = us(self.case.site.reaction_s)
        if lies:
            self._lied_us = now_us
        if not self._promised.despite_miners and now_us - self._lied_us <= long_us:
            return
        if not lies or now_us - since_us > long_us:
            self._break(f"the site draws {draw_w:.1f} W and may draw {allowed_w:.1f} W")

    def _outcome(self, wall_s: float) -> RunOutcome:
        return replace(super()._outcome(wall_s), faults=dict(sorted(self.happened.items())))

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
        if self._listener is not None:
            self._listener(snapshot, decision)
        if not self._promised.reasons:
            return
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
        wrong = ", ".join(" ".join(filter(None, named)) for named in sorted(self.standing)) or "nothing"
        raise Breach(f"{self.timeline.now_us / US:.3f} s: {what}; wrong just then: {wrong}{self._repeat}")
