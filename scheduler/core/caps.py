"""Caps for running attempts: as high as fits, lowered along the tiers, never below what a tier promises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache
from math import fsum

from scheduler.core.floors import STEP_W
from scheduler.core.jobs import Attempt
from scheduler.core.plan import Plan
from scheduler.core.roster import Kind

Caps = dict[Kind, float]
SURE_W = 1.0  #: site watts that a sum of many may be off by, and more


def fitting_caps(plan: Plan, limit_w: float) -> Caps:
    """Caps for all that runs, by kind, under which the nodes fit `limit_w` as far as floors allow.

    Starts from the highest caps that there is use for. Tiers are lowered from 4 to 1, each to one common level; only
    the last lowered tier stays above its floors. Miners are not counted: they have gone before any cap.
    """
    return _fitting(plan, limit_w, (), to_knee=False)


def level_caps(plan: Plan, limit_w: float, *, fixed: Collection[Attempt] = ()) -> Caps:
    """The same down to the knees; below them only where who runs above his does not make room for all others.

    So it is where some are to start beside others. Who is `fixed` keeps the cap that he has.
    """
    caps = _fitting(plan, limit_w, fixed, to_knee=True)
    higher_w = fsum(
        gpus * (kind.model.charge_w(cap_w) - kind.model.charge_w(caps[kind]))
        for kind, counts in plan.roster.gpus_without(fixed).items()
        for cap_w, gpus in counts.items()
        if cap_w > caps[kind]
    )
    fits = plan.nodes_w() - plan.site.overhead * higher_w <= limit_w + SURE_W
    return caps if fits else _fitting(plan, limit_w, fixed, to_knee=False)


def _fitting(plan: Plan, limit_w: float, fixed: Collection[Attempt], *, to_knee: bool) -> Caps:
    """Tiers are lowered to their knees, or to their floors."""
    counted = plan.roster.gpus_without(fixed)
    tiers: dict[int, dict[Kind, int]] = defaultdict(dict)
    terms_w = [plan.nodes_w() - limit_w]
    for kind, counts in counted.items():
        tiers[kind.tier][kind] = sum(counts.values())
        full_w = kind.model.charge_w(kind.top_w)
        terms_w += [plan.site.overhead * n * (full_w - kind.model.charge_w(c)) for c, n in counts.items()]
    over_w = fsum(terms_w)  # the same in whatever order they came
    found = {kind: kind.top_w for kind in counted}
    for tier in (4, 3, 2, 1):
        if over_w <= 0:
            break
        kinds = tuple(sorted(tiers[tier].items(), key=_key))
        lowered, freed_w = _lower(kinds, over_w / plan.site.overhead, to_knee)
        found |= lowered
        over_w -= freed_w * plan.site.overhead
    return found


def is_capped(plan: Plan) -> bool:
    """Whether any flexible work runs below its full power."""
    counted = plan.roster.gpus().items()
    return any(kind.tier > 0 and min(caps) < kind.top_w for kind, caps in counted if caps)


def is_below_floors(plan: Plan) -> bool:
    """Whether anything runs more slowly than its tier keeps otherwise: there are too few watts, whatever the reason."""
    return any(min(caps) < kind.floor_w for kind, caps in plan.roster.gpus().items() if caps)


def _key(counted: tuple[Kind, int]) -> tuple[float, float, str, float]:
    kind, _ = counted
    return kind.floor_w, kind.knee_w, kind.model.name, kind.top_w


@lru_cache(maxsize=1024)
def _lower(kinds: tuple[tuple[Kind, int], ...], over_w: float, to_knee: bool) -> tuple[Caps, float]:  # noqa: FBT001
    """Lower one tier to its highest common level that removes `over_w`: the caps, and the watts that it freed."""
    least = {kind: kind.knee_w if to_knee else kind.floor_w for kind, _ in kinds}
    level_w = max((kind.top_w for kind, _ in kinds), default=0.0)
    least_w = min(least.values(), default=0.0)
    before_w = _sum_w(kinds, {kind: kind.top_w for kind, _ in kinds})
    low, high = 0, max(0, -int(-(level_w - least_w) // STEP_W))  # steps down: the fewest that do, or all
    while low < high:
        middle = (low + high) // 2
        if before_w - _sum_w(kinds, _at(least, level_w, least_w, middle)) >= over_w:
            high = middle
        else:
            low = middle + 1
    caps = _at(least, level_w, least_w, low)
    return caps, before_w - _sum_w(kinds, caps)


def _at(least: Mapping[Kind, float], level_w: float, least_w: float, steps: int) -> Caps:
    """The caps so many steps below the highest."""
    level = max(level_w - steps * STEP_W, least_w)
    return {kind: min(kind.top_w, max(level, floor_w)) for kind, floor_w in least.items()}


def _sum_w(kinds: tuple[tuple[Kind, int], ...], caps: Mapping[Kind, float]) -> float:
    return sum(n * kind.model.charge_w(caps[kind]) for kind, n in kinds)
