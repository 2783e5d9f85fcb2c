"""Caps for running attempts: as high as fits, lowered along the tiers, never below what a tier promises."""

from __future__ import annotations

from scheduler.core.jobs import Attempt, Job, Phase
from scheduler.core.plan import Plan
from scheduler.core.power import GpuModel

#: Least speed (of uncapped) that each flex tier keeps while it runs. Below the knee (about 0.6 on A100 pre-training)
#: pausing some loses less than capping all, so tiers 3 and 4 stop there too.
SPEED_FLOOR = {0: 1.0, 1: 0.9, 2: 0.75, 3: 0.6, 4: 0.6}
_STEP_W = 5.0  #: caps are whole multiples of this


def floor_cap_w(model: GpuModel, job: Job) -> float:
    """The lowest cap at which the job may run: what its tier and its own `min_cap_w` allow."""
    if not job.spec.cap_ok:
        return model.tdp_w
    steps = int((model.tdp_w - model.min_cap_w) // _STEP_W)
    caps = (model.min_cap_w + i * _STEP_W for i in range(steps + 1))
    wanted = SPEED_FLOOR[job.spec.flex]
    by_tier = next((cap for cap in caps if model.speed(cap) >= wanted), model.tdp_w)
    return min(model.tdp_w, max(by_tier, job.spec.min_cap_w or 0.0))


def fitting_caps(plan: Plan, limit_w: float, attempts: list[Attempt]) -> dict[str, float]:
    """Caps for `attempts` (all ordered to run) under which the nodes fit `limit_w`, as far as floors allow.

    Starts from no cap. Tiers are lowered from 4 to 1, each to one common level; only the last lowered tier stays
    above its floors. Miners are not counted: they have gone before any cap.
    """
    caps = {a.id: plan.model(a).tdp_w for a in attempts}
    over_w = plan.nodes_w() + _extra_w(plan, attempts, caps) - limit_w
    for tier in (4, 3, 2, 1):
        if over_w <= 0:
            break
        members = [a for a in attempts if plan.tier(a) == tier]
        over_w = _lower(plan, members, caps, over_w)
    return caps


def _lower(plan: Plan, members: list[Attempt], caps: dict[str, float], over_w: float) -> float:
    """Lower one tier to its highest common level that removes `over_w`. The watts still over come back."""
    tdp_w = max((plan.model(a).tdp_w for a in members), default=0.0)
    floor_w = min((floor_cap_w(plan.model(a), plan.jobs[a.job_id]) for a in members), default=0.0)
    before_w = _sum_w(plan, members, caps)
    level_w, lowered = tdp_w, {a.id: caps[a.id] for a in members}
    while level_w > floor_w and before_w - _sum_w(plan, members, lowered) < over_w:
        level_w = max(level_w - _STEP_W, floor_w)
        lowered = {a.id: _at_level(plan, a, level_w) for a in members}
    caps |= lowered
    return over_w - (before_w - _sum_w(plan, members, lowered))


def _at_level(plan: Plan, attempt: Attempt, level_w: float) -> float:
    model = plan.model(attempt)
    return min(model.tdp_w, max(level_w, floor_cap_w(model, plan.jobs[attempt.job_id])))


def _sum_w(plan: Plan, attempts: list[Attempt], caps: dict[str, float]) -> float:
    return plan.site.overhead * sum(a.gpu_count * plan.model(a).charge_w(caps[a.id]) for a in attempts)


def _extra_w(plan: Plan, attempts: list[Attempt], caps: dict[str, float]) -> float:
    """What these caps add to the plan as it stands."""
    return -sum(plan.freed_w(a, plan.model(a).charge_w(caps[a.id])) for a in attempts if a.phase is Phase.RUN)
