"""Keeps the running quarter of an hour of settlement, from sample to sample, until what is over is on record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from scheduler.core.contracts import Quotes, Terms
from scheduler.core.curtailment import STEADY, Cause, Scene, Side, confirmed, curtailed, remembered
from scheduler.core.decide import Decision
from scheduler.core.entitlement import rest_w
from scheduler.core.envelope import OPERATOR
from scheduler.core.estop import SOURCE as STOPPED
from scheduler.core.filler_books import NOTHING, Filled, filled_w, mining_groups
from scheduler.core.fleets import full_w, paused_w
from scheduler.core.interval import (
    AI,
    BASELINE,
    GRANTED,
    METERED,
    OVERDRAW,
    OVERHEAD,
    SITE,
    Flow,
    Moment,
    Over,
    Running,
    advanced,
    begun,
    left,
    noted,
    resumed,
    went_back,
)
from scheduler.core.ledger import OpenOrder
from scheduler.core.notice import NEAR_S, is_new, notice_of, seen_ahead
from scheduler.core.orders import GroupKind
from scheduler.core.partners import Partner, with_house
from scheduler.core.plan import limit_now, usable_w
from scheduler.core.power import site_w
from scheduler.core.reasons import Event
from scheduler.core.settlement import Closed, Measured, closed
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.so_far import Hours, spent_events
from scheduler.records import PowerSample, TickRecord

_NO_ORDERS: Mapping[str, OpenOrder] = MappingProxyType({})
_NOBODY: Mapping[str, Terms] = MappingProxyType({})


class Settling:
    """The books of partners. Without effect until it is opened: a site that names none settles with nobody."""

    def __init__(self) -> None:
        self._terms = _NOBODY
        self._running: Running | None = None
        self._measured: tuple[Measured, ...] = ()
        self._closed: tuple[Closed, ...] = ()
        self._hours = Hours()
        self.spent: tuple[str, ...] = ()  #: whose contract allows no more curtailment this month
        self.events: tuple[Event, ...] = ()  #: that are not on record yet

    def open(
        self,
        terms: Mapping[str, Terms],
        *,
        running: Running | None = None,
        measured: tuple[Measured, ...] = (),
        hours: Hours | None = None,
    ) -> None:
        """Settle by these contracts; go on with what an earlier leader left running, and without its prices."""
        self._terms, self._running, self._measured = terms, running, measured
        self._hours = hours or Hours()
        for one in measured:
            self._hours = self._hours.after(one.over)
        self.spent = self._hours.spent(terms, running) if running is not None else ()

    @property
    def is_open(self) -> bool:
        """Whether there is anybody to settle with."""
        return bool(self._terms)

    @property
    def running(self) -> Running | None:
        """The interval that is not over, for who leads next."""
        return self._running

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Intervals that are over and wait for their prices, the oldest first; who leads next goes on with them."""
        return self._measured

    @property
    def closed(self) -> tuple[Closed, ...]:
        """Intervals that are over and not on record yet."""
        return self._closed

    def measure(
        self,
        snapshot: Snapshot,
        decision: Decision,
        sample: PowerSample,
        orders: Mapping[str, OpenOrder] = _NO_ORDERS,
    ) -> None:
        """Take in one second of the site; `orders` are those that go out with this decision."""
        if not self.is_open:
            self._leave()
            return
        running = self._running_at(snapshot.at)
        partners = with_house(snapshot.site.partners, mining_groups(snapshot))
        filled = filled_w(snapshot, decision)
        sides = self._sides(partners, snapshot, decision, running)
        sides = {gid: replace(s, presence=confirmed(s, snapshot.at)) for gid, s in sides.items()}
        causes = curtailed(_scene(snapshot, decision), list(sides.values()))
        newest = {gid: orders.get(gid) or snapshot.groups[gid].account.newest for gid in sides}
        flows = {
            p.partner_id: self._flow(p, sides, causes, newest, filled.get(p.partner_id, NOTHING))
            for p in partners
        }
        moment = Moment(
            at=snapshot.at,
            site=_site(snapshot, sample, sides, sum(f.metered_w for f in filled.values())),
            flows=flows,
            is_metered=snapshot.meter is not None,
        )
        running, over = advanced(running, moment)
        presences = {gid: remembered(s.presence, causes[gid], s, snapshot.at) for gid, s in sides.items()}
        self._running = self._noticed(replace(running, presences=presences), flows, snapshot)
        self._keep(over)
        self._look_at_hours(snapshot.at)

    def _running_at(self, at: datetime) -> Running:
        """The running interval; another one, if the clock went back since the last second."""
        running = self._running or begun(at)
        if running.last is None or not went_back(running, at):
            return running
        self.events += (_clock_back(running.last.at, at),)
        running, over = resumed(running, at)
        self._keep(over)
        return running

    def _leave(self) -> None:
        """The site file names no partner any more: what was measured before goes on record."""
        if self._running is not None and self._running.last is not None:
            over, self._running = left(self._running)
            self._keep(over)

    def _keep(self, over: Iterable[Over]) -> None:
        for one in over:
            self._measured += (Measured(over=one, terms=self._terms),)
            self._hours = self._hours.after(one)

    def _noticed(self, running: Running, flows: Mapping[str, Flow], snapshot: Snapshot) -> Running:
        """With the falls that are seen ahead, and the notice that there was of curtailments that begin now.

        Of machines that were not seen to run yet there is none: a site that just began curtails nobody.
        """
        due_s = {name: terms.notice_s for name, terms in self._terms.items() if terms.notice_s}
        if not due_s:
            return running
        falls = seen_ahead(
            running.falls,
            snapshot.envelopes,
            snapshot.at,
            horizon_s=max(due_s.values()) + NEAR_S,
            firm_w=snapshot.site.firm_w,
            limit_w=limit_now(snapshot).limit_w,
        )
        seen = {name: flow for name, flow in flows.items() if flow.is_confirmed and name in due_s}
        short = {name: flow for name, flow in seen.items() if flow.is_curtailed}
        begun_now = {
            name: f for name, f in short.items() if is_new(running.curtailed_at.get(name), snapshot.at)
        }
        notices = {
            name: notice_of(self._main(name, flow), falls, snapshot.at, due_s=due_s[name])
            for name, flow in begun_now.items()
        }
        last_at = {**running.curtailed_at, **dict.fromkeys(short, snapshot.at)}
        return noted(replace(running, falls=falls, curtailed_at=last_at), notices)

    def _main(self, partner_id: str, flow: Flow) -> Cause:
        """Of the causes that the contract does not excuse the one that takes most."""
        owed = (cause for cause in Cause if cause not in self._terms[partner_id].excused)
        return max(owed, key=lambda cause: flow.watts.get(cause, 0))

    def _look_at_hours(self, at: datetime) -> None:
        """Whose month has no more hours of curtailment, and who that is new of."""
        if self._running is not None:
            spent = self._hours.spent(self._terms, self._running)
            self.events += spent_events(self.spent, spent, self._terms, at)
            self.spent = spent

    def priced(self, measured: Measured, quotes: Quotes) -> None:
        """This is what was looked up for an interval: it goes on record with the next tick."""
        self._measured = tuple(one for one in self._measured if one is not measured)
        self._closed += (closed(measured, quotes),)

    def recorded(self, record: TickRecord) -> None:
        """These intervals and events are on record now."""
        self.events = tuple(event for event in self.events if event not in record.events)
        self._closed = tuple(c for c in self._closed if c not in record.intervals)

    def _sides(
        self, partners: Iterable[Partner], snapshot: Snapshot, decision: Decision, running: Running
    ) -> dict[str, Side]:
        """Each miner group beside its share of its partner's cap."""
        sides: dict[str, Side] = {}
        for partner in partners:
            found = ((gid, snapshot.groups.get(gid)) for gid in partner.groups)
            groups = {gid: g for gid, g in found if g is not None and g.spec.kind is GroupKind.MINERS}
            above_w = {gid: round(full_w(g.spec, g.miners)) for gid, g in groups.items()}
            for gid, group in groups.items():
                side = _side(
                    group,
                    snapshot,
                    above_w=above_w[gid],
                    may_w=_part_of_cap(partner, above_w, gid),
                    target_w=decision.miners_w.get(gid, group.miners_target_w),
                )
                known = running.presences.get(gid, side.presence)
                sides[gid] = replace(side, paused_w=round(paused_w(group.spec, group.miners)), presence=known)
        return sides

    def _flow(
        self,
        partner: Partner,
        sides: Mapping[str, Side],
        causes: Mapping[str, Mapping[Cause, int]],
        newest: Mapping[str, OpenOrder | None],
        filled: Filled,
    ) -> Flow:
        own = [sides[gid] for gid in partner.groups if gid in sides]
        own_orders = {s.group_id: order for s in own if (order := newest[s.group_id]) is not None}
        watts = {
            METERED: sum(s.metered_w for s in own) + filled.metered_w,
            GRANTED: sum(s.granted_w for s in own) + filled.granted_w,
            OVERDRAW: sum(max(0, s.metered_w - s.granted_w) for s in own) + filled.overdraw_w,
            BASELINE: sum(s.baseline_w for s in own) + filled.metered_w,
        }
        terms = self._terms.get(partner.partner_id)
        owed_w = 0
        for cause, w in ((c, w) for s in own for c, w in causes[s.group_id].items()):
            watts[str(cause)] = watts.get(str(cause), 0) + w
            owed_w += 0 if terms is not None and cause in terms.excused else w
        return Flow(
            watts=watts,
            is_heard=all(s.is_heard for s in own) and filled.is_heard,
            is_curtailed=owed_w > STEADY * watts[BASELINE],
            is_confirmed=all(s.presence.confirmed_w is not None for s in own),
            orders={gid: _order_id(order) for gid, order in own_orders.items()},
            until_at=min((order.expires_at for order in own_orders.values()), default=None),
        )


