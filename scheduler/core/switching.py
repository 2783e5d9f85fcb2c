"""Nodes that are on and nodes in standby: nothing is kept on for which others lack watts, nothing off that has work."""

from __future__ import annotations

from scheduler.core.orders import NodePower
from scheduler.core.plan import Plan
from scheduler.core.raising import Raises
from scheduler.core.room import Room


def switch_nodes(plan: Plan, room: Room, raises: Raises, limit_w: float) -> None:
    """Empty nodes go to standby while work lacks watts; they come back where it lacks GPUs and watts are there."""
    if raises.unpowered_gpus:
        for gid in _empty(plan):
            plan.switch(gid, asleep=True)
    elif raises.unplaced_gpus:
        _wake(plan, room, raises.unplaced_gpus, limit_w)


def _empty(plan: Plan) -> list[str]:
    """Nodes that could go to standby: on, with nothing on them by the plan and by what was seen."""
    return [
        gid
        for gid, group in plan.groups.items()
        if group.spec.standby is not None
        and group.power is NodePower.ON
        and not plan.is_standby(gid)
        and not any(True for _ in plan.on(gid))
        and not any(r.processes for r in group.gpus)
    ]


def _wake(plan: Plan, room: Room, wanted_gpus: int, limit_w: float) -> None:
    """As many as the work could use and the watts carry, with all of their GPUs at the knee."""
    booting = [
        gid
        for gid, group in plan.groups.items()
        if group.power is not NodePower.ON and not plan.is_standby(gid) and plan.model_of(gid)
    ]
    asleep = sorted(gid for gid in plan.asleep() if not plan.groups[gid].cordoned)
    if not asleep:
        return
    missing = wanted_gpus - room.total - sum(len(plan.groups[gid].spec.gpus) for gid in booting)
    free_w = limit_w - plan.floors_w(4) - sum(plan.work_w(gid) for gid in booting)
    spare_w = limit_w - plan.exposed_w()
    for gid in asleep:
        cost_w = plan.site.overhead * plan.awake_w(gid)
        if missing <= 0 or cost_w + plan.work_w(gid) > free_w or cost_w > spare_w:
            return
        plan.switch(gid, asleep=False)
        missing -= len(plan.groups[gid].spec.gpus)
        free_w -= cost_w + plan.work_w(gid)
        spare_w -= cost_w
