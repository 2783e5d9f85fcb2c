"""The mode that the site's operator named, applied to a plan: what is kept from AI for mining, what partners get.

The surplus that is divided is what the usable limit leaves above all that the site draws without running work. AI is
never cut for the division: it only is not raised into what is kept. In `shed`, mining gives way first in every mode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from scheduler.core.fleets import most_taken_w, paused_w
from scheduler.core.modes import AiBlock, AiFirst, Division, Mode, Revenue, Surplus, Threshold, divide
from scheduler.core.partners import Partner, with_house
from scheduler.core.plan import Plan
from scheduler.core.queueing import Queue
from scheduler.core.revenue import priced
from scheduler.core.snapshot import Group
from scheduler.core.split import Pool, by_group, claims_of, cut, in_line, shed_order, split, whole_w
from scheduler.core.worth import ai_w, blocks, firm_w

_AT_ANY_TIME = datetime.min.replace(tzinfo=UTC)


def owners(plan: Plan) -> tuple[Partner, ...]:
    """The partners, and the site itself for miners that nobody else owns."""
    return with_house(plan.site.partners, plan.miners_w)


def _ranked(plan: Plan) -> tuple[Partner, ...]:
    """The same, with the prices of now where they are ranked by price."""
    partners = owners(plan)
    if not isinstance(plan.site.mode, Revenue) or all(p.follows is None for p in partners):
        return partners
    return priced(partners, plan.groups, plan.chain)


def available_w(plan: Plan) -> dict[str, float]:
    """What each miner group can take at present, W; nothing where it is not heard of."""
    return {gid: takes_w(plan.groups[gid]) if is_heard(plan, gid) else 0.0 for gid in plan.miners_w}


def kept_for_mining(plan: Plan, queue: Queue, limit_w: float) -> float:
    """Site watts that nothing of AI may be raised into, because they are mining's under the mode of the site."""
    mode = plan.site.mode
    if isinstance(mode, AiFirst | Threshold) or not plan.miners_w:
        return 0.0
    room_w = limit_w - (plan.nodes_w() - ai_w(plan))
    more = whole_w(room_w)
    demand: tuple[AiBlock, ...] = (AiBlock(watts=more),)
    if isinstance(mode, Revenue) and mode.gpu_h_micro is not None:
        demand = blocks(plan, queue, mode.gpu_h_micro, more)
    surplus = Surplus(
        room_w=room_w,
        ai=demand,
        ai_firm_w=firm_w(plan, queue),
        partners=_ranked(plan),
        available_w=available_w(plan),
        at=plan.at,
    )
    return float(divide(mode, surplus).mining_w)


def division(plan: Plan, limit_w: float, waiting_w: float) -> Division:
    """Who gets what of the surplus, once AI has what it has. `waiting_w` = what AI would use on top."""
    has_w = math.ceil(ai_w(plan))
    room_w, takes_w = limit_w - plan.nodes_w() + has_w, available_w(plan)
    at = plan.at if isinstance(plan.site.mode, Revenue) else _AT_ANY_TIME  # only prices grow old
    return _division(plan.site.mode, room_w, has_w, waiting_w, _ranked(plan), tuple(takes_w.items()), at)


@lru_cache(maxsize=1024)  # most rounds leave the surplus as it is, or as it was before
def _division(
    mode: Mode,
    room_w: float,
    has_w: int,
    waiting_w: float,
    partners: tuple[Partner, ...],
    takes_w: tuple[tuple[str, float], ...],
    at: datetime,
) -> Division:
    value = None if isinstance(mode, Revenue) and mode.gpu_h_micro is None else 0
    surplus = Surplus(
        room_w=room_w,
        ai=(AiBlock(watts=has_w, micro_per_mwh=value),),
        ai_firm_w=has_w,
        ai_waiting_w=waiting_w,
        partners=partners,
        available_w=dict(takes_w),
        at=at,
    )
    return divide(mode, surplus)


def wanted_by_group(plan: Plan, made: Division) -> dict[str, float]:
    """The watts that a division gives each miner group."""
    takes_w = ((gid, w, _thrift(plan.groups[gid])) for gid, w in available_w(plan).items())
    given = _by_group(owners(plan), tuple(made.partners_w.items()), tuple(takes_w))
    return {gid: float(given.get(gid, 0)) for gid in plan.miners_w}


@lru_cache(maxsize=1024)
def _by_group(
    partners: tuple[Partner, ...],
    grants_w: tuple[tuple[str, int], ...],
    takes_w: tuple[tuple[str, float, float], ...],
) -> Mapping[str, int]:
    pools = [Pool(group_id=gid, max_w=whole_w(w), joule_per_th=thrift) for gid, w, thrift in takes_w]
    return by_group(partners, dict(grants_w), pools)


def without(plan: Plan, over_w: float) -> dict[str, float]:
    """The groups' watts lowered by `over_w` in all, or to nothing. Nobody gets more.

    Partners of one tier are levelled by their weights, as the next division will. Of several tiers, the largest gives
    way first, and in it whoever was curtailed least per weight: who is owed least, where machines run whole, else who
    lacks least of what its machines take. Who has had all the curtailment of its month comes last of its tier.
    """
    partners = owners(plan)
    has_w = {p.partner_id: sum(plan.miners_w.get(g, 0.0) for g in p.groups) for p in partners}
    claims = [
        replace(c, tier=in_line(c.tier, is_spent=c.name in plan.spent))
        for c in claims_of(partners, available_w(plan))
    ]
    capped = [replace(c, cap_w=(w := whole_w(has_w[c.name])), floor_w=min(c.floor_w, w)) for c in claims]
    grants = {c.name: c.cap_w for c in capped}
    if len({c.tier for c in claims}) == 1:
        lowered = split(sum(has_w.values()) - over_w, capped).grants_w
    else:
        lacking = plan.owed.credit_ws if plan.owed else {c.name: c.cap_w - grants[c.name] for c in claims}
        fraction_w = sum(has_w.values()) - sum(grants.values())
        lowered = cut(grants, over_w - fraction_w, capped, shed_order(claims, lacking)).grants_w
    shares = {
        p.partner_id: lowered[p.partner_id] / has_w[p.partner_id] for p in partners if has_w[p.partner_id] > 0
    }
    return {
        g: plan.miners_w[g] * shares.get(p.partner_id, 0.0)
        for p in partners
        for g in p.groups
        if g in plan.miners_w
    }


def takes_w(group: Group) -> float:
    """All its machines that are there, where they run whole."""
    kind = group.spec.machine
    if kind is None:
        return group.spec.miners_max_w - paused_w(group.spec, group.miners)
    return float(most_taken_w(kind, group.miners))


def _thrift(group: Group) -> float:
    return group.spec.machine.joule_per_th if group.spec.machine else 0.0


def is_heard(plan: Plan, group_id: str) -> bool:
    """Whether a group was heard of lately, so that it can be counted on to do what it is told."""
    return plan.groups[group_id].is_heard(plan.at, plan.site)
