"""Caps after the raises of a round: who gives way to newcomers, and who is lifted into what is left.

Caps are moved one attempt at a time, towards the common level that fits, and no further than to the marks on both
sides of it: between them the speed gained per watt is about the same, and a round touches few nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Set as AbstractSet
from datetime import datetime
from math import fsum, inf

from scheduler.core.caps import Caps
from scheduler.core.floors import STEP_W
from scheduler.core.jobs import Attempt
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.roster import Where
from scheduler.core.zoning import Kept, liftable_w

_MARK_W = 25.0

_Lower = tuple[Attempt, Where, float]
"""Who runs under a lower cap than it may have, how it is counted, and that cap."""


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
    lower = [known for known in plan.roster.lower_than(caps) if known[0].id in regaining]
    lacking_w = fsum(plan.lifted_w(where, target_w) for _, where, target_w in lower)
    make_way(plan, caps, frozenset(), limit_w - lacking_w)
    return _lift(plan, lower, limit_w, zones, passes_by=True)


def make_way(plan: Plan, caps: Caps, wanted: AbstractSet[str], limit_w: float) -> None:
    """Give those that are wanted their level, and lower others, the highest first by marks, until the nodes fit."""
    for attempt, target_w in list(plan.roster.others_of(wanted, caps)):
        plan.change(attempt, cap_w=target_w)
    if plan.nodes_w() <= limit_w + EPSILON_W:
        return
    higher = [(a, w) for a, w in plan.roster.higher_than(caps) if a.id not in wanted]
    for attempt, target_w in sorted(higher, key=_marks_above):
        over_w = plan.nodes_w() - limit_w
        if over_w <= EPSILON_W:
            return
        plan.change(attempt, cap_w=_below(plan, attempt, target_w, over_w, plan.least_rise_w(limit_w)))


def _marks_above(higher: tuple[Attempt, float]) -> tuple[float, tuple[int, str], str]:
    attempt, target_w = higher
    return -((attempt.cap_w - target_w) // _MARK_W), _reach(attempt), attempt.id


def _below(plan: Plan, attempt: Attempt, target_w: float, over_w: float, most_w: float) -> float:
    """The mark below a level, but no lower than the knee, or than the floor where the level is below the knee.

    Where that would free `most_w` site watts more than are needed, which others were then to be lifted by, it is the
    highest cap that frees what is.
    """
    model, kind = plan.model(attempt), plan.kind_of(attempt)
    least_w = target_w if kind is None else kind.knee_w if target_w >= kind.knee_w else kind.floor_w
    cap_w = min(target_w, max(target_w // _MARK_W * _MARK_W, least_w))
    if plan.freed_w(attempt, model.charge_w(cap_w)) <= over_w + most_w:
        return cap_w
    while plan.freed_w(attempt, model.charge_w(cap_w + STEP_W)) >= over_w:
        cap_w += STEP_W
    return cap_w


def lift_caps(plan: Plan, caps: Caps, limit_w: float, zones: Kept, *, passes_by: bool = False) -> float:
    """Lift caps, firmest tier first and the lowest by marks, while plan and open orders leave room.

    Whoever is too large for what is left ends it, or with `passes_by` is passed by. The site watts kept for lifts that
    wait for confirmed room.
    """
    if _Left(plan, limit_w).is_nothing:
        return 0.0
    return _lift(plan, plan.roster.lower_than(caps), limit_w, zones, passes_by=passes_by)


def _lift(plan: Plan, lower: Iterable[_Lower], limit_w: float, zones: Kept, *, passes_by: bool) -> float:
    """Lift those to these levels; as of `lift_caps`."""
    left, reserved_w, has_zones = _Left(plan, limit_w), 0.0, bool(plan.zones.limited)
    for attempt, where, target_w in sorted(lower, key=_turn):
        top_w = min(where.kind.top_w, -(-target_w // _MARK_W) * _MARK_W)
        zoned_w = liftable_w(plan, attempt, zones) if has_zones else inf
        cap_w = left.highest_w(where, top_w, zoned_w)
        if cap_w <= where.cap_w and (zoned_w < left.room_w or (passes_by and not left.is_nothing)):
            continue  # others are elsewhere, or smaller
        if cap_w <= where.cap_w:
            break
        if left.takes(attempt, where, cap_w):
            plan.change(attempt, cap_w=cap_w)
            left = _Left(plan, limit_w)
        else:
            reserved_w += plan.lifted_w(where, cap_w)
    return reserved_w


def _turn(lower: _Lower) -> tuple[int, float, tuple[int, str], datetime, str]:
    attempt, where, _ = lower
    return where.kind.tier, where.cap_w // _MARK_W, _reach(attempt), attempt.created_at, attempt.id


def _reach(attempt: Attempt) -> tuple[int, str]:
    """Of equals those on one node come first, one node after the other: the fewest orders for the same watts."""
    return len(attempt.placements), attempt.placements[0].node_id


class _Left:
    """What is left for lifts as the plan is: found out once for all that are alike, until one of them is lifted."""

    def __init__(self, plan: Plan, limit_w: float) -> None:
        self.room_w = limit_w - plan.nodes_w()
        self._plan, self._limit_w = plan, limit_w
        self._has_room: bool | None = None  #: for any more to be drawn at most, as far as anybody asked
        self._highest_w: dict[tuple[Where, float, float], float] = {}
        self._fits: dict[int, bool] = {}

    @property
    def is_nothing(self) -> bool:
        """Whether it is too little to tell nodes about."""
        return self.room_w < self._plan.least_rise_w(self._limit_w)

    def highest_w(self, where: Where, top_w: float, zoned_w: float) -> float:
        """The highest cap up to `top_w` whose rise fits the site's room and that of the domains, W."""
        key = where, top_w, zoned_w
        cap_w = self._highest_w.get(key)
        if cap_w is None:
            cap_w, most_w = top_w, min(self.room_w, zoned_w) + EPSILON_W
            while cap_w > where.cap_w and self._plan.lifted_w(where, cap_w) > most_w:
                cap_w = max(where.cap_w, cap_w - STEP_W)
            self._highest_w[key] = cap_w
        return cap_w

    def takes(self, attempt: Attempt, where: Where, cap_w: float) -> bool:
        """Whether it can have that cap beside every order that may still stand."""
        if self._has_room is None:
            self._has_room = self._plan.exposed_w() <= self._limit_w + EPSILON_W
        if not self._has_room:
            return False  # a higher cap never makes for less
        rise = self._plan.exposed_rise(attempt, where, cap_w)
        fits = self._fits.get(rise)
        if fits is None:
            fits = self._fits[rise] = self._plan.exposed_w_risen(rise) <= self._limit_w + EPSILON_W
        return fits


def fill_up(plan: Plan, caps: Caps, limit_w: float, zones: Kept) -> float:
    """Lift some one step above the common level, where all of them would not fit: most of what that leaves.

    Where the site's meter is trusted, what is too little for large jobs goes to smaller ones. The watts as of
    `lift_caps`.
    """
    level_w = max((w for kind, w in caps.items() if w < kind.top_w), default=0.0)
    above = {k: min(k.top_w, w + STEP_W) if w == level_w else w for k, w in caps.items()}
    return lift_caps(plan, above, limit_w, zones, passes_by=plan.site.trim is not None)
