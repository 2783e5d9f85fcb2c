"""Pausing without capping: whole jobs run at full power or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.jobs import Attempt, Job
from scheduler.core.plan import Plan
from scheduler.sim.baselines.frame import Baseline


class PauseOnly(Baseline):
    """The youngest jobs save a checkpoint and leave, as many as it takes; the oldest go on first.

    Source: suspend and resume by a threshold, as in GAIA and CarbonScaler's comparisons, and the floor "pause only" of
    surplus-powered sites. First come, first fit; no caps.
    """

    name = "pause-only"


class GreedyPausing(Baseline):
    """The jobs that free the most watts are paused first, the most flexible tier before others.

    Source: "greedy pausing", one of the policies that Emerald compared in its simulator (arXiv 2507.00909). Its name
    and its knob are public, its tie-breaks are not: ours are the watts of the job, then the youngest. The queue is by
    priority, then first come, first fit; no caps.
    """

    name = "greedy-pausing"

    def rank(self, job: Job) -> tuple[float, ...]:
        """By priority, then arrival."""
        return (-job.spec.priority, job.number)

    def victims(self, plan: Plan, attempts: Iterable[Attempt]) -> list[Attempt]:
        """The most flexible, then the largest draw, then the youngest."""
        return sorted(
            attempts,
            key=lambda a: (
                -plan.tier(a),
                -plan.freed_w(a, plan.model(a).idle_w),
                -plan.jobs[a.job_id].number,
            ),
        )
