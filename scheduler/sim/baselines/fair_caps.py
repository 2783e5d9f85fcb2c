"""Emerald's "DVFS fair": everybody is slowed alike."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from math import ceil

from scheduler.core.floors import STEP_W
from scheduler.core.jobs import Job
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.power import GpuModel
from scheduler.sim.baselines.caps import contract_floor_w, unfilled_w
from scheduler.sim.baselines.frame import Baseline

_Kind = tuple[GpuModel, float]
"""GPUs that are capped alike: their model and the lowest cap of their jobs."""


class FairCaps:
    """One cap for all that runs, as low as it takes, down to what the device accepts."""

    def lowest_w(self, model: GpuModel, job: Job) -> float:
        """What device and job allow; flex tiers do not count, but for firm work."""
        return contract_floor_w(model, job)

    def targets(self, plan: Plan, limit_w: float) -> Mapping[str, float]:
        """The highest common level that fits."""
        kinds = {a.id: (m := plan.model(a), self.lowest_w(m, plan.jobs[a.job_id])) for a in plan.running()}
        over_w = plan.nodes_w() + unfilled_w(plan) - limit_w
        if over_w <= 0 or not kinds:
            return {aid: model.tdp_w for aid, (model, _) in kinds.items()}
        gpus: Counter[_Kind] = Counter()
        for attempt in plan.running():
            gpus[kinds[attempt.id]] += attempt.gpu_count
        level_w = _level_w(gpus, over_w / plan.site.overhead)
        return {aid: _clamped_w(kind, level_w) for aid, kind in kinds.items()}


def _clamped_w(kind: _Kind, level_w: float) -> float:
    model, lowest_w = kind
    return min(model.tdp_w, max(level_w, lowest_w))


def _level_w(gpus: Mapping[_Kind, int], free_w: float) -> float:
    """The highest level, in whole steps below the largest TDP, that frees so many watts; else the lowest there is."""
    top_w = max(model.tdp_w for model, _ in gpus)
    lowest_w = min(lowest_w for _, lowest_w in gpus)
    steps = range(ceil((top_w - lowest_w) / STEP_W) + 1)

    def freed_w(step: int) -> float:
        level_w = top_w - step * STEP_W
        return sum(
            n * (k[0].charge_w(k[0].tdp_w) - k[0].charge_w(_clamped_w(k, level_w))) for k, n in gpus.items()
        )

    step = bisect_right(steps, -1, key=lambda s: -1 if freed_w(s) < free_w - EPSILON_W else 0)
    return top_w - step * STEP_W


class DvfsFair(Baseline):
    """All jobs are capped alike, as low as needed; only where the lowest cap does not fit the youngest are paused.

    Source: "DVFS fair", Emerald's policy that spreads a reduction evenly over all jobs by GPU power caps (arXiv
    2507.00909). Flex tiers do not count, but that firm work is not capped. The queue is by priority, then first come,
    first fit, and a job starts wherever all fit at the lowest cap.
    """

    name = "dvfs-fair"
    caps = FairCaps()

    def rank(self, job: Job) -> tuple[float, ...]:
        """By priority, then arrival."""
        return (-job.spec.priority, job.number)
