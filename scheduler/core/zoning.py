"""The limits of power domains below the site, kept by the same means as the site's, in the same order.

Every rule of the site's limit holds for each of them too: reductions need nobody's leave, caps go before pauses, and
nothing is raised before the books have room for it. A site without limited domains pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scheduler.core.bare import late, rest_bare
from scheduler.core.domains import Zone
from scheduler.core.envelope import Limit
from scheduler.core.fillers import lowered_w
from scheduler.core.floors import STEP_W, above_floor_w
from scheduler.core.grace import hurry
from scheduler.core.jobs import Attempt, PauseCause, Phase
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.reasons import Code, Reason
from scheduler.core.roster import Kind
from scheduler.core.shedding import release
from scheduler.core.telling import told
from scheduler.core.victims import victims

_Watts = Callable[[str], float]


@dataclass(slots=True)
class Kept:
    """Watts of domains that are kept in a round for raises that wait for confirmed room, by domain."""

    kept_w: dict[str, float] = field(default_factory=dict)

    def room_w(self, zone: Zone) -> float:
        """What of a domain others may have."""
        return zone.usable_w - self.kept_w.get(zone.name, 0.0)

    def keep(self, plan: Plan, attempt: Attempt, rise_w: Mapping[str, float]) -> None:
        """Keep what nodes of an attempt will rise by."""
        for zone in zones_with(plan, attempt):
            risen_w = sum(zone.factors.get(gid, 0.0) * w for gid, w in rise_w.items())
            self.kept_w[zone.name] = self.kept_w.get(zone.name, 0.0) + risen_w


# -- what a domain draws -----------------------------------------------------------------------------------------


def load_w(plan: Plan, zone: Zone) -> float:
    """What its meter shows at most once all follow the plan."""
    return _sum_w(zone, lambda gid: plan.group_bounds_w(gid).planned_w)


def exposed_w(plan: Plan, zone: Zone) -> float:
    """What its meter could show at most right now."""
    return _sum_w(zone, lambda gid: plan.group_bounds_w(gid).exposed_w)


def _settled_w(plan: Plan, zone: Zone) -> float:
    return _sum_w(zone, lambda gid: plan.group_bounds_w(gid).settled_w)


def _sum_w(zone: Zone, of_group: _Watts) -> float:
    return sum(factor * of_group(gid) for gid, factor in zone.factors.items())


def _mined_w(plan: Plan, zone: Zone) -> float:
    mined_w = sum(plan.miners_w[gid] * factor for gid, factor in zone.factors.items() if gid in plan.miners_w)
    return mined_w + _filled_w(plan, zone)


def _filled_w(plan: Plan, zone: Zone) -> float:
    fillers_w = plan.fillers_w
    return sum(w * zone.factors.get(gid, 0.0) for gid, w in fillers_w.items()) if fillers_w else 0.0


def is_over(plan: Plan) -> bool:
    """Whether the plan is above the limit of any domain."""
    return any(load_w(plan, left) > left.usable_w + EPSILON_W for _, left in _in_time(plan))


def is_above(plan: Plan, limits: Mapping[str, Limit]) -> bool:
    """Whether the plan is above any of the limits that domains will have."""
    zones = (z for z in plan.zones.limited if z.name in limits)
    return any(load_w(plan, zone) > limits[zone.name].limit_w for zone in zones)


def overdrawn(plan: Plan) -> set[str]:
    """The groups behind a limit that open orders could break: nothing is raised there."""
    full = (z for z in plan.zones.limited if exposed_w(plan, z) > z.usable_w + EPSILON_W)
    return {gid for zone in full for gid in zone.factors if gid in plan.groups}


# -- down ------------------------------------------------------------------------------------------------------------


def cut_zones(plan: Plan) -> bool:
    """Bring every domain under its limit, gentlest means first. Whether AI work was cut."""
    cut_work = False
    for whole, left in _in_time(plan):
        cut_work = _cut(plan, whole, left) or cut_work
    return cut_work


def _in_time(plan: Plan) -> Iterator[tuple[Zone, Zone]]:
    """Each limited domain, and with what nodes leave of it that go to standby, and may not be there in time."""
    going = list(late(plan)) if plan.zones.limited else []
    for zone in plan.zones.limited:
        late_w = sum(zone.factors.get(gid, 0.0) * it_w for gid, it_w in going)
        yield zone, replace(zone, usable_w=zone.usable_w - late_w) if late_w else zone


def _cut(plan: Plan, whole: Zone, zone: Zone) -> bool:
    _lower_miners(plan, zone, zone.usable_w)
    if load_w(plan, zone) <= zone.usable_w + EPSILON_W:
        return False
    lowered = lower_caps(plan, zone, to_knee=False)
    held = _suspend(plan, zone)
    _release(plan, zone, Phase.SUSPEND)
    _release(plan, zone, Phase.RUN)
    hurried = _hurry(plan, zone)
    rest_bare(plan, _settled_w(plan, whole) - whole.usable_w, lambda gid: whole.factors.get(gid, 0.0))
    return lowered or held or hurried


def _lower_miners(plan: Plan, zone: Zone, room_w: float) -> None:
    """What fills idle GPUs, then all of a domain's miners by the same share, until it fits or they rest."""
    for gid, filler_w in sorted(plan.fillers_w.items(), reverse=True):
        if (over_w := load_w(plan, zone) - room_w) > 0 and (factor := zone.factors.get(gid, 0.0)) > 0:
            plan.fill(gid, lowered_w(plan.groups[gid].spec, filler_w, over_w / factor))
    over_w, mined_w = load_w(plan, zone) - room_w, _mined_w(plan, zone)
    if over_w <= 0 or mined_w <= 0:
        return
    left = max(0.0, mined_w - over_w) / mined_w
    plan.miners_w.update({gid: plan.miners_w[gid] * left for gid in zone.factors if gid in plan.miners_w})