def _clock_back(ahead_at: datetime, at: datetime) -> Event:
    text = (
        f"the clock went back from {ahead_at:%Y-%m-%d %H:%M:%S} to {at:%Y-%m-%d %H:%M:%S} UTC: settlement goes on at "
        "the time of now; what was measured stays with the quarters of then, and what is measured in a quarter that is "
        "on record is added to it as an adjustment"
    )
    data: dict[str, str | float] = {"ahead_at": ahead_at.isoformat(), "by_s": (ahead_at - at).total_seconds()}
    return Event(at=at, kind="settlement.clock_back", text=text, data=data)


def _side(group: Group, snapshot: Snapshot, *, above_w: int, may_w: int, target_w: float) -> Side:
    """A group's whole draw, its rest included; grants and caps are above that.

    Machines that are lost count at their nameplate, for the limit's sake. Nobody read that, so nobody is charged. Those
    that nobody can read and an outlet puts to sleep are no part of the group's base: without them it may be below 0.
    """
    is_heard, base_w = (
        group.is_heard(snapshot.at, snapshot.site),
        round(group.spec.base_w - group.guessed_w),
    )
    return Side(
        group_id=group.spec.group_id,
        takes_w=max(0, base_w + above_w),
        may_w=max(0, base_w + may_w),
        granted_w=max(0, round(base_w + target_w)),
        metered_w=max(0, round(group.draw_w - group.guessed_w)) if is_heard else 0,
        is_heard=is_heard,
    )


