"""Hosts on which nothing is: what they draw is the last that can be saved, and the first that any start needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from scheduler.core.jobs import Job
from scheduler.core.plan import Plan
from scheduler.core.power import site_w
from scheduler.core.presence import LEAVING


def can_rest(plan: Plan, gid: str) -> bool:
    """Whether a group can be put to standby."""
    return plan.groups[gid].spec.standby is not None


def rouses(plan: Plan) -> bool:
    """Whether a node was ordered up, or to stay on, in this round."""
    return not plan.switched <= plan.asleep()


def is_deserted(plan: Plan, gid: str) -> bool:
    """Whether nobody is on a node, or left on its GPUs."""
    return not plan.on(gid) and not any(r.processes for r in plan.groups[gid].gpus)


def rest_bare(plan: Plan, over_w: float, factor_of: Callable[[str], float]) -> None:
    """Put as many empty nodes to standby as it takes to free `over_w`: no work is left to be cut for it.

    `factor_of` is what a watt of a group counts where there is too much. Those on their way to standby are waited for.
    Who has work gets no nodes back by this: they are woken for jobs that the watts carry.
    """
    if over_w <= 0:
        return
    for gid in sorted(plan.asleep() - plan.down):
        over_w -= factor_of(gid) * plan.awake_w(gid)
    for gid in sorted(plan.occupants.bare - plan.asleep() - plan.off):
        if over_w <= 0:
            return
        if (
            (freed_w := factor_of(gid) * plan.awake_w(gid)) > 0
            and can_rest(plan, gid)
            and is_deserted(plan, gid)
        ):
            plan.switch(gid, asleep=True)
            over_w -= freed_w


def late(plan: Plan) -> Iterator[tuple[str, float]]:
    """Nodes on their way to standby that are not surely there within the reaction time.

    Each with what it draws until then, W above what the plan counts: by that it is down once its guard has the order.
    """
    within_s = plan.site.reaction_s - plan.site.lead_s
    for gid in sorted(plan.asleep() - plan.down):
        standby = plan.groups[gid].spec.standby
        if standby is not None and standby.down_s > within_s:
            on_w = plan.bare_w(gid) + plan.awake_w(gid)
            yield gid, max(0.0, on_w - plan.group_bounds_w(gid).planned_w)


def late_w(plan: Plan) -> float:
    """Site watts of those."""
    return plan.site.overhead * sum(late_it_w for _, late_it_w in late(plan))


def bare_w(plan: Plan) -> float:
    """Site watts of all nodes with nothing on them, in standby where they can be."""
    it_w = sum(plan.bare_w(gid) for gid in sorted(plan.groups) if plan.model_of(gid) is not None)
    return site_w(it_w=it_w, miners_w=0.0, overhead=plan.site.overhead, auxiliary_w=plan.site.auxiliary_w)


class Reach:
    """What could start if nobody less important ran: who waits for more than that holds others back for nothing."""

    def __init__(self, plan: Plan, limit_w: float) -> None:
        self._plan, self._limit_w = plan, limit_w

    def has(self, job: Job) -> bool:
        """Whether the limit carries a job, with the nodes that it takes at the least, and its peers leave it GPUs.

        Of those nobody knows when they are done. Whoever starts meanwhile makes room once it is in reach.
        """
        needed_w = self._plan.starts_w(job).least_w + self._plan.site.overhead * self._awake_w(job)
        peers = sum(gpus for priority, gpus in self._held.items() if priority >= job.spec.priority)
        return needed_w <= self._room_w and job.spec.total_gpus <= sum(g for _, g in self._nodes) - peers

    @cached_property
    def _held(self) -> Mapping[int, int]:
        """GPUs that jobs of each priority have, those left out that are about to be free."""
        held: dict[int, int] = defaultdict(int)
        for attempt in self._plan.attempts.values():
            if attempt.phase not in LEAVING:
                held[self._plan.jobs[attempt.job_id].spec.priority] += attempt.gpu_count
        return held

    @cached_property
    def _room_w(self) -> float:
        return self._limit_w - bare_w(self._plan)

    @cached_property
    def _nodes(self) -> list[tuple[float, int]]:
        """What each node draws more while it is on, W, the least first, and its GPUs."""
        plan = self._plan
        gpus = {gid: len(g.spec.gpus) for gid, g in plan.groups.items() if plan.model_of(gid) is not None}
        return sorted((plan.awake_w(gid), count) for gid, count in gpus.items())

    def _awake_w(self, job: Job) -> float:
        if not job.spec.scatter:
            large = [awake_w for awake_w, gpus in self._nodes if gpus >= job.spec.gpus]
            return sum(large[: job.spec.nodes])
        taken_w, missing = 0.0, job.spec.total_gpus
        for awake_w, gpus in self._nodes:
            if missing <= 0:
                break
            taken_w, missing = taken_w + awake_w, missing - gpus
        return taken_w
