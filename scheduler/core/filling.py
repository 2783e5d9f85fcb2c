"""Programs that mine on idle GPUs take what neither AI nor miners can use, and are in nobody's way.

A node's order tells its filler how much it may draw above the rest of the GPUs that nobody else has; its guard chooses
the GPUs, caps them, and ends the program on a GPU before it starts anything else there. So the invariant is that of
any order: the watts are part of the node's entitlement, and no part of its fallback.

Nothing is raised here before the books have room for it, nor soon after a cut. Behind a limited domain fillers run only
while no work waits, and all that runs there has all that it can take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from scheduler.core.domains import Zone
from scheduler.core.fillers import Range, miner_id, slots
from scheduler.core.fleets import paused_w
from scheduler.core.inventory import Wish
from scheduler.core.partners import Partner
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.raises import Raises
from scheduler.core.raising import dwell
from scheduler.core.room import takes_work
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.zoning import exposed_w, load_w

_WORTH_W = 10.0  #: a rise by less is not worth an order to a filler that runs


def fill_idle(
    plan: Plan, snapshot: Snapshot, limit_w: float, raises: Raises, known_w: Mapping[str, float]
) -> None:
    """Hand out what is left under `limit_w`, W by node; `known_w` is what fillers had before this round.

    Those that run go on before others begin.
    """
    if not plan.fillers_w:
        return
    may_raise = snapshot.stop is None and snapshot.raises_allowed and dwell(snapshot) is None
    limit_w -= raises.reserved_w
    left = _Left(plan, math.floor((limit_w - plan.site_w()) / plan.site.overhead + EPSILON_W))
    for gid in sorted(plan.fillers_w, key=lambda g: (g not in known_w, g)):
        if left.w <= 0:
            return
        group, had_w = plan.groups[gid], known_w.get(gid, 0.0)
        if not (may_raise or had_w):
            continue
        ranges = _idle(plan, group)
        most_w = sum(r.most_w for r in ranges)
        wanted_w = left.of(group, most_w if may_raise else min(had_w, most_w))
        wanted_w = min(wanted_w, _room_in_zones_w(plan, raises, gid))
        if had_w < wanted_w < had_w + _WORTH_W and had_w:
            wanted_w = had_w
        least_w = min((r.least_w for r in ranges), default=math.inf)
        if wanted_w >= least_w and (given_w := _given_w(plan, raises, gid, wanted_w, limit_w)) >= least_w:
            plan.fill(gid, given_w)
            left.take(group, given_w)


class _Left:
    """Watts of nodes that are left for fillers: of the site, and of each partner's cap."""

    def __init__(self, plan: Plan, left_w: float) -> None:
        self.w = left_w
        self._partners = {p.partner_id: _below_cap_w(plan, p) for p in plan.site.partners}

    def of(self, group: Group, most_w: float) -> float:
        """What the filler of a node may have of it."""
        return math.floor(min(most_w, self.w, self._partners.get(_owner(group), math.inf)))

    def take(self, group: Group, given_w: float) -> None:
        """It got so much."""
        self.w -= given_w
        if (owner := _owner(group)) in self._partners:
            self._partners[owner] -= given_w


def _owner(group: Group) -> str:
    return group.spec.filler.partner if group.spec.filler is not None else ""


def _below_cap_w(plan: Plan, partner: Partner) -> float:
    if partner.cap_w is None:
        return math.inf
    return max(0.0, partner.cap_w - sum(plan.miners_w.get(g, 0.0) for g in partner.groups))


def _idle(plan: Plan, group: Group) -> list[Range]:
    """What a filler may make of each GPU that nobody has and nobody will, of a node that is on and heard of."""
    gid = group.spec.group_id
    if not takes_work(group) or plan.is_off(gid) or not group.is_heard(plan.at, plan.site):
        return []
    held = {g for a in plan.on(gid) for p in a.placements if p.node_id == gid for g in p.gpu_ids}
    held.update(r.gpu_id for r in group.gpus if r.processes or r.lost)
    paused = {m.miner_id for m in group.miners if m.wish is Wish.PAUSED}
    free = ((s.gpu_id, found) for s, found in slots(group.spec) if s.gpu_id not in held)
    return [found for gpu_id, found in free if not paused or miner_id(gid, gpu_id) not in paused]


def _given_w(plan: Plan, raises: Raises, group_id: str, wanted_w: float, limit_w: float) -> float:
    """As much of it as there is room for beside all open orders; what those allow the node already costs nothing."""
    zones = plan.zones.above(group_id)
    before_w = plan.exposed_w(), [exposed_w(plan, z) for z in zones]
    plan.fill(group_id, wanted_w)
    over_w = (plan.exposed_w() - max(before_w[0], limit_w)) / plan.site.overhead
    for zone, zone_w in zip(zones, before_w[1], strict=True):
        rise_w = exposed_w(plan, zone) - max(zone_w, raises.zones.room_w(zone))
        over_w = max(over_w, rise_w / zone.factors[group_id])
    plan.fill(group_id, 0.0)
    return wanted_w if over_w <= EPSILON_W else math.floor(wanted_w - over_w)


def _room_in_zones_w(plan: Plan, raises: Raises, group_id: str) -> float:
    """What the domains above a node leave to its filler."""
    room_w = math.inf
    for zone in plan.zones.above(group_id):
        if raises.refused or raises.reserved_w or not _all_have_enough(plan, zone):
            return 0.0
        free_w = raises.zones.room_w(zone) - load_w(plan, zone)
        room_w = min(room_w, math.floor(free_w / zone.factors[group_id] + EPSILON_W))
    return max(0.0, room_w)


def _all_have_enough(plan: Plan, zone: Zone) -> bool:
    """Whether all AI behind a domain runs without a cap that slows it, and all miners at full work."""
    for gid in zone.factors:
        if any(a.cap_w < plan.top_w(a) - EPSILON_W for a in plan.on(gid)):
            return False
        group = plan.groups[gid]
        if gid in plan.miners_w and plan.miners_w[gid] < (
            group.spec.miners_max_w - paused_w(group.spec, group.miners) - 1.0
        ):
            return False
    return True
