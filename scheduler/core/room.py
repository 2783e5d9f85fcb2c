"""The GPUs that are free, node by node, and the nodes by how many that is: kept up, never counted anew."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import timedelta

from scheduler.core.jobs import Placement
from scheduler.core.orders import GroupKind, NodePower
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.snapshot import Group

Gpus = tuple[str, ...]


class Room:
    """Free GPUs of nodes that take work: heard of lately, on, not cordoned, not passed over. Follows one plan."""

    def __init__(self, plan: Plan) -> None:
        self.free: dict[str, Gpus] = {}  #: by node that takes work, in slot order
        self.total = 0
        self.gains = 0  #: rises whenever something may fit that did not
        self._by_count: dict[int, list[str]] = {}
        self._silent: set[str] = set()
        self._out: frozenset[str] = frozenset()
        self.refresh(plan)

    def refresh(self, plan: Plan) -> None:
        """Count the nodes anew on which something changed, and those that fell silent, faulted, or came back."""
        cutoff = plan.at - timedelta(seconds=plan.site.unreachable_after_s)
        silent = plan.silence.since(plan.groups, cutoff)
        out = plan.faults.out(plan.at)
        for gid in plan.touched | (silent ^ self._silent) | (out ^ self._out):
            self._set(gid, None if gid in silent or gid in out else self._count(plan, gid))
        self._silent, self._out = silent, out
        plan.touched.clear()

    @staticmethod
    def _count(plan: Plan, group_id: str) -> Gpus | None:
        group = plan.groups.get(group_id)
        if group is None or not takes_work(group) or plan.is_standby(group_id):
            return None
        return unheld(plan, group)

    def _set(self, group_id: str, gpus: Gpus | None) -> None:
        old = self.free.get(group_id)
        if old == gpus:
            return
        if old is not None:
            self._leave(group_id, len(old))
            del self.free[group_id]
        if gpus is not None:
            self.free[group_id] = gpus
            self.total += len(gpus)
            insort(self._by_count.setdefault(len(gpus), []), group_id)
            if old is None or len(gpus) > len(old):
                self.gains += 1

    def _leave(self, group_id: str, count: int) -> None:
        self.total -= count
        nodes = self._by_count[count]
        del nodes[bisect_left(nodes, group_id)]
        if not nodes:
            del self._by_count[count]

    def take(self, placements: tuple[Placement, ...]) -> None:
        """These are not free any more."""
        for placement in placements:
            left = self.free[placement.node_id]
            self._set(placement.node_id, tuple(g for g in left if g not in placement.gpu_ids))

    def fullest(self, gpus: int) -> Iterator[str]:
        """Nodes with at least so many free GPUs, those with the fewest first."""
        for count in sorted(self._by_count):
            if count >= gpus:
                yield from self._by_count[count]

    @property
    def largest(self) -> int:
        """The most GPUs free on one node."""
        return max(self._by_count, default=0)

    @staticmethod
    def leaving(plan: Plan) -> int:
        """GPUs of attempts that were told to leave."""
        return plan.roster.held(*LEAVING)


def unheld(plan: Plan, group: Group) -> Gpus:
    """The GPUs of a node on which nobody is, and nothing runs."""
    node_id = group.spec.group_id
    held = {g for a in plan.on(node_id) for p in a.placements if p.node_id == node_id for g in p.gpu_ids}
    held.update(r.gpu_id for r in group.gpus if r.processes)
    return tuple(g.gpu_id for g in group.spec.gpus if g.gpu_id not in held)


def takes_work(group: Group) -> bool:
    """Whether new work may be put on a group that is heard of."""
    obeys = group.power is NodePower.ON and not group.cordoned and not group.is_deaf
    return obeys and group.spec.kind is GroupKind.NODE and bool(group.spec.gpus)
