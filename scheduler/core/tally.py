"""The watts of a plan as running totals: a change of one attempt costs no look at any other.

Totals are whole microwatts, so that they do not drift and come out the same in whatever order changes were made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scheduler.core.jobs import Attempt, Phase
from scheduler.core.node_tally import Bounds, Depth, NodeTally, watts, whole_uw
from scheduler.core.orders import GroupSpec


class Tally:
    """All nodes of a site together."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeTally] = {}
        self._totals = (0, 0, 0, 0)
        self.fillers_w: dict[str, float] = {}
        """What fills the idle GPUs of each node that has such a thing, above their rest."""

    def add(self, node_id: str, spec: GroupSpec) -> None:
        """Count a node from now on."""
        node = self._nodes[node_id] = NodeTally(spec)
        if spec.filler is not None:
            self.fillers_w[node_id] = 0.0
        self._move((0, 0, 0, 0), node.totals)

    def drop(self, node_id: str) -> None:
        """Count a node no more, if it was counted."""
        self.fillers_w.pop(node_id, None)
        if node := self._nodes.pop(node_id, None):
            self._move(node.totals, (0, 0, 0, 0))

    def book(self, node_id: str, bounds: Bounds) -> None:
        """Take in what the books say of a node now."""
        node = self._nodes[node_id]
        before = node.totals
        node.book(bounds)
        self._move(before, node.totals)

    def rest(self, node_id: str, standby_w: float | None) -> None:
        """Have a node go to standby, where it draws so much; None = back on."""
        node = self._nodes[node_id]
        before = node.totals
        node.rest(standby_w)
        self._move(before, node.totals)

    def fill(self, node_id: str, filler_w: float) -> None:
        """Have what fills a node's idle GPUs draw so much above their rest."""
        node, self.fillers_w[node_id] = self._nodes[node_id], filler_w
        before = node.totals
        node.fill(whole_uw(filler_w))
        self._move(before, node.totals)

    def is_plain(self) -> bool:
        """Whether the watts of each node are a sum over its attempts."""
        return all(node.is_plain for node in self._nodes.values())

    def slack_w(self) -> float:
        """How much more may be planned at most on any one node at no cost, because the books still count as much."""
        return watts(max((node.slack for node in self._nodes.values()), default=0))

    def planned_w(self, node_id: str) -> float:
        """What an order under this plan entitles a node to."""
        return watts(self._nodes[node_id].planned)

    def bounds_w(self, node_id: str) -> tuple[float, float, float]:
        """A node's part in the site's watts: planned, settled, exposed."""
        planned, settled, exposed, _ = self._nodes[node_id].totals
        return watts(planned), watts(settled), watts(exposed)

    def depths(self) -> Iterator[tuple[str, Depth]]:
        """How deep each node can be lowered. Costs a look at every node."""
        return ((node_id, node.depth) for node_id, node in self._nodes.items())

    def fallback_w(self, node_id: str) -> tuple[float, float]:
        """What a node may draw when its order has expired: at once, and once all that is not firm has left."""
        first, last = self._nodes[node_id].fallback
        return watts(first), watts(last)

    def fallback_bound_w(self, node_id: str) -> float:
        """A node's part in the site's watts when every order has expired, over the plan and all open orders."""
        return watts(self._nodes[node_id].totals[3])

    @property
    def planned_it_w(self) -> float:
        """Watts of all nodes under the plan."""
        return watts(self._totals[0])

    def exposed_rise(self, attempt: Attempt, tier: int, cap_w: float) -> int:
        """Microwatts by which what all nodes could draw at most would rise with this attempt under that cap."""
        rise = 0
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                rise += node.exposed_rise(attempt, placement, tier, cap_w)
        return rise

    def exposed_it_w_risen(self, rise: int) -> float:
        """Watts that all nodes could draw at most if that rose by so many microwatts."""
        return watts(self._totals[2] + rise)

    @property
    def settled_it_w(self) -> float:
        """Watts of all nodes once those that were told to leave have left."""
        return watts(self._totals[1])

    @property
    def exposed_it_w(self) -> float:
        """Watts that all nodes could draw at most, by the plan or by what still stands."""
        return watts(self._totals[2])

    @property
    def fallback_it_w(self) -> float:
        """Watts of all nodes when every order has expired."""
        return watts(self._totals[3])

    def put(self, attempt: Attempt, tier: int) -> None:
        """Add an attempt, or replace it by a changed one."""
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                before = node.totals
                node.put(attempt, placement, tier)
                self._move(before, node.totals)

    def put_all(self, by_node: Mapping[str, Mapping[str, Attempt]]) -> None:
        """Replace attempts that are here, by the nodes that they are on, by changed ones of the same tiers."""
        for node_id, changed in by_node.items():
            if node := self._nodes.get(node_id):
                before = node.totals
                node.put_all(changed)
                self._move(before, node.totals)

    def rise_w(self, attempt: Attempt, tier: int, phase: Phase | None = None) -> float:
        """What the nodes' planned watts would rise by with this attempt, in its phase or another, in place of now."""
        rise = 0
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                rise += node.rise(attempt, placement, tier, phase or attempt.phase)
        return watts(rise)

    def take(self, attempt: Attempt) -> None:
        """Take an attempt out."""
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                before = node.totals
                node.take(attempt.id)
                self._move(before, node.totals)

    def _move(self, before: tuple[int, int, int, int], after: tuple[int, int, int, int]) -> None:
        if before is not after and before != after:
            t = self._totals
            self._totals = (
                t[0] + after[0] - before[0],
                t[1] + after[1] - before[1],
                t[2] + after[2] - before[2],
                t[3] + after[3] - before[3],
            )
