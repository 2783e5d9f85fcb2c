"""A day of a simulated site whose limit comes over its sources' real messages, with faults on both sides of it.

The loop, the core, the guards and their faults (lost and late orders, mute groups, dead agents, a dead scheduler, a
store that is down) are those of `scheduler.sim.trial`; the sources are read by the service's own code. Each reading of
a source, each message and each document happens in virtual time: the same seed gives the same day.

The judge is a meter that reads the true draw once a second, and knows nothing of Barq: only what the givers told
(`tests.giving.truth`). A second is over when the site draws more than the most that the givers, all together, allowed
at any instant of the last `reaction_s`. Limits go down to the firm level and not below: what is below, nobody could
keep who cannot be told of it.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.ledger import OpenOrder
from scheduler.core.snapshot import Snapshot
from scheduler.core.steady import AT_ONCE
from scheduler.ports import LimitSource, ListeningSource
from scheduler.records import LIMITS_TOLD, TickRecord
from scheduler.service import Service
from scheduler.sim.clock import US, us
from scheduler.sim.engine import GATHER_US, Case
from scheduler.sim.fault_rates import Fault, FaultRates
from scheduler.sim.faulty import EPSILON_W, Faulty
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.store import SimRecorder
from scheduler.sim.trial import SITE, metered
from scheduler.sim.workload import PowerTrace, SimJob
from scheduler.steadying import Steadying
from scheduler.watchman import Watchman
from scheduler.wire import dumps
from tests.giving.files import PricedFile, Replayed, Scheduled
from tests.giving.giver import Giver, Scene
from tests.giving.measured import Meters
from tests.giving.over_http import Polled, Priced
from tests.giving.over_mqtt import LoadTargets, PlainLimit
from tests.giving.over_openadr import Events
from tests.giving.plan import Pace
from tests.giving.pushed import Pushed
from tests.giving.unwired import Contract, MadeUpDay, Operator

GIVERS: Final[Mapping[str, type[Giver]]] = {
    g.name: g
    for g in (
        Contract,
        Scheduled,
        Replayed,
        MadeUpDay,
        Operator,
        PlainLimit,
        LoadTargets,
        Polled,
        Pushed,
        Priced,
        PricedFile,
        Events,
        Meters,
    )
}
ALL: Final = "all"
SECOND_US: Final = us(1.0)
SMALL: Final[SimSite] = replace(
    SITE,
    name="given",
    nodes=2,
    firm_w=4200.0,
    partners=(Partner(name="m1", max_w=1000.0, base_w=40.0),),
    timing=replace(SITE.timing, heartbeat_s=2.0, meter_s=2.0, rest_s=2.0),
)
"""It looks half as often by itself as a site does: what comes is to wake it."""
TOP_W: Final = 8000.0  #: all that the small site can draw
RATES: Final = FaultRates(
    per_h=(
        (Fault.CUT, 1.5, 240.0),
        (Fault.CRASH, 0.5, 300.0),
        (Fault.LEADERLESS, 2.0, 90.0),
        (Fault.STORELESS, 2.0, 60.0),
        (Fault.BLIND, 1.0, 60.0),
    )
)
"""Miners and meters that lie are left to `make soak`: they take a reaction time of their own to be found out."""


@dataclass(slots=True)
class Figures:
    """What was seen of one source, or of all together."""

    messages: int = 0
    refused: int = 0  #: events `signal.refused` and `signal.lost`
    falls: int = 0  #: of what the giver allows
    stale: int = 0  #: times that it fell silent for too long
    over_s: int = 0  #: seconds over the limit beyond the reaction time
    comply_s: float = 0.0  #: the longest that the draw was above what is allowed
    faults: int = 0  #: of guards, scheduler and store
    restarts: int = 0  #: of the scheduler
    draw_share: float = 0.0  #: of the energy that was allowed, what was drawn
    proven_s: float = 0.0  #: for which the meter had proved a smaller margin
    worst: str = ""  #: the first second that was over
    events: Counter[str] = field(default_factory=Counter)


class _Service(Service):
    """The service's way of reading a source; it wakes the simulated loop."""

    def __init__(self, day: GivenDay) -> None:
        self._day = day
        rules: dict[str, Any] = dict.fromkeys(day.sources, AT_ONCE)
        tell = day.loop.watchman.tell
        parts = SimpleNamespace(
            clock=day.timeline,
            view=day.view,
            reconciler=day.loop,
            steadying=Steadying(rules, tell, firm_w=day.case.site.firm_w),
            feeders={},
        )
        super().__init__(cast("Any", parts))

    def wake(self, *, at_once: bool = False) -> None:
        self._day.wake(0 if at_once else GATHER_US)


