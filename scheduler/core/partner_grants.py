"""What each mining partner may draw, until when, and why it is no more: read off the orders that are really out.

A grant is the newest order to the guards of a partner's groups. It is good until the first of these orders expires: a
guard that hears no more by then goes to its fallback by itself. Nothing here promises anything that was not ordered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scheduler.core.altered import altered
from scheduler.core.decide import Decision
from scheduler.core.dividing import takes_w
from scheduler.core.estop import sentence
from scheduler.core.filler_books import fillers_of, mining_groups
from scheduler.core.fleets import AWAKE_W
from scheduler.core.ledger import OpenOrder
from scheduler.core.orders import GroupKind
from scheduler.core.partners import Partner, with_house
from scheduler.core.reasons import Event, Reason
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.split import Claim, claims_of

_WS_PER_WH = 3600
_SURE_W = 1.0  #: what is told in floats and in whole watts may differ by less


class GrantCode(StrEnum):
    """Why a partner may draw less than its machines could."""

    STOPPED = "EmergencyStop"
    NOT_HEARD = "NotHeardOf"
    EXPIRED = "GrantExpired"
    FLOOR_MISSED = "FloorMissed"
    CAPPED = "ContractCap"
    SHARED = "SurplusShared"
    LANDED = "WholeMachines"
    RISING = "RaisePending"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerGrant:
    """One partner now. Watts are above what its machines draw asleep, which is `rest_w`, as are floor and cap."""

    partner: Partner
    rest_w: float
    granted_w: float
    until_at: datetime | None  #: good until then if nothing more is said; None = no order stands
    then_w: float  #: once it has expired
    is_followed: bool  #: its guards said that they have these orders
    draw_w: float
    machines: int
    machines_on: int
    wants_w: int  #: what those machines that are heard of take, up to the cap
    due_w: int | None  #: by the division of the surplus; None = nothing was divided in this round
    owed_wh: float | None  #: positive = owed to it; None = its machines take any watt
    reasons: tuple[Reason, ...] = ()
    fillers: tuple[tuple[str, str], ...] = ()  #: that count among its machines: name and node

    @property
    def floor_w(self) -> int:
        """What is kept first for it: no more than its machines take."""
        return min(self.partner.floor_w, self.wants_w)

    @property
    def lacks_floor_w(self) -> int:
        """By how much less than its floor it is due."""
        return 0 if self.due_w is None else max(0, self.floor_w - self.due_w)


def partner_grants(
    snapshot: Snapshot, decision: Decision, orders: Mapping[str, OpenOrder]
) -> tuple[PartnerGrant, ...]:
    """Of each partner that has miners; `orders` are those that go out with this decision."""
    miners = {gid: g for gid, g in snapshot.groups.items() if g.spec.kind is GroupKind.MINERS}
    partners, filled = with_house(snapshot.site.partners, mining_groups(snapshot)), fillers_of(snapshot)
    heard_w = {
        gid: takes_w(g) if g.is_heard(snapshot.at, snapshot.site) else 0.0 for gid, g in miners.items()
    }
    found = []
    for partner, claim in zip(partners, claims_of(partners, heard_w), strict=True):
        groups = {g: miners[g] for g in partner.groups if g in miners}
        newest = {gid: o for gid, g in groups.items() if (o := _newest(gid, g, orders)) is not None}
        own = _Own(partner=partner, claim=claim, groups=groups, newest=newest)
        bare = _grant(own, snapshot, decision)
        told = altered(bare, reasons=tuple(_reasons(bare, own, snapshot, decision)))
        found.append(_with_fillers(told, filled.get(partner.partner_id, ()), snapshot))
    return tuple(found)


def floor_events(before: Mapping[str, datetime], grants: Iterable[PartnerGrant], at: datetime) -> list[Event]:
    """That a floor is not reached from now on, or is again. `before` = since when which partners have lacked theirs."""
    return [
        event
        for grant in grants
        if (event := _floor_event(grant, before.get(grant.partner.partner_id), at)) is not None
    ]


def lacking(
    before: Mapping[str, datetime], grants: Iterable[PartnerGrant], at: datetime
) -> dict[str, datetime]:
    """Since when which partners have lacked their floors."""
    return {g.partner.partner_id: before.get(g.partner.partner_id, at) for g in grants if g.lacks_floor_w}


def _floor_event(grant: PartnerGrant, since_at: datetime | None, at: datetime) -> Event | None:
    if bool(grant.lacks_floor_w) is (since_at is not None):
        return None
    name, floor = grant.partner.partner_id, f"{grant.floor_w / 1000:,.1f} kW"
    data: dict[str, str | float] = {"partner": name, "floor_w": grant.floor_w, "due_w": grant.due_w or 0}
    if since_at is None:
        text = f"partner {name} gets {(grant.due_w or 0) / 1000:,.1f} kW of its floor of {floor}"
        return Event(at=at, kind="partner.floor_missed", text=text, data=data)
    lasted_s = (at - since_at).total_seconds()
    text = f"partner {name} gets its floor of {floor} again, after {lasted_s:,.0f} s"
    return Event(at=at, kind="partner.floor_kept", text=text, data=data | {"lasted_s": lasted_s})


def _grant(own: _Own, snapshot: Snapshot, decision: Decision) -> PartnerGrant:
    name, groups, stand = own.partner.partner_id, own.groups, own.standing(snapshot.at)
    owed, miners = decision.owed, [m for g in groups.values() for m in g.miners]
    return PartnerGrant(
        partner=own.partner,
        rest_w=sum(g.account.idle_w for g in groups.values()),
        granted_w=own.above_rest_w({gid: o.entitlement_w for gid, o in stand.items()}),
        until_at=min((o.expires_at for o in stand.values()), default=None),
        then_w=own.above_rest_w({gid: o.resting_w() for gid, o in own.newest.items()}),
        is_followed=all(gid in stand and g.account.acked >= stand[gid].fence for gid, g in groups.items()),
        draw_w=sum(m.draw_w for m in miners),
        machines=len(miners),
        machines_on=sum(m.target_w > AWAKE_W for m in miners),
        wants_w=own.claim.cap_w,
        due_w=decision.partners_w.get(name),
        owed_wh=owed.credit_ws.get(name, 0) / _WS_PER_WH if owed and name in owed.shares_w else None,
    )


def _with_fillers(grant: PartnerGrant, nodes: Sequence[Group], snapshot: Snapshot) -> PartnerGrant:
    """With what fills idle GPUs for it: it comes and goes with what all others leave, and is due nothing."""
    if not nodes:
        return grant
    fillers = [m for g in nodes for m in g.miners]
    stand = [o for g in nodes if (o := g.account.newest) is not None and o.expires_at > snapshot.at]
    ends_at = [*(o.expires_at for o in stand), *([grant.until_at] if grant.until_at else [])]
    return altered(
        grant,
        granted_w=grant.granted_w + sum(g.miners_target_w for g in nodes),
        until_at=min(ends_at, default=None),
        draw_w=grant.draw_w + sum(m.draw_w for m in fillers),
        machines=grant.machines + len(fillers),
        machines_on=grant.machines_on + sum(m.target_w > AWAKE_W for m in fillers),
        fillers=tuple((f.name, g.spec.group_id) for g in nodes if (f := g.spec.filler) is not None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """A partner's groups, the newest order to each that has one, and what it may have of mining."""

    partner: Partner
    claim: Claim
    groups: Mapping[str, Group]
    newest: Mapping[str, OpenOrder]

    def standing(self, at: datetime) -> dict[str, OpenOrder]:
        """The orders that have not expired."""
        return {gid: o for gid, o in self.newest.items() if o.expires_at > at}

    def above_rest_w(self, entitled_w: Mapping[str, float]) -> float:
        """What entitlements allow beyond sleep."""
        return sum(max(0.0, w - self.groups[gid].account.idle_w) for gid, w in entitled_w.items())


