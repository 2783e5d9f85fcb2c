"""Caps after the raises of a round: who gives way to newcomers, and who is lifted into what is left.

Caps are moved one attempt at a time, towards the common level that fits, and no further than to the marks on both
sides of it: between them the speed gained per watt is about the same, and a round touches few.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Set as AbstractSet

from scheduler.core.caps import Caps
from scheduler.core.floors import STEP_W
from scheduler.core.jobs import Attempt
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.zoning import Kept, liftable_w

_MARK_W = 25.0
_LEAST_SHARE = 0.0005  #: of the limit: what is less is not worth telling nodes about


def lower_to_tops(plan: Plan) -> None:
    """Lower whoever has a cap above what he has use for: others get the rest."""
    tops_w = {kind: kind.top_w for kind in plan.roster.capped() if kind.top_w < kind.model.tdp_w}
    for attempt, top_w in list(plan.roster.other_than(tops_w)):
        if attempt.cap_w > top_w:
            plan.change(attempt, cap_w=top_w)


def regain(plan: Plan, caps: Caps, limit_w: float, zones: Kept) -> float:
    """Bring those back to their level whose caps turned out too low for them: others give way, and are lifted later.

    The site watts kept for lifts that wait for confirmed room.
    """
    if not plan.useful.regaining:
        return 0.0
    regaining = frozenset(plan.useful.regaining)
    lower = [(a, w) for a, w in plan.roster.other_than(caps) if a.id in regaining and a.cap_w < w]
    lacking_w = math.fsum(-plan.freed_w(a, plan.model(a).charge_w(w)) for a, w in lower)
    make_way(plan, caps, frozenset(), limit_w - lacking_w)
    return _lift(plan, lower, limit_w, zones, passes_by=True)


def make_way(plan: Plan, caps: Caps, wanted: AbstractSet[str], limit_w: float) -> None:
    """Give those that are wanted their level, and lower others, the highest first, until the nodes fit."""
    moves = list(plan.roster.other_than(caps))
    for attempt, target_w in moves:
        if attempt.id in wanted:
            plan.change(attempt, cap_w=target_w)
    higher = [(a, w) for a, w in moves if a.id not in wanted and a.cap_w > w]
    for attempt, target_w in sorted(higher, key=lambda m: (m[1] - m[0].cap_w, m[0].id)):
        if plan.nodes_w() <= limit_w + EPSILON_W:
            return
        plan.change(attempt, cap_w=_below(plan, attempt, target_w))


def _below(plan: Plan, attempt: Attempt, target_w: float) -> float:
    """The mark below a level, or the lowest cap at which more is started rather than others stopped."""
    return min(target_w, max(target_w // _MARK_W * _MARK_W, plan.knee_w(attempt)))


def lift_caps(plan: Plan, caps: Caps, limit_w: float, zones: Kept, *, passes_by: bool = False) -> float:
    """Lift caps, firmest tier and lowest cap first, while plan and open orders leave room.

    Whoever is too large for what is left ends it, or with `passes_by` is passed by. The site watts kept for lifts that
    wait for confirmed room.
    """
    if _is_full(plan, limit_w):
        return 0.0
    lower = [(a, w) for a, w in plan.roster.other_than(caps) if a.cap_w < w]
    return _lift(plan, lower, limit_w, zones, passes_by=passes_by)


def _lift(
    plan: Plan, lower: Iterable[tuple[Attempt, float]], limit_w: float, zones: Kept, *, passes_by: bool
) -> float:
    """Lift those to these levels; as of `lift_caps`."""
    reserved_w = 0.0
    for attempt, target_w in sorted(
        lower, key=lambda m: (plan.tier(m[0]), m[0].cap_w, m[0].created_at, m[0].id)
    ):
        model = plan.model(attempt)
        top_w = min(plan.top_w(attempt), -(-target_w // _MARK_W) * _MARK_W)
        zoned_w, room_w = liftable_w(plan, attempt, zones), limit_w - plan.nodes_w()
        cap_w = _highest(plan, attempt, top_w, min(room_w, zoned_w))
        if cap_w <= attempt.cap_w and (zoned_w < room_w or (passes_by and not _is_full(plan, limit_w))):
            continue  # others are elsewhere, or smaller
        if cap_w <= attempt.cap_w:
            break
        if plan.exposed_w_with(attempt, cap_w) > limit_w + EPSILON_W:
            reserved_w += -plan.freed_w(attempt, model.charge_w(cap_w))
        else:
            plan.change(attempt, cap_w=cap_w)
    return reserved_w


def fill_up(plan: Plan, caps: Caps, limit_w: float, zones: Kept) -> float:
    """Lift some one step above the common level, where all of them would not fit: most of what that leaves.

    Where the site's meter is trusted, what is too little for large jobs goes to smaller ones. The watts as of
    `lift_caps`.
    """
    level_w = max((w for kind, w in caps.items() if w < kind.top_w), default=0.0)
    above = {k: min(k.top_w, w + STEP_W) if w == level_w else w for k, w in caps.items()}
    return lift_caps(plan, above, limit_w, zones, passes_by=plan.site.trim is not None)


def _is_full(plan: Plan, limit_w: float) -> bool:
    return limit_w - plan.nodes_w() < _LEAST_SHARE * limit_w


def _highest(plan: Plan, attempt: Attempt, top_w: float, room_w: float) -> float:
    """The highest cap up to `top_w` whose rise fits the room."""
    model, cap_w = plan.model(attempt), top_w
    while cap_w > attempt.cap_w and -plan.freed_w(attempt, model.charge_w(cap_w)) > room_w + EPSILON_W:
        cap_w = max(attempt.cap_w, cap_w - STEP_W)
    return cap_w
