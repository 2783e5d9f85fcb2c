"""How far a baseline caps running work, and how it shares out what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from scheduler.core.jobs import Job
from scheduler.core.plan import Plan
from scheduler.core.power import GpuModel


class Caps(Protocol):
    """A way to cap."""

    def lowest_w(self, model: GpuModel, job: Job) -> float:
        """The lowest cap at which the baseline runs a job rather than not at all, W per GPU."""
        ...

    def targets(self, plan: Plan, limit_w: float) -> Mapping[str, float]:
        """Caps of all that runs, by attempt, W per GPU: as high as `limit_w` allows, none below its lowest."""
        ...


class FullCaps:
    """None is capped: a job runs at full speed, or it does not run."""

    def lowest_w(self, model: GpuModel, job: Job) -> float:  # noqa: ARG002 - as in the Protocol
        """No cap."""
        return model.tdp_w

    def targets(self, plan: Plan, limit_w: float) -> Mapping[str, float]:  # noqa: ARG002 - as in the Protocol
        """No caps."""
        return {a.id: plan.model(a).tdp_w for a in plan.running()}


def contract_floor_w(model: GpuModel, job: Job) -> float:
    """The lowest cap that a job's own words allow, whatever a baseline makes of tiers: firm work is never capped."""
    if job.spec.flex == 0 or not job.spec.cap_ok:
        return model.tdp_w
    return min(model.tdp_w, max(model.min_cap_w, job.spec.min_cap_w or 0.0))


def slack_w(plan: Plan, caps: Caps) -> float:
    """Site watts that running work has above its lowest caps; below zero where it runs under them."""
    jobs = plan.jobs
    return sum(
        plan.freed_w(a, (m := plan.model(a)).charge_w(caps.lowest_w(m, jobs[a.job_id])))
        for a in plan.running()
    )


def unfilled_w(plan: Plan) -> float:
    """Site watts that running work would take beyond its present caps if nothing were capped."""
    return -sum(plan.freed_w(a, (m := plan.model(a)).charge_w(m.tdp_w)) for a in plan.running())
