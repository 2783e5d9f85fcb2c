"""A whole site on a virtual clock: the real loop, greedy guards, links that lose and delay, limits that change.

`advance` goes from event to event, so that nothing between two instants is missed; `breach` is looked at after each.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from scheduler.core.decide import Policy, PowerAware
from scheduler.core.domains import Domain, Zone, zones_of
from scheduler.core.envelope import Envelope, Segment, lowest, of_domain
from scheduler.core.estop import EmergencyStop
from scheduler.core.feeding import limit_below
from scheduler.core.jobs import Job, JobSpec, JobState
from scheduler.core.orders import FillerKind, GpuSlot, GroupKind, GroupSpec, GuardReport, Order
from scheduler.core.power import A100_SXM, site_w
from scheduler.core.snapshot import MeterReading, SitePolicy
from scheduler.core.trim import TrimRule
from scheduler.reconcile import Reconciler
from scheduler.store.testing import InMemoryStore
from scheduler.view import View
from tests.builders import launch
from tests.fakes import T0, FakeClock, FakeCluster
from tests.greedy_guard import GreedyGuard

STALE_S = 4.0
EPSILON_W = 1e-6


def node(name: str, gpus: int) -> GroupSpec:
    """A node of A100s."""
    slots = tuple(GpuSlot(gpu_id=str(i), model=A100_SXM.name) for i in range(gpus))
    return GroupSpec(group_id=name, kind=GroupKind.NODE, base_w=300.0, gpus=slots)


def miners(name: str, max_w: float) -> GroupSpec:
    """A group of miners."""
    return GroupSpec(group_id=name, kind=GroupKind.MINERS, base_w=40.0, miners_max_w=max_w)


SPECS = {s.group_id: s for s in (node("a", 4), node("b", 2), miners("m", 1500.0))}

#: Tight on purpose: a lease and a fall use up all of the reaction time.
POLICY = SitePolicy(
    name="s",
    firm_w=2400.0,
    overhead=1.25,
    auxiliary_w=100.0,
    margin=0.02,
    lease_s=6.0,
    fall_s=2.0,
    reaction_s=8.0,
    clock_uncertainty_s=0.25,
    save_after_s=2.0,
    suspend_max_s=10.0,
    raise_delay_s=2.0,
    restart_s=2.0,
    unreachable_after_s=3.0,
    lost_after_s=40.0,
)


@dataclass(slots=True, kw_only=True)
class Source:
    """One giver of limits, and whether it is heard."""

    told: Envelope
    is_silent: bool = False


@dataclass(slots=True)
class World:
    """The site and everything that can go wrong with it."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    guards: dict[str, GreedyGuard] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)  #: in flight
    reports: list[GuardReport] = field(default_factory=list)  #: in flight
    deaf: set[str] = field(default_factory=set)  #: guards that no order reaches
    mute: set[str] = field(default_factory=set)  #: guards of which no report arrives
    loop: Reconciler | None = None
    deposed: Reconciler | None = None
    submitted: int = 0
    stops: int = 0  #: how many emergency stops were made
    released: set[str] = field(default_factory=set)  #: those that a person released
    held: dict[str, str] = field(default_factory=dict)  #: the latch of each guard, by its stop's id
    is_stopped: bool = False  #: by a stop that is sure to be heard of within the reaction time
    limits: list[tuple[int, float]] = field(default_factory=list)  #: (since_ms, W) in force, oldest first
    below: dict[str, list[tuple[int, float]]] = field(
        default_factory=dict
    )  #: the same of each domain with sources
    bound: dict[str, str] = field(default_factory=dict)  #: the domain of each source that limits one
    policy: Callable[[], Policy] = PowerAware  #: of each leader
    domains: tuple[Domain, ...] = ()  #: below the site's meter
    saves_at_once: int | None = None
    filled: frozenset[str] = frozenset()  #: nodes with a filler
    specs: dict[str, GroupSpec] = field(init=False)
    trim: TrimRule | None = None  #: what its meter is trusted with, None = it has none of its own
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __post_init__(self) -> None:
        filler = FillerKind(name="f")
        self.specs = {g: replace(s, filler=filler if g in self.filled else None) for g, s in SPECS.items()}
        for gid, spec in self.specs.items():
            self.guards[gid] = GreedyGuard(spec=spec, save_after_s=POLICY.save_after_s, lag_ms=1999)
        self.push("grid", 4000.0)
        self.start()

    # -- the scheduler -----------------------------------------------------------------------------------------------

    def start(self, *, at_least: int = 0) -> None:
        """A leader begins from what the store has. The connections of the one before, and reports in them, are gone."""
        epoch = self.run(self.store.claim("x", at=self.clock.now(), at_least=at_least))
        view = View(
            replace(POLICY, domains=self.domains, saves_at_once=self.saves_at_once, trim=self.trim),
            self.specs,
            epoch=epoch,
            at=self.clock.now(),
            sources=self.sources,
            bound=self.bound,
        )
        stored = self.run(self.store.load())
        view.restore(stored)
        self.deposed, self.reports = self.loop, []
        self.loop = Reconciler(
            view=view, store=self.store, cluster=self.cluster, clock=self.clock, policy=self.policy()
        )
        self.poll()

    def lose_store(self) -> None:
        """Nothing that was written is left, and what was under way from its leader does not arrive any more."""
        self.store, self.loop, self.orders = InMemoryStore(), None, []

    def tick(self) -> None:
        """One round of the loop."""
        if self.loop is not None:
            self.run(self._tick(self.loop))
            self.orders += self.cluster.take()

    def poll(self) -> None:
        """Every source that is heard says what it says."""
        for name, source in self.sources.items():
            if not source.is_silent:
                source.told = replace(source.told, read_at=self.clock.now())
                if self.loop is not None:
                    self.loop.view.envelopes[name] = source.told
        self.note_limit()

    def measure(self) -> None:
        """The meter is read."""
        if self.loop is not None:
            self.loop.on_meter(MeterReading(draw_w=self.draw_w(), measured_at=self.clock.now()))

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Have the event loop finish one thing."""
        return self._runner.run(step)

    def close(self) -> None:
        """Let go of the event loop."""
        self._runner.close()

    @staticmethod
    async def _tick(loop: Reconciler) -> None:
        await loop.tick()
        await loop.close()

    # -- links -------------------------------------------------------------------------------------------------------

    def deliver_order(self, index: int) -> None:
        """One order in flight arrives, unless its guard is cut off."""
        order = self.orders.pop(index)
        if order.group_id not in self.deaf:
            self.guards[order.group_id].take(order, self.clock.now_ms)

    def deliver_report(self, index: int) -> None:
        """One report in flight arrives."""
        report = self.reports.pop(index)
        if self.loop is not None and report.spec.group_id not in self.mute:
            self.loop.on_report(report)

    def speak(self, group_id: str) -> None:
        """A guard sends a report on its way."""
        self.reports.append(self.guards[group_id].report(self.clock.now_ms))

    def exchange(self) -> None:
        """Everything in flight arrives, and every guard answers."""
        while self.orders:
            self.deliver_order(0)
        for gid in self.guards:
            self.speak(gid)
        while self.reports:
            self.deliver_report(0)

    # -- power -------------------------------------------------------------------------------------------------------

    def push(self, name: str, limit_w: float, *, then: Iterable[tuple[float, float]] = ()) -> None:
        """A source says that its limit is `limit_w` from now on, `then` (in so many s) others."""
        now = self.clock.now()
        steps = [Segment(starts_at=now + timedelta(seconds=s), limit_w=w) for s, w in then]
        told = Envelope(
            source=name,
            issued_at=now,
            read_at=now,
            reaction_s=POLICY.reaction_s,
            segments=(Segment(starts_at=now, limit_w=limit_w), *steps),
            stale_after_s=STALE_S,
        )
        told = of_domain(told, self.bound.get(name))
        self.sources[name] = Source(told=told)
        self.poll()

    # -- emergency stops ---------------------------------------------------------------------------------------------

    def stop(self) -> EmergencyStop:
        """Another emergency stop, in the store."""
        stop = self._new_stop()
        self.store.engage(stop)
        return stop

    def stop_guard(self, group_id: str) -> None:
        """One guard is told directly, whoever else is alive."""
        self.guards[group_id].engage(self._new_stop(), self.clock.now_ms)

    def release(self) -> None:
        """A person releases what the store knows of."""
        self.released |= self.store.stops.keys()
        self.store.release()

    def _new_stop(self) -> EmergencyStop:
        self.stops += 1
        return EmergencyStop(id=f"stop-{self.stops}", reason="drill", by="ada", at=self.clock.now())

    def draw_w(self) -> float:
        """Watts at the site meter."""
        it_w = sum(g.draw_w() for g in self.guards.values() if g.spec.kind is GroupKind.NODE)
        mine_w = sum(g.draw_w() for g in self.guards.values() if g.spec.kind is GroupKind.MINERS)
        return site_w(it_w=it_w, miners_w=mine_w, overhead=POLICY.overhead, auxiliary_w=POLICY.auxiliary_w)

    def allowed_w(self) -> float:
        """The highest limit in force at any instant of the last `reaction_s`."""
        return self._highest_w(self.limits)

    def _highest_w(self, limits: list[tuple[int, float]]) -> float:
        since_ms = self.clock.now_ms - round(POLICY.reaction_s * 1000)
        ends = [start for start, _ in limits[1:]] + [self.clock.now_ms + 1]
        spans = zip(limits, ends, strict=True)
        return max(w for (start, w), end in spans if max(end, start + 1) > since_ms)

    def zone_allowed_w(self, zone: Zone) -> float:
        """The same of a domain; the wires' own limit grants no reaction time."""
        wires_w = next(d.limit_w for d in self.domains if d.name == zone.name) or math.inf
        limits = self.below.get(zone.name)
        return wires_w if limits is None else min(wires_w, self._highest_w(limits))

    def note_limit(self) -> None:
        """Remember the limit in force, as far as anybody was told."""
        now = self.clock.now()
        told = [s.told for s in self.sources.values() if s.told.domain is None]
        self._note_below(now)
        limit_w = lowest(told, now, now=now, firm_w=POLICY.firm_w).limit_w
        limit_w = min(limit_w, POLICY.firm_w) if self.is_stopped else limit_w
        if not self.limits or self.limits[-1][1] != limit_w:
            self.limits.append((self.clock.now_ms, limit_w))

    def _note_below(self, now: datetime) -> None:
        told = [s.told for s in self.sources.values() if s.told.domain is not None]
        for domain in self.domains:
            if (limit := limit_below(domain, told, now, now=now)) is not None:
                known = self.below.setdefault(domain.name, [])
                if not known or known[-1][1] != limit.limit_w:
                    known.append((self.clock.now_ms, limit.limit_w))

    # -- time --------------------------------------------------------------------------------------------------------

    def advance(self, span_ms: int) -> list[str]:
        """Time passes, event by event. Returns what went wrong on the way."""
        end_ms, wrong = self.clock.now_ms + span_ms, list(self.breaches())
        while self.clock.now_ms < end_ms and not wrong:
            self.clock.now_ms = min([end_ms, *self._coming(end_ms)])
            self.note_limit()
            for guard in self.guards.values():
                guard.settle(self.clock.now_ms)
            wrong += self.breaches()
        return wrong

    def _coming(self, end_ms: int) -> Iterable[int]:
        now_ms = self.clock.now_ms
        for guard in self.guards.values():
            if (at := guard.next_ms(now_ms)) is not None:
                yield at
        for source in self.sources.values():
            yield from (t for s in source.told.segments if (t := _ms(s.starts_at)) > now_ms)
            stale_ms = _ms(source.told.read_at) + round(STALE_S * 1000) + 1
            if stale_ms > now_ms:
                yield stale_ms
        changes = (s for limits in (self.limits, *self.below.values()) for s, _ in limits)
        yield from (t for s in changes if (t := s + round(POLICY.reaction_s * 1000)) > now_ms)

    def zones(self) -> tuple[Zone, ...]:
        """The limited domains, as sources now have them."""
        now, told = self.clock.now(), [s.told for s in self.sources.values()]
        limits = {d.name: x for d in self.domains if (x := limit_below(d, told, now, now=now)) is not None}
        return zones_of(self.domains, self.specs, limits).limited

    # -- what must never be ------------------------------------------------------------------------------------------

    def breaches(self) -> Iterable[str]:
        """Every promise that is broken at this instant."""
        draw_w, allowed_w = self.draw_w(), self.allowed_w()
        if draw_w > allowed_w + EPSILON_W:
            yield f"{self.clock.now_ms} ms: draws {draw_w:.1f} W, may draw {allowed_w:.1f} W"
        for zone in self.zones():
            behind_w = sum(factor * self.guards[gid].draw_w() for gid, factor in zone.factors.items())
            if behind_w > (may_w := self.zone_allowed_w(zone)) + EPSILON_W:
                yield f"{self.clock.now_ms} ms: {zone.name} draws {behind_w:.1f} W, may draw {may_w:.1f} W"
        lives = [(a.job_id, a.attempt_id) for g in self.guards.values() for a in g.living()]
        for job_id in {j for j, _ in lives}:
            if len(found := {a for j, a in lives if j == job_id}) > 1:
                yield f"{self.clock.now_ms} ms: {job_id} lives twice: {sorted(found)}"
        for gid, guard in self.guards.items():
            yield from self._latch_breaches(gid, guard)

    def _latch_breaches(self, gid: str, guard: GreedyGuard) -> Iterable[str]:
        """A latch goes only when it was released, and while it holds the guard keeps to its fallback."""
        now_ms, stop, was = self.clock.now_ms, guard.memory.stop, self.held.get(gid)
        gone = was is not None and (stop is None or stop.id != was)
        if gone and was not in self.released | guard.replaced:
            yield f"{now_ms} ms: {gid} lost {was}, which nobody released"
        if stop is None:
            self.held.pop(gid, None)
            return
        self.held[gid] = stop.id
        order = guard.memory.order
        rest_w = max((s.limit_w for s in order.fallback), default=0.0) if order else guard.memory.idle_w
        if guard.falls_at_ms is None and guard.draw_w() > rest_w + EPSILON_W:
            yield f"{now_ms} ms: {gid} is stopped and draws {guard.draw_w():.1f} W, its fallback is {rest_w:.1f} W"

    # -- work --------------------------------------------------------------------------------------------------------

    def submit(self, *, grace_s: float = 3.0, **spec: Any) -> str:
        """Queue a job."""
        self.submitted += 1
        name = f"j{self.submitted}"
        job = Job(
            id=name,
            number=self.submitted,
            spec=JobSpec(name=name, launch=launch(grace_s=grace_s, checkpoint_interval_s=1.0), **spec),
            submitted_at=self.clock.now(),
            state=JobState.PENDING,
            since_at=self.clock.now(),
        )
        self.store.submit(job)
        return name

    def ends(self, job_id: str, exit_code: int) -> None:
        """All processes of a job end by themselves."""
        for guard in self.guards.values():
            guard.ends(job_id, exit_code)


def _ms(at: datetime) -> int:
    return round((at - T0).total_seconds() * 1000)


__all__ = ["POLICY", "SPECS", "STALE_S", "World"]
