"""Keeps the record of each fall of the limit: what would have been drawn, stored before the event, and what was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.core.compliance import Fall
from scheduler.core.counterfactual import AHEAD_S, ComingFall, Counterfactual, coming_fall, counterfactual
from scheduler.core.envelope import Limit
from scheduler.core.jobs import Attempt
from scheduler.core.power_events import PowerEvent, Reading
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Quality, Snapshot
from scheduler.core.verification import MOST, Verifier
from scheduler.records import PowerSample, TickRecord

BASELINE = "power.baseline"
"""Kind of the line in the log that holds the hash of a plan."""
_Fallen = tuple[datetime, float]  #: when the limit falls, and to what


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glimpse:
    """The site as it was at a sample, from which a plan can be written down later."""

    sample: PowerSample
    attempts: Mapping[str, Attempt]


class Witness:
    """Follows every fall of the limit; keeps what it has to tell until that is on record."""

    def __init__(self) -> None:
        self._verifier = Verifier()
        self._last: _Glimpse | None = None  #: as of the last sample
        self._before: dict[datetime, _Glimpse] = {}  #: as it was when the limit fell
        self._announced: dict[_Fallen, Counterfactual] = {}  #: plans for falls that are known ahead
        self._changed: dict[datetime, PowerEvent] = {}  #: not on record like that yet
        self._plans: tuple[Counterfactual, ...] = ()  #: not on record yet

    def restore(self, events: tuple[PowerEvent, ...]) -> None:
        """Go on with the events that an earlier leader left open."""
        self._verifier.restore(events)

    @property
    def entitled_w(self) -> float:
        """The most that the site drew or was entitled to lately."""
        return self._verifier.entitled_w

    @property
    def events(self) -> tuple[PowerEvent, ...]:
        """Power events that changed and are not on record like that yet."""
        return tuple(self._changed.values())

    @property
    def plans(self) -> tuple[Counterfactual, ...]:
        """Counterfactual plans that are not on record yet."""
        return self._plans

    def limit_fell(self, at: datetime) -> None:
        """Hold on to the site as it was last seen: whether it was a fall to tell of is known with the next reading."""
        if self._last is not None:
            self._before[at] = self._last
            while len(self._before) > MOST:
                del self._before[next(iter(self._before))]

    def judged(self, fall: Fall, limit: Limit, *, at: datetime) -> None:
        """Take in a fall that the meter shows, or that is complied with or released."""
        is_new = fall.settled_at in (None, fall.began_at)
        digest = self._plan_of(fall, limit.source, at) if is_new else ""
        self._keep(
            self._verifier.fell(fall, source=limit.source, provenance=limit.provenance, plan_sha256=digest)
        )

    def measure(self, snapshot: Snapshot, sample: PowerSample) -> None:
        """Take in the sample of a second, and plan for a fall that is near. One without a reading tells nothing."""
        meter = snapshot.meter
        if meter is None:
            return
        reading = Reading(
            at=sample.at,
            draw_w=sample.draw_w,
            limit_w=sample.limit_w,
            commanded_w=sample.committed_w,
            over_limit=sample.over_limit,
            is_measured=meter.quality is Quality.GOOD,
        )
        self._keep(self._verifier.read(reading))
        self._last = _Glimpse(sample=sample, attempts=snapshot.attempts)
        self._plan_ahead(snapshot, self._last)

    def recorded(self, record: TickRecord) -> None:
        """This is on record now."""
        self._changed = {k: e for k, e in self._changed.items() if e not in record.power_events}
        self._plans = tuple(p for p in self._plans if p not in record.counterfactuals)

    def _keep(self, events: tuple[PowerEvent, ...]) -> None:
        self._changed.update({e.began_at: e for e in events})

    # -- plans -----------------------------------------------------------------------------------------------------

    def _plan_ahead(self, snapshot: Snapshot, now: _Glimpse) -> None:
        """Store what the site does now, where it is about to be told to do less."""
        old = snapshot.at - timedelta(seconds=AHEAD_S)
        self._announced = {k: p for k, p in self._announced.items() if k[0] > old}
        fall = coming_fall(snapshot.envelopes, snapshot.at, firm_w=snapshot.site.firm_w)
        asks = fall is not None and fall.limit_w < max(now.sample.draw_w, now.sample.committed_w)
        if fall is not None and asks and (fall.at, fall.limit_w) not in self._announced:
            self._announced[fall.at, fall.limit_w] = self._store(now, fall, at=snapshot.at)

    def _plan_of(self, fall: Fall, source: str, at: datetime) -> str:
        """The hash of the plan that was stored ahead, else of that which held when the limit fell, stored now."""
        seen = self._before.pop(fall.began_at, None)
        known = [k for k in self._announced if k[0] <= fall.began_at and k[1] == fall.limit_w]
        if known:
            return self._announced.pop(known[-1]).sha256
        if seen is None:
            return ""
        what = ComingFall(at=fall.began_at, limit_w=fall.limit_w, source=source)
        return self._store(seen, what, at=at).sha256

    def _store(self, seen: _Glimpse, fall: ComingFall, *, at: datetime) -> Counterfactual:
        sample = seen.sample
        watts = {
            "limit_w": sample.limit_w,
            "draw_w": sample.draw_w,
            "ai_w": sample.ai_w,
            "rest_w": sample.rest_w,
            "miners_w": sample.miners_w,
            "committed_w": sample.committed_w,
        }
        plan = counterfactual(
            made_at=at, fall=fall, planned_at=sample.at, watts=watts, attempts=seen.attempts.values()
        )
        self._plans = (*self._plans, plan)
        return plan


def told(plan: Counterfactual) -> Event:
    """The line of the log that makes a plan provable."""
    when = "falls" if plan.falls_at > plan.made_at else "fell"
    return Event(
        at=plan.made_at,
        kind=BASELINE,
        text=f"the limit {when} at {plan.falls_at:%H:%M:%S} UTC; what the site would draw without it is on record",
        data={"plan_sha256": plan.sha256, "falls_at": plan.falls_at.isoformat()},
    )