class _Recorder(SimRecorder):
    """Writes also what sources tell, as the journal does, and the events."""

    def __init__(self, epoch: int, day: GivenDay) -> None:
        super().__init__(epoch, day.case.listener)
        self._day = day
        self._told: object = None

    def write(
        self,
        snapshot: Snapshot,
        decision: Decision,
        orders: Mapping[str, OpenOrder],
        alarms: Mapping[str, tuple[str, ...]],
    ) -> TickRecord:
        record = super().write(snapshot, decision, orders, alarms)
        told = tuple((e.source, e.segments, e.valid_until) for e in snapshot.envelopes)
        current = {}
        if told != self._told:
            self._told = told
            current[LIMITS_TOLD] = dumps(snapshot.envelopes).decode()
        watchman: Watchman = self._day.loop.watchman
        return replace(
            record,
            events=watchman.events,
            power_events=watchman.power_events,
            counterfactuals=watchman.counterfactuals,
            current=current,
        )


class GivenDay(Faulty):
    """One run. The figures are in `figures`, by source, and in `site` of all together."""

    def __init__(self, case: Case, kinds: Sequence[type[Giver]], pace: Pace, base: Path) -> None:
        super().__init__(case, RATES)
        scene = Scene(
            timeline=self.timeline,
            end_us=self.end_us,
            base=base,
            firm_w=case.site.firm_w,
            top_w=TOP_W,
            pace=pace,
            seed=case.seed,
            store=self.database,
            news=self._has_news,
            site_w=self.true_w,
            wake=lambda: self.wake(0),
        )
        self.givers = {kind.name: kind(scene) for kind in kinds}
        self.sources: dict[str, LimitSource] = {}
        self.figures = {name: Figures() for name in self.givers}
        self.site = Figures()
        self._due: dict[str, None] = {}
        self._allowed: deque[tuple[int, float]] = deque()
        self._above_us: int | None = None
        self._drawn_ws = self._allowed_ws = 0.0
        self._was: dict[str, tuple[float, bool]] = {}
        self.database.on_record = self._count

    # -- sources ---------------------------------------------------------------------------------------------------

    def _sources(self) -> Sequence[str]:
        return list(self.sources)

    async def _lead(self) -> None:
        """A scheduler that starts opens its sources anew."""
        self.site.restarts += 1
        await self.close_sources()
        opened = {name: giver.open() for name, giver in self.givers.items()}
        self.sources = {name: source for name, source in opened.items() if source is not None}
        await super()._lead()
        self.service = _Service(self)
        self._due = dict.fromkeys(self.sources)

    async def close_sources(self) -> None:
        """End what is open."""
        for source in self.sources.values():
            if isinstance(source, ListeningSource):
                await source.close()

    async def _listen(self) -> None:
        due, self._due = self._due, {}
        if due and not self._is(Fault.LEADERLESS) and not self._must_lead:
            for name in due:
                await self.service.look(self.sources[name])

    def _poll(self, name: str) -> None:
        if name in self.sources:
            self._due[name] = None
        self.timeline.at(self.timeline.now_us + us(self.givers[name].poll_s), self._poll, name)

    def _has_news(self, name: str, in_s: float) -> None:
        self.timeline.at(self.timeline.now_us + us(in_s), self._hears, name)

    def _hears(self, name: str) -> None:
        if name in self.sources:
            self._due[name] = None

    def _recorder(self, epoch: int) -> SimRecorder:
        return _Recorder(epoch, self)

    # -- the trial, without its own limit and its own judge of it --------------------------------------------------

    def _schedule(self) -> None:
        for giver in self.givers.values():
            giver.begin()
            self._poll(giver.name)
        super()._schedule()
        self.timeline.at(SECOND_US, self._judge_second, None)

    def _heed(self) -> None:
        """Sources are read when they are due."""

    def _tell_limit(self, _: object) -> None:
        """As above."""

    def _note_limit(self) -> None:
        """The givers know what they allow."""

    def _allowed_w(self) -> float:
        return float("inf")

    def _judge_draw(self, draw_w: float, allowed_w: float) -> None:
        """The meter does, once a second."""

    # -- the judge ---------------------------------------------------------------------------------------------------

    def _judge_second(self, _: object) -> None:
        now_us = self.timeline.now_us
        self.timeline.at(now_us + SECOND_US, self._judge_second, None)
        allowed_w = min(self._allows_w(giver) for giver in self.givers.values())
        if self._allowed and allowed_w < self._allowed[-1][1]:
            self.site.falls += 1
        self._allowed.append((now_us, allowed_w))
        while self._allowed[0][0] < now_us - us(self.case.site.reaction_s):
            self._allowed.popleft()
        self._judge_draw_now(self.true_w(), allowed_w)
        del self.notes.intervals[1:-1]  # nobody asks for them, and a day is long

    def _allows_w(self, giver: Giver) -> float:
        giver.look()
        now_us = self.timeline.now_us
        allowed_w, stale = giver.truth.allowed_w(now_us), giver.truth.is_stale(now_us)
        before_w, was_stale = self._was.get(giver.name, (allowed_w, True))
        figures = self.figures[giver.name]
        figures.falls += allowed_w < before_w
        figures.stale += stale and not was_stale
        self._was[giver.name] = (allowed_w, stale)
        return allowed_w

    def _judge_draw_now(self, draw_w: float, allowed_w: float) -> None:
        now_us = self.timeline.now_us
        self._drawn_ws += draw_w
        self._allowed_ws += allowed_w
        if draw_w <= allowed_w + EPSILON_W:
            self._above_us = None
        else:
            self._above_us = now_us if self._above_us is None else self._above_us
            self.site.comply_s = max(self.site.comply_s, (now_us - self._above_us) / US + 1.0)
        most_w = max(w for _, w in self._allowed)
        if draw_w > most_w + EPSILON_W:
            self.site.over_s += 1
            self.site.worst = self.site.worst or (
                f"at {now_us / US:.0f} s the site draws {draw_w:.0f} W, allowed were {most_w:.0f} W; "
                f"wrong then: {sorted(self.standing)}, {self._troubles()}"
            )

    def _troubles(self) -> dict[str, str]:
        found = {n: getattr(g, "trouble", None) or "" for n, g in self.givers.items()}
        return {n: str(t) for n, t in found.items() if t}

    def _count(self, record: TickRecord) -> None:
        """Events by source."""
        if not self.database.up:
            return
        for event in record.events:
            name = str(event.data.get("source", ""))
            if event.kind.startswith("signal.") and name in self.figures:
                self.figures[name].events[event.kind] += 1

    def told(self) -> dict[str, Figures]:
        """All figures, at the end."""
        for name, giver in self.givers.items():
            found = self.figures[name]
            found.messages = giver.messages
            found.refused = found.events["signal.refused"] + found.events["signal.lost"]
        self.site.faults = self.happened.total()
        self.site.proven_s = self.proven_s
        self.site.draw_share = self._drawn_ws / max(1.0, self._allowed_ws)
        return {**self.figures, ALL: self.site}