def _part_of_cap(partner: Partner, above_w: Mapping[str, int], group_id: str) -> int:
    """The cap of a partner is shared by its groups in proportion to what they take."""
    whole_w = sum(above_w.values())
    if partner.cap_w is None or not whole_w:
        return above_w[group_id]
    return partner.cap_w * above_w[group_id] // whole_w


def _order_id(order: OpenOrder) -> str:
    return f"{order.fence.epoch}.{order.fence.seq}"


def _scene(snapshot: Snapshot, decision: Decision) -> Scene:
    """What mining could have without any AI, and what AI has of it, both by entitlement: as rooms are given."""
    site, limit = snapshot.site, limit_now(snapshot)
    nodes = [g for g in snapshot.groups.values() if g.spec.kind is GroupKind.NODE]
    at_rest_w = site_w(
        it_w=sum(rest_w(g.spec, g.power) for g in nodes),
        miners_w=0.0,
        overhead=site.overhead,
        auxiliary_w=site.auxiliary_w,
    )
    miners_w = sum(
        g.spec.base_w + decision.miners_w.get(gid, g.miners_target_w)
        for gid, g in snapshot.groups.items()
        if g.spec.kind is GroupKind.MINERS
    )
    miners_w += site.overhead * sum(f.granted_w for f in filled_w(snapshot, decision).values())
    return Scene(
        at=snapshot.at,
        room_w=int(usable_w(snapshot, limit) - at_rest_w),
        ai_w=max(0, round(decision.planned_w - miners_w - at_rest_w)),
        is_stopped=snapshot.stop is not None or limit.source in (OPERATOR, STOPPED),
    )


def _site(
    snapshot: Snapshot, sample: PowerSample, sides: Mapping[str, Side], fillers_w: int
) -> dict[str, int]:
    """The meter's draw, what AI has of it, and what the site needs beside; without a meter what devices report.

    What fills idle GPUs is drawn by nodes, and its owner's: the hall's overhead on it is the site's.
    """
    site = snapshot.site
    nodes_w = site_w(
        it_w=sum(g.draw_w for g in snapshot.groups.values() if g.spec.kind is GroupKind.NODE),
        miners_w=0.0,
        overhead=site.overhead,
        auxiliary_w=site.auxiliary_w,
    )
    ai_w = min(round(sample.ai_w), round(nodes_w))
    miners_w = sum(s.metered_w for s in sides.values())
    drawn_w = round(nodes_w) + miners_w if snapshot.meter is None else round(snapshot.meter.draw_w)
    return {SITE: drawn_w, AI: ai_w, OVERHEAD: round(nodes_w) - ai_w - fillers_w}
