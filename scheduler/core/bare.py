"""Hosts on which nothing is: what they draw is the last that can be saved, by putting them to standby."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.core.orders import NodePower
from scheduler.core.plan import Plan


def can_rest(plan: Plan, gid: str) -> bool:
    """Whether a group can be put to standby."""
    return plan.groups[gid].spec.standby is not None


def is_deserted(plan: Plan, gid: str) -> bool:
    """Whether nobody is on a node, or left on its GPUs."""
    return not plan.on(gid) and not any(r.processes for r in plan.groups[gid].gpus)


def rest_bare(plan: Plan, over_w: float, factor_of: Callable[[str], float]) -> None:
    """Put as many empty nodes to standby as it takes to free `over_w`: no work is left to be cut for it.

    `factor_of` is what a watt of a group counts where there is too much. Those on their way to standby are waited for.
    Who has work gets no nodes back by this: they are woken for jobs that the watts carry.
    """
    for gid in plan.asleep().in_order():
        if plan.groups[gid].power is not NodePower.STANDBY:
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
