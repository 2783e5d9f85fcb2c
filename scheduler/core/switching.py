"""Nodes that are on and nodes in standby: nothing is kept on for which others lack watts, nothing off that has work.

A node takes minutes to come up and draws its base meanwhile. So nodes are woken when jobs wait that the watts would
carry once all ran at their knees, though they are spent on higher caps just now: those give way first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scheduler.core.jobs import Job
from scheduler.core.orders import NodePower
from scheduler.core.plan import Plan


class Refused(NamedTuple):
    """The first of some jobs of one shape that were not started."""

    job: Job
    jobs: int
    lacks_gpus: bool  #: else it lacks watts, or time


def switch_nodes(plan: Plan, refused: Sequence[Refused], free_gpus: int, limit_w: float) -> float:
    """Wake nodes for jobs that lack GPUs where the watts would do; put empty ones to standby where they do not.

    The site watts that are to be kept for nodes which cannot be woken yet.
    """
    if not refused:
        return 0.0
    yard = _Yard(plan, free_gpus, limit_w)
    for some in refused:
        if some.lacks_gpus:
            yard.house(some)
    if not all(some.lacks_gpus for some in refused):
        for gid in yard.empty:
            plan.switch(gid, asleep=True)
    kept_w = 0.0
    for gid in yard.to_wake:
        wake_w = plan.site.overhead * plan.awake_w(gid)
        if plan.exposed_w() + wake_w <= limit_w:
            plan.switch(gid, asleep=False)
        else:
            kept_w += wake_w
    return kept_w


class _Yard:
    """Whole nodes that nobody uses, and the watts to use them."""

    def __init__(self, plan: Plan, free_gpus: int, limit_w: float) -> None:
        self._plan = plan
        self.empty: list[str] = []  #: on, with nothing on them
        self.coming: list[str] = []  #: on their way up
        for gid, group in plan.groups.items():
            if group.spec.standby is None or plan.is_standby(gid):
                continue
            if group.power is not NodePower.ON:
                self.coming.append(gid)
            elif not any(True for _ in plan.on(gid)) and not any(r.processes for r in group.gpus):
                self.empty.append(gid)
        self._asleep = sorted((g for g in plan.asleep() if not plan.groups[g].cordoned), reverse=True)
        self._free_w = limit_w - plan.floors_w(4)
        self.to_wake: list[str] = []
        self._gpus = max((len(g.spec.gpus) for g in plan.groups.values()), default=0)
        empty = sum(len(plan.groups[gid].spec.gpus) for gid in self.empty)
        self._loose = max(0, free_gpus - empty)  #: GPUs free on nodes that are in use

    def _nodes_for(self, job: Job) -> int:
        """Whole nodes that a job needs on top of what is free."""
        if not job.spec.scatter or self._gpus == 0:
            return job.spec.nodes
        missing = max(0, job.spec.total_gpus - self._loose)
        self._loose = max(0, self._loose - job.spec.total_gpus)
        return -(-missing // self._gpus)

    def house(self, refused: Refused) -> None:
        """Find whole nodes for as many jobs of a shape as the watts carry: empty ones, coming ones, then sleepers."""
        for _ in range(refused.jobs):
            if not self._take(refused.job):
                return

    def _take(self, job: Job) -> bool:
        nodes, plan = self._nodes_for(job), self._plan
        ready = len(self.empty) + len(self.coming)
        woken = self._asleep[max(0, len(self._asleep) - nodes + ready) :] if nodes > ready else []
        if len(woken) < nodes - ready:
            return False
        wake_w = plan.site.overhead * sum(plan.awake_w(gid) for gid in woken)
        if wake_w + plan.start_w(job) > self._free_w:
            return False
        self._free_w -= wake_w + plan.start_w(job)
        del self._asleep[len(self._asleep) - len(woken) :]
        self.to_wake += woken
        used = nodes - len(woken)
        first = min(used, len(self.coming))
        del self.coming[:first], self.empty[: used - first]
        return True
