"""What mining is due, in whole machines: fair between partners over time, and nobody woken or sent to sleep too soon.

A miner group is told no more than watts, and its guard chooses the machines; what is decided here is what they can
land on. A group of which nothing is heard, or whose miners take any watt, is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.credit import CreditRule, Owed, Round, land
from scheduler.core.dividing import is_heard, owners
from scheduler.core.fleets import fleet_of, once_told
from scheduler.core.machines import Landing, Machine, free_at
from scheduler.core.partners import Partner
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.split import Claim, in_line, whole_w

_SLASH = "/"  #: between a group and its machine; no group has one in its name
_SURE_W = 1.0  #: what is told in floats and in whole watts may differ by less
_BOUND_S, _SWAP_S = 86_400, 3600  #: of one machine: what is carried at most, and what it takes to swap two


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """The target of each miner group, what is owed from now on, and when a minimum time that is in the way ends."""

    targets_w: Mapping[str, float]
    owed: Owed | None = None
    wake_at: datetime | None = None


def on_machines(plan: Plan, wanted: Mapping[str, float], most_w: float, *, by_tier: bool = False) -> Landed:
    """What whole machines can make of `wanted`, W by group. All groups together never have more than `most_w` by it.

    `by_tier` = in a cut: what rounding leaves is the smallest tier's first.

    Beyond what is wanted run only machines that just woke, and they too sleep where `most_w` demands it.
    """
    fleets = _fleets(plan)
    if not fleets:
        return Landed(targets_w=wanted)
    mine = [p for p in owners(plan) if p.partner_id in fleets]
    rule = _rule(fleets)
    shares_w = {p.partner_id: whole_w(sum(wanted[g] for g in _groups(plan, p)) + EPSILON_W) for p in mine}
    credit_ws = plan.owed.since(_used_w(plan, mine), plan.at, rule) if plan.owed else {}
    now = Round(
        room_w=sum(shares_w.values()),
        claims=[_claim(p, fleets[p.partner_id], is_spent=p.partner_id in plan.spent) for p in mine],
        shares_w=shares_w,
        fleets=fleets,
        credit_ws=credit_ws,
        at=plan.at,
        by_tier=by_tier,
    )
    others_w = sum(wanted.values()) - sum(wanted[g] for p in mine for g in _groups(plan, p))
    landings = _land(now, rule, most_w - others_w)
    targets_w = dict(wanted)
    if landings is not None:
        targets_w |= _by_group(plan, mine, landings)
    return Landed(
        targets_w=targets_w,
        owed=Owed(at=plan.at, credit_ws=credit_ws, shares_w=shares_w),
        wake_at=_next_free_at(now, landings),
    )


def _land(now: Round, rule: CreditRule, most_w: float) -> dict[str, Landing] | None:
    """Before their time machines sleep only if it must be. None if not even that is enough."""
    for emergency in (False, True):
        landings = land(replace(now, emergency=emergency), rule)
        if sum(x.landed_w for x in landings.values()) <= most_w + EPSILON_W:
            return landings
    return None


def _fleets(plan: Plan) -> dict[str, tuple[Machine, ...]]:
    """The machines that are heard of, by partner."""
    fleets = {
        p.partner_id: tuple(m for g in _groups(plan, p) for m in _machines(plan, g)) for p in owners(plan)
    }
    return {name: fleet for name, fleet in fleets.items() if fleet}


def _groups(plan: Plan, partner: Partner) -> list[str]:
    """A partner's groups whose machines run whole, and are heard of."""
    return [
        g for g in partner.groups if g in plan.miners_w and plan.groups[g].spec.machine and is_heard(plan, g)
    ]


def _machines(plan: Plan, group_id: str) -> tuple[Machine, ...]:
    group = plan.groups[group_id]
    if group.spec.machine is None or group.reported_at is None:
        return ()
    boottime_s = group.reported_boottime_s + (plan.at - group.reported_at).total_seconds()
    prefix = group_id + _SLASH
    fleet = fleet_of(group.spec.machine, group.miners, plan.at, boottime_s=boottime_s, prefix=prefix)
    if plan.miners_w[group_id] + _SURE_W >= sum(m.target_w for m in group.miners):
        return fleet
    return once_told(fleet, plan.miners_w[group_id], plan.at)


def _claim(partner: Partner, fleet: Iterable[Machine], *, is_spent: bool) -> Claim:
    takes_w = sum(m.nameplate_w for m in fleet if m.may_work)
    cap_w = takes_w if partner.cap_w is None else min(takes_w, partner.cap_w)
    floor_w = min(partner.floor_w, cap_w)
    return Claim(
        name=partner.partner_id,
        weight=partner.weight,
        floor_w=floor_w,
        cap_w=cap_w,
        tier=in_line(partner.tier, is_spent=is_spent),
    )


def _rule(fleets: Mapping[str, Iterable[Machine]]) -> CreditRule:
    largest_w = max(m.nameplate_w for fleet in fleets.values() for m in fleet)
    return CreditRule(bound_ws=largest_w * _BOUND_S, swap_ws=largest_w * _SWAP_S)


def _used_w(plan: Plan, partners: Iterable[Partner]) -> dict[str, float]:
    """What each partner's machines draw above their rest."""
    return {
        p.partner_id: sum(m.draw_w for g in _groups(plan, p) for m in plan.groups[g].miners) for p in partners
    }


def _by_group(plan: Plan, partners: Iterable[Partner], landings: Mapping[str, Landing]) -> dict[str, float]:
    targets_w = {g: 0.0 for p in partners for g in _groups(plan, p)}
    for landing in landings.values():
        for machine_id, target_w in landing.targets_w.items():
            targets_w[machine_id.partition(_SLASH)[0]] += target_w
    return targets_w


def _next_free_at(now: Round, landings: Mapping[str, Landing] | None) -> datetime | None:
    """When the first minimum time ends, where machines do not add up to the room."""
    if landings is not None and sum(x.landed_w for x in landings.values()) == now.room_w:
        return None
    ends = [at for fleet in now.fleets.values() for at in free_at(fleet).values() if at > now.at]
    return min(ends) + timedelta(milliseconds=1) if ends else None