def lower_caps(plan: Plan, zone: Zone, *, to_knee: bool) -> bool:
    """Lower what runs in a domain along the tiers, each to one common level, until it fits or all are at the floor."""
    lowered = False
    for tier in (4, 3, 2, 1):
        over_w = load_w(plan, zone) - _mined_w(plan, zone) * to_knee - zone.usable_w
        if over_w <= EPSILON_W:
            break
        here = [a for a in _in(zone, plan.running()) if plan.tier(a) == tier]
        for attempt, cap_w in _lowered(plan, zone, here, over_w, to_knee=to_knee):
            plan.change(attempt, cap_w=cap_w)
            lowered = True
    return lowered


def _lowered(
    plan: Plan, zone: Zone, attempts: list[Attempt], over_w: float, *, to_knee: bool
) -> list[tuple[Attempt, float]]:
    """Those whose caps fall, with the highest common level that removes `over_w`, or their floors."""
    kinds = {a.id: kind for a in attempts if (kind := plan.roster.kind_of(a.id)) is not None}
    least = {key: kind.knee_w if to_knee else kind.floor_w for key, kind in kinds.items()}

    def at(level_w: float) -> list[tuple[Attempt, float]]:
        caps = [(a, min(a.cap_w, max(level_w, least[a.id]))) for a in attempts if a.id in kinds]
        return [(a, cap_w) for a, cap_w in caps if cap_w < a.cap_w]

    def freed_w(level_w: float) -> float:
        return sum(
            _gpus_at_meter(zone, a)
            * (kinds[a.id].model.charge_w(a.cap_w) - kinds[a.id].model.charge_w(cap_w))
            for a, cap_w in at(level_w)
        )

    top_w = max((a.cap_w for a in attempts), default=0.0)
    low, high = 0, max(0, -int(-(top_w - min(least.values(), default=top_w)) // STEP_W))
    while low < high:
        middle = (low + high) // 2
        if freed_w(top_w - middle * STEP_W) >= over_w:
            high = middle
        else:
            low = middle + 1
    return at(top_w - low * STEP_W)


def _suspend(plan: Plan, zone: Zone) -> bool:
    """Hold the cheapest victims until the domain fits."""
    if load_w(plan, zone) <= zone.usable_w + EPSILON_W:
        return False
    for attempt, _ in victims(plan, _in(zone, plan.flexible())):
        plan.stop(attempt, Phase.SUSPEND, PauseCause.POWER_WITHDRAWN)
        what = f"suspended: {_says(zone)}"
        plan.events.append(told(plan.at, attempt, "job.suspended", what, {"limit_w": zone.limit_w}))
        if load_w(plan, zone) <= zone.usable_w + EPSILON_W:
            break
    return True


def _release(plan: Plan, zone: Zone, phase: Phase) -> None:
    """Have the cheapest in a phase save and leave until the domain will fit."""
    if _settled_w(plan, zone) <= zone.usable_w + EPSILON_W:
        return
    for attempt, _ in victims(plan, _in(zone, plan.in_phase(phase))):
        release(plan, attempt, PauseCause.POWER_WITHDRAWN, zone.limit_w)
        if _settled_w(plan, zone) <= zone.usable_w + EPSILON_W:
            return


def _hurry(plan: Plan, zone: Zone) -> bool:
    """Have those who leave be out as soon as the domain needs it. Whether anybody has to hurry."""

    def holds_w(attempt: Attempt) -> float:
        model = plan.model(attempt)
        return _gpus_at_meter(zone, attempt) * (model.held_w() - model.idle_w)

    leaving = _in(zone, plan.in_phase(Phase.SAVE_EXIT))
    return hurry(plan, leaving, zone.usable_w - _settled_w(plan, zone), holds_w, zone.limit_w)


# -- up --------------------------------------------------------------------------------------------------------------


def full_for(plan: Plan, attempt: Attempt) -> tuple[Zone, Reason] | None:
    """The domain in which an attempt of this plan does not fit with all its peers at their knees, and why not.

    Miners there do not stand in its way: they give way first.
    """
    tier = plan.tier(attempt)
    for zone in zones_with(plan, attempt):
        at_knees_w = at_knees_in_w(plan, zone, tier)
        if at_knees_w > zone.usable_w + EPSILON_W:
            needed_w = _gpus_at_meter(zone, attempt) * _rise_w(plan, attempt)
            return zone, _no_room(zone, needed_w, zone.usable_w - (at_knees_w - needed_w))
    return None


def at_knees_in_w(plan: Plan, zone: Zone, tier: int) -> float:
    """What its meter shows once all that is as flexible as `tier`, or more, is at its knee and nothing is mined."""
    return load_w(plan, zone) - _mined_w(plan, zone) - _above_knees_w(plan, zone, tier)


def make_way_in_zones(plan: Plan) -> None:
    """Lower peers of those that were raised, as far as their domains demand it."""
    for zone in plan.zones.limited:
        lower_caps(plan, zone, to_knee=True)


def is_weak(plan: Plan, zone: Zone, *, more_w: float = 0.0) -> bool:
    """Whether what is left in a domain when every order has expired is above its firm level."""
    return zone.firm_w is not None and rests_w(plan, zone) + more_w > zone.firm_w + EPSILON_W


def rests_w(plan: Plan, zone: Zone) -> float:
    """What is left in a domain when every order has expired, at its meter."""
    return _sum_w(zone, plan.group_fallback_w)


def is_exposed(plan: Plan, attempt: Attempt) -> bool:
    """Whether open orders leave no room yet for an attempt in a domain that it is in."""
    return any(exposed_w(plan, z) > z.usable_w + EPSILON_W for z in zones_with(plan, attempt))


def liftable_w(plan: Plan, attempt: Attempt, kept: Kept) -> float:
    """Site watts by which an attempt may rise as far as its domains leave room, by the plan and by open orders."""
    site_w = plan.site.overhead * attempt.gpu_count
    rooms = [
        (kept.room_w(z) - max(load_w(plan, z), exposed_w(plan, z))) / _gpus_at_meter(z, attempt) * site_w
        for z in zones_with(plan, attempt)
    ]
    return max(0.0, min(rooms, default=float("inf")))


def held_in_zones(plan: Plan, caps: Mapping[Kind, float]) -> list[Attempt]:
    """Those behind limits of their own that run below what the site would let them have."""
    if not plan.zones.limited:
        return []
    return [a for a, cap_w in plan.roster.other_than(caps) if a.cap_w < cap_w and zones_with(plan, a)]


def held_down_by(plan: Plan, attempt: Attempt) -> Zone | None:
    """The domain that leaves an attempt no room for another step of its cap, None if none does."""
    full = (
        z
        for z in zones_with(plan, attempt)
        if z.usable_w - max(load_w(plan, z), exposed_w(plan, z)) < STEP_W * _gpus_at_meter(z, attempt)
    )
    return next(full, None)


def wake(plan: Plan, group_id: str) -> bool:
    """Have a node come back from standby. False, and it stays there, if its domains have no room for that now."""
    plan.switch(group_id, asleep=False)
    zones = plan.zones.above(group_id)
    if all(exposed_w(plan, z) <= z.usable_w and not is_weak(plan, z) for z in zones):
        return True
    plan.switch(group_id, asleep=True)
    return False


def workable(plan: Plan, group_ids: Iterable[str]) -> Iterable[str]:
    """Those of some nodes in standby whose domains have room for them at work."""
    return [gid for gid in group_ids if _could_work(plan, gid)] if plan.zones.limited else group_ids


def _could_work(plan: Plan, group_id: str) -> bool:
    """Whether the domains of a node in standby have room for it at work, all peers and itself at their knees."""
    zones, model = plan.zones.above(group_id), plan.model_of(group_id)
    if not zones or model is None:
        return model is not None
    gpus = len(plan.groups[group_id].spec.gpus)
    more_w = plan.awake_w(group_id) + gpus * (model.charge_w(model.min_cap_w) - model.idle_w)
    return all(
        at_knees_in_w(plan, z, 4) + z.factors[group_id] * more_w <= z.usable_w
        and not is_weak(plan, z, more_w=z.factors[group_id] * plan.awake_w(group_id))
        for z in zones
    )


def hold_miners(plan: Plan, known_w: Mapping[str, float], kept: Kept) -> None:
    """Take miners' targets back as far as their domains demand: under the plan, and for now beside open orders."""
    for zone in plan.zones.limited:
        _lower_miners(plan, zone, kept.room_w(zone))
        if exposed_w(plan, zone) > kept.room_w(zone) + EPSILON_W:
            here = [gid for gid in zone.factors if gid in plan.miners_w]
            plan.miners_w.update({gid: min(plan.miners_w[gid], known_w[gid]) for gid in here})


# -- who is where -------------------------------------------------------------------------------------------------


def zones_with(plan: Plan, attempt: Attempt) -> list[Zone]:
    """The limited domains that any node of an attempt is behind."""
    found = {z.name: z for p in attempt.placements for z in plan.zones.above(p.node_id)}
    return list(found.values())


def _in(zone: Zone, attempts: Iterable[Attempt]) -> list[Attempt]:
    return [a for a in attempts if any(p.node_id in zone.factors for p in a.placements)]


def _gpus_at_meter(zone: Zone, attempt: Attempt) -> float:
    """Its GPUs behind a domain, each as much as a watt of it is at the domain's meter."""
    return sum(zone.factors.get(p.node_id, 0.0) * len(p.gpu_ids) for p in attempt.placements)


def _above_knees_w(plan: Plan, zone: Zone, tier: int) -> float:
    """Watts that would go if all that is as flexible as `tier`, or more, ran at its knee."""
    above_w = 0.0
    for attempt in _in(zone, plan.running()):
        kind = plan.roster.kind_of(attempt.id)
        if kind is not None and kind.tier >= tier:
            per_gpu_w = max(0.0, above_floor_w(kind.model, attempt.cap_w, kind.knee_w))
            above_w += _gpus_at_meter(zone, attempt) * per_gpu_w
    return above_w


def _rise_w(plan: Plan, attempt: Attempt) -> float:
    model = plan.model(attempt)
    return model.charge_w(plan.knee_w(attempt)) - model.idle_w


def _says(zone: Zone) -> str:
    by = f" by {zone.source}" if zone.source else ""
    return f"{zone.name} may draw {zone.limit_w / 1000:.1f} kW{by}"


def _no_room(zone: Zone, needed_w: float, free_w: float) -> Reason:
    return Reason(
        code=Code.POWER_UNAVAILABLE,
        text=(
            f"needs {needed_w / 1000:.2f} kW more in {zone.name}, where {max(0.0, free_w) / 1000:.2f} kW of "
            f"{zone.usable_w / 1000:.2f} kW is free{f', by {zone.source}' if zone.source else ''}"
        ),
        numbers={"needed_w": needed_w, "free_w": free_w, "domain_w": zone.usable_w},
        remedy=f"a higher limit of {zone.name}, fewer GPUs, or nodes elsewhere",
    )
