"""Caps for running attempts: as high as fits, lowered along the tiers, never below what a tier promises."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from scheduler.core.floors import STEP_W, floor_cap_w
from scheduler.core.jobs import Attempt, Phase
from scheduler.core.plan import Plan
from scheduler.core.power import GpuModel

_Kind = tuple[GpuModel, float]
"""GPUs that are capped alike: their model and the floor of their job."""


def fitting_caps(plan: Plan, limit_w: float, attempts: list[Attempt]) -> dict[str, float]:
    """Caps for `attempts` (all ordered to run) under which the nodes fit `limit_w`, as far as floors allow.

    Starts from no cap. Tiers are lowered from 4 to 1, each to one common level; only the last lowered tier stays
    above its floors. Miners are not counted: they have gone before any cap.
    """
    kinds = {a.id: _kind(plan, a) for a in attempts}
    gpus: dict[int, Counter[_Kind]] = defaultdict(Counter)  #: of each kind, by tier
    for attempt in attempts:
        gpus[plan.tier(attempt)][kinds[attempt.id]] += attempt.gpu_count
    caps = {(tier, kind): kind[0].tdp_w for tier, counted in gpus.items() for kind in counted}
    over_w = plan.nodes_w() + _extra_w(plan, attempts) - limit_w
    for tier in (4, 3, 2, 1):
        if over_w <= 0:
            break
        lowered, freed_w = _lower(plan, gpus[tier], over_w)
        caps |= {(tier, kind): cap_w for kind, cap_w in lowered.items()}
        over_w -= freed_w
    return {a.id: caps[plan.tier(a), kinds[a.id]] for a in attempts}


def _kind(plan: Plan, attempt: Attempt) -> _Kind:
    model = plan.model(attempt)
    return model, floor_cap_w(model, plan.jobs[attempt.job_id])


def _lower(plan: Plan, gpus: Mapping[_Kind, int], over_w: float) -> tuple[dict[_Kind, float], float]:
    """Lower one tier to its highest common level that removes `over_w`: the caps, and the watts that it freed."""
    level_w = max((model.tdp_w for model, _ in gpus), default=0.0)
    least_w = min((floor_w for _, floor_w in gpus), default=0.0)
    caps = {kind: kind[0].tdp_w for kind in gpus}
    before_w = _sum_w(plan, gpus, caps)
    while level_w > least_w and before_w - _sum_w(plan, gpus, caps) < over_w:
        level_w = max(level_w - STEP_W, least_w)
        caps = {(model, floor_w): min(model.tdp_w, max(level_w, floor_w)) for model, floor_w in gpus}
    return caps, before_w - _sum_w(plan, gpus, caps)


def _sum_w(plan: Plan, gpus: Mapping[_Kind, int], caps: Mapping[_Kind, float]) -> float:
    return plan.site.overhead * sum(n * kind[0].charge_w(caps[kind]) for kind, n in gpus.items())


def _extra_w(plan: Plan, attempts: list[Attempt]) -> float:
    """What no caps at all would add to the plan as it stands."""
    return -sum(
        plan.freed_w(a, model.charge_w(model.tdp_w))
        for a in attempts
        if a.phase is Phase.RUN and a.cap_w != (model := plan.model(a)).tdp_w
    )