def _newest(gid: str, group: Group, orders: Mapping[str, OpenOrder]) -> OpenOrder | None:
    return orders.get(gid) or group.account.newest


# -- why it is no more -------------------------------------------------------------------------------------------------


def _reasons(grant: PartnerGrant, own: _Own, snapshot: Snapshot, decision: Decision) -> Iterator[Reason]:
    """All that hold, the weightiest first."""
    if snapshot.stop is not None:
        yield Reason(code=GrantCode.STOPPED, text=f"{sentence(snapshot.stop)}: all miners sleep")
    yield from _silent(own, snapshot)
    if grant.until_at is None and own.groups:
        text = "no order to its miners stands: their guards have them in their fallback"
        yield Reason(code=GrantCode.EXPIRED, text=text)
    yield from _by_contract(grant, own, decision)
    yield from _on_the_way(grant, own)


def _silent(own: _Own, snapshot: Snapshot) -> Iterator[Reason]:
    for gid, group in own.groups.items():
        if not group.is_heard(snapshot.at, snapshot.site):
            state = f"nobody guards {gid}" if group.unguarded else f"{gid} is not heard of"
            text = f"{state}: nothing is planned with its machines"
            yield Reason(code=GrantCode.NOT_HEARD, text=text, remedy=f"see to the guard of {gid}")


def _by_contract(grant: PartnerGrant, own: _Own, decision: Decision) -> Iterator[Reason]:
    due_w, wants_w, cap_w = grant.due_w, grant.wants_w, own.partner.cap_w
    if grant.lacks_floor_w:
        yield Reason(
            code=GrantCode.FLOOR_MISSED,
            text=f"it is due {_of(due_w or 0, grant.floor_w)} of its floor: no more is left for mining",
            numbers={"due_w": float(due_w or 0), "floor_w": float(grant.floor_w)},
        )
    if due_w is not None and due_w < wants_w:
        mined_w, weight = sum(decision.partners_w.values()), own.partner.weight
        yield Reason(
            code=GrantCode.SHARED,
            text=f"mining is left {mined_w / 1000:,.1f} kW; with a weight of {weight} it is due {_of(due_w, wants_w)} "
            "that it could take",
            numbers={"mining_w": float(mined_w), "due_w": float(due_w), "wants_w": float(wants_w)},
        )
    elif cap_w is not None and wants_w == cap_w:
        text = f"its contract allows no more than {cap_w / 1000:,.1f} kW"
        yield Reason(code=GrantCode.CAPPED, text=text, numbers={"cap_w": float(cap_w)})


def _on_the_way(grant: PartnerGrant, own: _Own) -> Iterator[Reason]:
    """What it is due and was not ordered."""
    if grant.due_w is None or grant.granted_w + _SURE_W >= grant.due_w:
        return
    numbers = {"granted_w": grant.granted_w, "due_w": float(grant.due_w)}
    part = _of(grant.granted_w, grant.due_w)
    if any(g.spec.machine for g in own.groups.values()):
        text = f"{part} that it is due: machines run whole, and wake when minimum times and others' watts allow it"
        yield Reason(code=GrantCode.LANDED, text=text, numbers=numbers)
    else:
        text = f"{part} that it is due: it rises along the ramp, beside orders that may still stand"
        yield Reason(code=GrantCode.RISING, text=text, numbers=numbers)


def _of(part_w: float, whole_w: float) -> str:
    return f"{part_w / 1000:,.1f} of the {whole_w / 1000:,.1f} kW"
