"""Miners take what the nodes leave, as the site's mode and the partners' contracts divide it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.core.altered import altered
from scheduler.core.credit import Owed
from scheduler.core.dividing import division, wanted_by_group
from scheduler.core.fleets import paused_w
from scheduler.core.landing import on_machines
from scheduler.core.modes import AiFirst
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.raises import Raises
from scheduler.core.ramp import Moving, Ramp, step
from scheduler.core.reasons import Reason
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.zoning import Kept, hold_miners

_LEAST_W = 1.0  #: that miners lack if they lack any: sums of watts are never quite what they were
_STEP_S = 1.0  #: a ramp that was not looked at for longer goes on from here: no order makes up for lost time


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """How mining was fed, in words, and when to go on with what has a ramp."""

    reasons: tuple[Reason, ...] = ()
    partners_w: Mapping[str, int] = field(default_factory=dict)
    wanted_w: float = 0.0  #: what all miners are to have, once open orders leave room for it
    owed: Owed | None = None  #: between partners whose machines run whole
    wake_at: datetime | None = None


def feed_miners(plan: Plan, snapshot: Snapshot, limit_w: float, raises: Raises | None = None) -> Fed:
    """Give miners what the nodes leave, and raises that wait for it; raise only beside all open orders.

    A site that names neither partners nor a mode divides it in proportion to the size of the groups. Where machines
    run whole, a group is told what they can land on.
    """
    if not plan.miners_w:
        return Fed()
    left_w = limit_w - (raises.reserved_w if raises else 0.0)
    if not plan.site.partners and isinstance(plan.site.mode, AiFirst):
        fed, wanted = Fed(), _by_size(plan, left_w)
    else:
        made = division(plan, left_w, _waiting_w(plan, raises) if raises else 0.0)
        fed, wanted = Fed(reasons=made.reasons, partners_w=made.partners_w), wanted_by_group(plan, made)
    landed = on_machines(plan, wanted, limit_w - plan.nodes_w())
    runs_whole = landed.owed is not None
    targets_w = landed.targets_w if runs_whole else _worth_telling(plan, landed.targets_w, limit_w)
    paced = _paced(plan, targets_w, limit_w)
    _feed(plan, snapshot, left_w, paced, raises.zones if raises else Kept())
    fed = altered(fed, owed=landed.owed, wake_at=landed.wake_at, wanted_w=sum(targets_w.values()))
    if paced is targets_w:
        return fed
    return altered(fed, wake_at=plan.at + timedelta(seconds=_STEP_S))


def is_short(plan: Plan, fed: Fed) -> bool:
    """Whether miners are to have more than open orders leave room for."""
    return fed.wanted_w > sum(plan.miners_w.values()) + _LEAST_W


def _waiting_w(plan: Plan, raises: Raises) -> float:
    """Site watts of jobs that wait for power alone: as many as the free GPUs would take."""
    waiting_w, free = 0.0, raises.free_gpus
    for refused in raises.refused:
        if not refused.lacks_gpus:
            jobs = min(refused.jobs, free // max(1, refused.job.spec.total_gpus))
            waiting_w += jobs * plan.start_w(refused.job)
            free -= jobs * refused.job.spec.total_gpus
    return waiting_w


def _by_size(plan: Plan, limit_w: float) -> dict[str, float]:
    room_w = max(0.0, limit_w - plan.nodes_w())
    sizes = {gid: _size_w(plan.groups[gid]) for gid in plan.miners_w}
    total_w = sum(sizes.values())
    return {gid: min(size_w, room_w * size_w / total_w) if total_w else 0.0 for gid, size_w in sizes.items()}


def _size_w(group: Group) -> float:
    return group.spec.miners_max_w - paused_w(group.spec, group.miners)


def _worth_telling(plan: Plan, wanted: Mapping[str, float], limit_w: float) -> Mapping[str, float]:
    """What is wanted without its raises, where all of them together are too little to tell anybody about."""
    known_w = plan.miners_w
    if not 0.0 < _raise_w(known_w, wanted) < plan.least_rise_w(limit_w) or _lacks_floor(plan, wanted):
        return wanted
    return {gid: min(w, known_w[gid]) for gid, w in wanted.items()}


def _raise_w(known: Mapping[str, float], wanted: Mapping[str, float]) -> float:
    """What those are to have more who are to have more, W in all."""
    return sum(max(0.0, w - known[gid]) for gid, w in wanted.items())


def _lacks_floor(plan: Plan, wanted: Mapping[str, float]) -> bool:
    """Whether a partner is to come nearer to what its contract keeps for it: each watt of that is worth it."""
    for partner in plan.site.partners:
        groups = [gid for gid in partner.groups if gid in wanted]
        known_w = sum(plan.miners_w[gid] for gid in groups)
        if known_w < min(partner.floor_w, sum(wanted[gid] for gid in groups)):
            return True
    return False


def _paced(plan: Plan, wanted: Mapping[str, float], limit_w: float) -> Mapping[str, float]:
    """As far towards what is wanted as the ramps lead by now; what `limit_w` demands has no ramp."""
    site, known_w, wanted_w = plan.site, sum(plan.miners_w.values()), sum(wanted.values())
    if (site.mining_ramp_up_w_per_s, site.mining_ramp_down_w_per_s) == (None, None):
        return wanted
    ramp = Ramp(
        up_w_per_s=site.mining_ramp_up_w_per_s or math.inf,
        down_w_per_s=site.mining_ramp_down_w_per_s or math.inf,
    )
    most_w = max(0.0, limit_w - plan.nodes_w())
    allowed_w = step(ramp, Moving(allowed_w=known_w), wanted_w, _since_s(plan), limit_w=most_w).allowed_w
    if min(abs(wanted_w - allowed_w), abs(wanted_w - known_w)) <= EPSILON_W:
        return wanted
    part = min(1.0, (allowed_w - known_w) / (wanted_w - known_w))
    return {gid: known_w + part * (wanted[gid] - known_w) for gid, known_w in plan.miners_w.items()}


def _since_s(plan: Plan) -> float:
    """Seconds since miners were last told anything."""
    told = [at for gid in plan.miners_w if (at := plan.groups[gid].ordered_at) is not None]
    return min(_STEP_S, (plan.at - max(told)).total_seconds()) if told else _STEP_S


def _feed(plan: Plan, snapshot: Snapshot, limit_w: float, wanted: Mapping[str, float], zones: Kept) -> None:
    """Lower at once; raise in equal parts of what is wanted, as far as open orders leave room."""
    known = dict(plan.miners_w)
    plan.miners_w.update({gid: min(w, known[gid]) for gid, w in wanted.items()})
    hold_miners(plan, known, zones)
    spare_w = limit_w - plan.exposed_w()
    raise_w = _raise_w(known, wanted)
    if snapshot.stop or not snapshot.raises_allowed or raise_w <= 0:
        return
    if spare_w <= 0 or spare_w < min(raise_w, plan.least_rise_w(limit_w)):
        return
    share = min(1.0, spare_w / raise_w)
    for gid, target_w in wanted.items():
        if target_w > known[gid]:
            plan.miners_w[gid] = known[gid] + share * (target_w - known[gid])
    hold_miners(plan, known, zones)
