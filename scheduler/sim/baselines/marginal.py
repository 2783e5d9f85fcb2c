"""CarbonScaler's marginal allocation, turned from servers per carbon to caps per watt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from scheduler.core.jobs import Attempt, Job
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.power import GpuModel
from scheduler.sim.baselines.caps import contract_floor_w, unfilled_w
from scheduler.sim.baselines.frame import Baseline

_Step = tuple[float, float, float]
"""A step up of one GPU: more speed per watt, from this cap, to that one."""


class MarginalCaps:
    """Watts go where they make the most speed: step by step along the concave hull of each GPU's cap curve."""

    def lowest_w(self, model: GpuModel, job: Job) -> float:
        """The cap at which the first watts above idle make the most speed: its knee."""
        return _steps(model, contract_floor_w(model, job))[0][2]

    def targets(self, plan: Plan, limit_w: float) -> Mapping[str, float]:
        """The best steps first, among equals the oldest job's; a step that does not fit is passed."""
        running, jobs = plan.running(), plan.jobs
        if plan.nodes_w() + unfilled_w(plan) <= limit_w:
            return {a.id: plan.model(a).tdp_w for a in running}
        running.sort(key=lambda a: jobs[a.job_id].number)
        ladders = {a.id: _steps(m := plan.model(a), contract_floor_w(m, jobs[a.job_id])) for a in running}
        caps = {a.id: ladders[a.id][0][2] for a in running}
        left_w = (
            limit_w
            - plan.nodes_w()
            + sum(plan.freed_w(a, plan.model(a).charge_w(caps[a.id])) for a in running)
        )
        offers = [(step, a) for a in running for step in ladders[a.id][1:]]
        for (_, from_w, to_w), attempt in sorted(offers, key=lambda o: -o[0][0]):
            cost_w = _cost_w(plan, attempt, from_w, to_w)
            if caps[attempt.id] == from_w and cost_w <= left_w + EPSILON_W:
                caps[attempt.id] = to_w
                left_w -= cost_w
        return caps


def _cost_w(plan: Plan, attempt: Attempt, from_w: float, to_w: float) -> float:
    model = plan.model(attempt)
    return plan.site.overhead * attempt.gpu_count * (model.charge_w(to_w) - model.charge_w(from_w))


@lru_cache(maxsize=1024)
def _steps(model: GpuModel, floor_w: float) -> tuple[_Step, ...]:
    """From idle up: the steepest step first, each to the point of the curve that the hull goes on at."""
    caps = sorted({floor_w, model.tdp_w, *(p.cap_w for p in model.curve if p.cap_w >= floor_w)})
    steps: list[_Step] = []
    at_w, speed, cap_w = model.idle_w, 0.0, 0.0
    while cap_w < model.tdp_w:
        higher = [c for c in caps if c > cap_w]
        slope, best_w = max(
            ((model.speed(c) - speed) / max(model.charge_w(c) - at_w, EPSILON_W), c) for c in higher
        )
        steps.append((slope, cap_w, best_w))
        at_w, speed, cap_w = model.charge_w(best_w), model.speed(best_w), best_w
    return tuple(steps)


class Marginal(Baseline):
    """Every job gets its base allotment, the best of the rest goes to whoever makes the most of a watt.

    Source: CarbonScaler's greedy (arXiv 2302.08681), which gives a job's least servers first and then each further
    server in the order of marginal capacity per carbon, optimal for concave speed-ups. Here the least is the knee of
    the cap curve and servers are steps of the cap; surplus has no carbon, so watts stand for it. Like it, it plans
    without what a pause or a restart costs. Where knees do not fit, the youngest are paused. The queue is by priority,
    then first come, first fit.
    """

    name = "marginal"
    caps = MarginalCaps()

    def rank(self, job: Job) -> tuple[float, ...]:
        """By priority, then arrival."""
        return (-job.spec.priority, job.number)
