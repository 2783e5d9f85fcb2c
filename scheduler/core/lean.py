"""Below the knee: watts that nobody who runs has use for carry one more job, at the highest cap that they allow.

The knee tells what does the most with watts that are short. Once all that runs has every watt that it has use for,
what is left is not: to leave it, or to mine with it, while somebody waits who could run more slowly serves nobody.
"""

from __future__ import annotations

from scheduler.core.caps import is_capped
from scheduler.core.floors import STEP_W
from scheduler.core.jobs import Attempt, Job
from scheduler.core.plan import EPSILON_W, Plan


def spare_w(plan: Plan, limit_w: float) -> float:
    """Site watts that nobody who runs has use for; none as long as anybody could be lifted."""
    return 0.0 if is_capped(plan) else max(0.0, limit_w - plan.nodes_w())


def is_carried(plan: Plan, job: Job, limit_w: float) -> bool:
    """Whether there are the watts for a job: with all at their knees, or with what nobody who runs has use for."""
    if plan.start_w(job) <= limit_w - plan.at_knees_w(job.spec.flex):
        return True
    lifts_w = plan.site.overhead * sum(
        gpus * (kind.model.charge_w(kind.top_w) - kind.model.charge_w(cap_w))
        for kind, counts in plan.roster.gpus().items()
        for cap_w, gpus in counts.items()
        if cap_w < kind.top_w
    )
    return plan.starts_w(job).least_w <= limit_w - plan.nodes_w() - lifts_w


def lean_cap_w(plan: Plan, attempt: Attempt, spare: float, *, from_w: float) -> float | None:
    """The highest cap up to its knee at which an attempt fits `spare`; None if not even the lowest does.

    `from_w` is what each of its GPUs is charged as long as it does not run. A gang that could go on with fewer nodes is
    to do that: they do more with the watts.
    """
    kind, spec = plan.kind_of(attempt), plan.jobs[attempt.job_id].spec
    if kind is None or spare <= 0 or kind.knee_w <= kind.least_w:
        return None
    if spec.max_nodes is not None and len(attempt.placements) > spec.nodes:
        return None
    each_w, steps = plan.site.overhead * attempt.gpu_count, int((kind.knee_w - kind.least_w) // STEP_W)
    caps = (kind.least_w + step * STEP_W for step in range(steps, -1, -1))
    return next(
        (cap_w for cap_w in caps if each_w * (kind.model.charge_w(cap_w) - from_w) <= spare + EPSILON_W), None
    )


def is_lean(plan: Plan, attempt_id: str) -> bool:
    """Whether an attempt runs below its knee."""
    where = plan.roster.where(attempt_id)
    return where is not None and where.cap_w < where.kind.knee_w
