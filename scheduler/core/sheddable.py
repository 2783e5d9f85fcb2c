"""What could go at short notice, means by means, in the order in which a falling limit takes them.

It is read off the totals by which `scheduler.core.shedding` cuts: what is planned on a node, what is left of that once
all flexible work there is held, and what once that has left. None of them less than what the books hold it to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from scheduler.core.dividing import is_heard
from scheduler.core.fillers import MIN_OFF_S
from scheduler.core.flexibility import HORIZONS_S, Means, by_tier, whole_w
from scheduler.core.floors import above_floor_w
from scheduler.core.grace import LEAST_S
from scheduler.core.jobs import Phase
from scheduler.core.node_tally import Depth
from scheduler.core.plan import Plan
from scheduler.core.power import GpuModel
from scheduler.core.presence import LEAVING


class _Pace(NamedTuple):
    """Seconds from a signal until each step has come."""

    falls_s: float  #: an order has lowered what it lowers
    lapses_s: float  #: who hears of nothing has fallen by himself
    leaves_s: float  #: who was told to save and leave has left
    rests_s: float  #: more, until GPUs that are given back run again


def down(plan: Plan) -> tuple[Means, ...]:
    """Miners, caps, holding; what lapses where a guard is silent; saving and leaving; standby. None without watts."""
    pace, silent = _pace(plan), frozenset(gid for gid in plan.groups if not is_heard(plan, gid))
    overhead, again_s = plan.site.overhead, plan.site.raise_delay_s
    depths = dict(plan.depths())
    heard = [depth for gid, depth in depths.items() if gid not in silent]
    held_w = overhead * math.fsum(d.planned_w - d.held_w for d in heard)
    left_w = whole_w(overhead * math.fsum(d.held_w - d.left_w for d in heard))
    all_means = (
        _miners(plan, pace, silent),
        *_work(plan, pace, silent, held_w),
        _lapse(plan, pace, silent, [depths[gid] for gid in sorted(silent & depths.keys())]),
        Means(
            name="release",
            power_w=left_w,
            after_s=pace.leaves_s,
            again_after_s=again_s + pace.rests_s,
            tiers_w=by_tier(_contexts(plan), left_w),
        ),
        _standby(plan, pace, [gid for gid, d in depths.items() if d.clears and gid not in silent]),
    )
    return tuple(means for means in all_means if means.power_w)


def _pace(plan: Plan) -> _Pace:
    """A save that power forces is over within the reaction time: see `scheduler.core.grace`."""
    site = plan.site
    return _Pace(
        falls_s=site.lead_s,
        lapses_s=site.lease_s + site.lead_s,
        leaves_s=max(site.reaction_s, site.lead_s + LEAST_S + site.fall_s),
        rests_s=site.restart_s,
    )


def _miners(plan: Plan, pace: _Pace, silent: frozenset[str]) -> Means:
    """To their rest, whole machines as well: before a limit no minimum time counts."""
    mine = [gid for gid, w in plan.miners_w.items() if w > 0 and gid not in silent]
    kinds = [kind for gid in mine if (kind := plan.groups[gid].spec.machine) is not None]
    rests_s = [kind.min_off_s for kind in kinds] + ([MIN_OFF_S] if plan.filled_w() else [])
    return Means(
        name="miners",
        power_w=whole_w(sum(plan.miners_w[gid] for gid in mine) + plan.filled_w()),
        after_s=pace.falls_s,
        again_after_s=max(rests_s, default=0.0),
    )


def _work(plan: Plan, pace: _Pace, silent: frozenset[str], at_most_w: float) -> tuple[Means, Means]:
    """Caps to their floors, then all flexible work held under them."""
    site = plan.site
    caps_w = by_tier(_above_floors(plan, silent), at_most_w)
    capped_w = math.fsum(caps_w.values())
    held_w = by_tier(_above_rest(plan, silent), at_most_w - capped_w)
    caps = Means(
        name="caps",
        power_w=capped_w,
        after_s=pace.falls_s,
        again_after_s=site.raise_delay_s,
        tiers_w=caps_w,
    )
    suspend = Means(
        name="suspend",
        power_w=math.fsum(held_w.values()),
        after_s=pace.falls_s,
        holds_s=site.suspend_max_s,
        again_after_s=site.raise_delay_s,
        tiers_w=held_w,
    )
    return caps, suspend


def _flexible(plan: Plan, silent: frozenset[str]) -> Iterator[tuple[int, float, GpuModel, float, float]]:
    """What runs and may give way: tier, GPUs at the site meter, model, cap, floor."""
    unheard = {a.id: a for gid in sorted(silent) for a in plan.on(gid)}
    for kind, counts in plan.roster.gpus_without(unheard.values()).items():
        if kind.tier > 0:
            for cap_w, gpus in counts.items():
                yield kind.tier, plan.site.overhead * gpus, kind.model, cap_w, kind.floor_w


def _above_floors(plan: Plan, silent: frozenset[str]) -> Iterator[tuple[int, float]]:
    for tier, gpus, model, cap_w, floor_w in _flexible(plan, silent):
        yield tier, gpus * above_floor_w(model, cap_w, floor_w)


def _above_rest(plan: Plan, silent: frozenset[str]) -> Iterator[tuple[int, float]]:
    for tier, gpus, model, cap_w, floor_w in _flexible(plan, silent):
        yield tier, gpus * (model.charge_w(min(cap_w, floor_w)) - model.held_w())


def _contexts(plan: Plan) -> Iterator[tuple[int, float]]:
    """What GPUs draw more while work is held on them than once it has left."""
    for tier, gpus, model, _, _ in _flexible(plan, frozenset()):
        yield tier, gpus * (model.held_w() - model.idle_w)
    for where, count in plan.roster.counts(plan.roster.each_in(Phase.SUSPEND, *LEAVING)).items():
        kind, gpus = where.kind, count * where.gpus
        yield kind.tier, plan.site.overhead * gpus * (kind.model.held_w() - kind.model.idle_w)


def _lapse(plan: Plan, pace: _Pace, silent: frozenset[str], depths: Iterable[Depth]) -> Means:
    """What guards that nothing is heard of give up by themselves, once their orders have expired."""
    it_w = math.fsum(d.planned_w - d.held_w for d in depths)
    mined_w = sum(w for gid, w in plan.miners_w.items() if gid in silent)
    return Means(
        name="lapse",
        power_w=whole_w(plan.site.overhead * it_w + mined_w),
        after_s=pace.lapses_s,
        again_after_s=plan.site.raise_delay_s,
    )


def _standby(plan: Plan, pace: _Pace, clears: Iterable[str]) -> Means:
    """The bases of nodes on which nothing firm is, once all has left them."""
    site, last_s = plan.site, HORIZONS_S[-1]
    begins_s = max(pace.leaves_s, site.raise_delay_s)  # a node is switched when raises are judged
    nodes = []
    for gid in clears:
        standby = plan.groups[gid].spec.standby
        if standby and not plan.is_off(gid) and begins_s + standby.down_s <= last_s:
            nodes.append((plan.awake_w(gid), standby))
    boot_s = max((standby.boot_s for _, standby in nodes), default=0.0)
    return Means(
        name="standby",
        power_w=whole_w(site.overhead * math.fsum(w for w, _ in nodes)),
        after_s=begins_s + max((standby.down_s for _, standby in nodes), default=0.0),
        again_after_s=site.raise_delay_s + boot_s + pace.rests_s,
    )