def jobs_of(chance: random.Random, window_s: float) -> list[SimJob]:
    """Jobs of all sizes, a few more than there is power for."""
    jobs: list[SimJob] = []
    at_s = 0.0
    while (at_s := round(at_s + chance.expovariate(1 / 70.0), 3)) < window_s:
        gpus, flex = chance.choice([1, 1, 2, 2, 4, 8]), chance.choice([0, 2, 4, 4, 4])
        work_s = chance.uniform(20.0, 300.0)
        jobs.append(SimJob(id=f"j{len(jobs)}", arrives_s=at_s, gpus=gpus, work_s=work_s, flex=flex))
    return jobs


def given_day(
    names: Sequence[str], *, seed: int, hours: float, is_metered: bool = False
) -> dict[str, Figures]:
    """A day with these sources. Raises `Breach` when another promise of the trial is broken."""
    kinds = [GIVERS[name] for name in names]
    if len(kinds) == 1 and kinds[0] is Operator:
        kinds.append(Contract)  # a person can only lower what somebody else allows
    pace = Pace()
    if len(kinds) > 2:
        calm = len(kinds) / 1.5
        pace = replace(pace, busy=pace.busy / calm, troubles_per_h=pace.troubles_per_h / calm, spoilt=0.1)
    window_s = hours * 3600.0
    power = PowerTrace(name="given", steps=((0.0, TOP_W),))
    case = Case(
        jobs=jobs_of(random.Random(seed), window_s),
        power=power,
        site=metered(SMALL, seed=seed) if is_metered else SMALL,
        policy=PowerAware(),
        window_s=window_s,
        seed=seed,
    )
    return asyncio.run(_run(case, kinds, pace))


async def _run(case: Case, kinds: Sequence[type[Giver]], pace: Pace) -> dict[str, Figures]:
    with tempfile.TemporaryDirectory(prefix="given-", dir=_quick_place()) as folder:
        day = GivenDay(case, kinds, pace, Path(folder))
        try:
            await day.run()
        finally:
            with suppress(Exception):
                await day.close_sources()
        return day.told()


def _quick_place() -> str | None:
    """In memory, where there is such a place: each push is put on the disk for good."""
    place = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    return str(place) if place.is_dir() else None
