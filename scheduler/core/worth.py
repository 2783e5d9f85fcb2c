"""What AI work is worth by the MWh, and how many watts of it there are: for whoever ranks it against mining."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from scheduler.core.jobs import Job, PauseCause, Phase
from scheduler.core.modes import AiBlock
from scheduler.core.plan import Plan
from scheduler.core.queueing import Queue

DOUBLES_EVERY = 10
"""Ten more of priority is worth twice as much per GPU-hour: the step between the classes in common use."""
FURTHEST = 100
"""Priorities beyond this, up or down, are worth no more or less: a thousandfold is enough to say "before all"."""


def weight_of(priority: int) -> float:
    """What a GPU-hour is worth at a priority, where one at 0 is worth 1."""
    return float(2.0 ** (max(-FURTHEST, min(FURTHEST, priority)) / DOUBLES_EVERY))


def ai_w(plan: Plan) -> float:
    """Site watts that running work is charged above its idle GPUs."""
    counted = plan.roster.gpus().items()
    it_w = sum(
        n * (kind.model.charge_w(cap_w) - kind.model.idle_w) for kind, c in counted for cap_w, n in c.items()
    )
    return plan.site.overhead * it_w


def firm_w(plan: Plan, queue: Queue) -> float:
    """Site watts that firm work runs with, or waits for."""
    counted = ((kind, sum(caps.values())) for kind, caps in plan.roster.gpus().items() if kind.tier == 0)
    running_w = plan.site.overhead * sum(
        n * (k.model.charge_w(k.model.tdp_w) - k.model.idle_w) for k, n in counted
    )
    waiting = ((plan.jobs[entries[0].job_id], len(entries)) for entries in queue.ready.values())
    return running_w + sum(
        plan.arrays.may_start(job, n) * plan.start_w(job) for job, n in waiting if job.spec.flex == 0
    )


def blocks(plan: Plan, queue: Queue, gpu_h_micro: int, more_w: int) -> tuple[AiBlock, ...]:
    """AI work by worth, the most valuable first: what runs, is held for want of power, or waits, at full speed.

    `gpu_h_micro` = what a GPU-hour at priority 0 brings. Firm work counts as the most valuable. What comes last may
    use `more_w` on top: nodes that have to wake for it are not counted here.
    """
    model = next((plan.model_of(gid) for gid in plan.groups if plan.model_of(gid) is not None), None)
    if model is None:
        return ()
    gpu_w = plan.site.overhead * (model.charge_w(model.tdp_w) - model.idle_w)
    gpus = _gpus_by_priority(plan, queue)
    found = [
        AiBlock(watts=round(n * gpu_w), micro_per_mwh=round(gpu_h_micro * weight_of(p) * 1e6 / gpu_w))
        for p, n in sorted(gpus.items(), reverse=True)
    ]
    if found:
        found.append(AiBlock(watts=more_w, micro_per_mwh=found[-1].micro_per_mwh))
    return tuple(found)


def _gpus_by_priority(plan: Plan, queue: Queue) -> dict[int, int]:
    gpus: dict[int, int] = defaultdict(int)
    held = [a for a in plan.in_phase(Phase.SUSPEND) if a.pause_cause is PauseCause.POWER_WITHDRAWN]
    for attempt in (*plan.running(), *held):
        gpus[_priority(plan.jobs[attempt.job_id])] += attempt.gpu_count
    for entries in queue.ready.values():
        index = 0
        while index < len(entries):
            end = bisect_left(entries, (entries[index].rank + 1,))
            job = plan.jobs[entries[index].job_id]
            gpus[_priority(job)] += plan.arrays.may_start(job, end - index) * job.spec.total_gpus
            index = end
    return gpus


def _priority(job: Job) -> int:
    return FURTHEST if job.spec.flex == 0 else max(-FURTHEST, min(FURTHEST, job.spec.priority))
