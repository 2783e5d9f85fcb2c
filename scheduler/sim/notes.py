"""What a bystander with a true meter writes down: the intervals of a run, and its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scheduler.sim.clock import US
from scheduler.sim.guard import Leased
from scheduler.sim.node import SimNode
from scheduler.sim.outcome import Interval
from scheduler.sim.site import SimSite
from scheduler.sim.work import Demand

_UW = 1_000_000  #: microwatts in a watt


class Notes:
    """Adds up true draws: again only for groups that were touched since the last time."""

    def __init__(
        self, site: SimSite, nodes: Sequence[SimNode], miners: Sequence[Leased], demand: Demand
    ) -> None:
        self.intervals: list[Interval] = []
        self._site = site
        self._demand = demand
        self._nodes = {node.spec.group_id: i for i, node in enumerate(nodes)}
        self._busy_uw = [0] * len(nodes)
        self._rest_uw = [0] * len(nodes)
        self._powered = [False] * len(nodes)
        self._sums_uw = [0, 0]  #: of computing GPUs, and of everything else on nodes
        self._powered_nodes = 0
        self._miners_w: dict[str, float] = {m.spec.group_id: m.draw_w() for m in miners}
        self._touched: dict[str, Leased] = {g.spec.group_id: g for g in (*nodes, *miners)}
        self._last: tuple[float, int, int] | None = None
        self._has_news = False  #: a draw was added up since the last interval, for this or for the meter

    def touch(self, group: Leased) -> None:
        """Its draw may be another now."""
        self._touched[group.spec.group_id] = group

    def site_w(self) -> float:
        """The true draw of all, as the site meter sees it."""
        self._measure()
        return sum(self._split_w())

    def note(self, now_us: int, limit_w: float) -> None:
        """What holds from now on, where it differs from what held."""
        demand = self._demand
        beside = (limit_w, demand.waiting_gpus, demand.running_gpus)
        self._measure()
        if not self._has_news and beside == self._last:
            return
        self._last, self._has_news = beside, False
        ai_w, idle_w, mined_w = self._split_w()
        noted = Interval(
            starts_s=now_us / US,
            limit_w=limit_w,
            site_w=ai_w + idle_w + mined_w,
            ai_w=ai_w,
            idle_w=idle_w,
            miners_w=self._miners_w,
            waiting_gpus=demand.waiting_gpus,
            running_gpus=demand.running_gpus,
            powered_nodes=self._powered_nodes,
            smallest_waiting_gpus=demand.smallest,
        )
        if self.intervals and self.intervals[-1].starts_s == noted.starts_s:
            self.intervals[-1] = noted
        else:
            self.intervals.append(noted)

    def _split_w(self) -> Iterable[float]:
        """Site watts of computing GPUs, of miners, and of everything else."""
        overhead = self._site.overhead
        mined_w = sum(self._miners_w.values())
        yield overhead * self._sums_uw[0] / _UW
        yield overhead * self._sums_uw[1] / _UW + self._site.auxiliary_w
        yield mined_w

    def _measure(self) -> None:
        if not self._touched:
            return
        self._has_news, mined_w = True, {}
        for group in self._touched.values():
            if isinstance(group, SimNode):
                group.measure()
                self._add(self._nodes[group.spec.group_id], group)
            else:
                mined_w[group.spec.group_id] = group.draw_w()
        if mined_w:
            self._miners_w = self._miners_w | mined_w  # intervals share what did not change
        self._touched.clear()

    def _add(self, index: int, node: SimNode) -> None:
        """Whole microwatts add up in any order to the same sum."""
        busy_uw, rest_uw = round(node.busy_w * _UW), round(node.rest_w * _UW)
        self._sums_uw[0] += busy_uw - self._busy_uw[index]
        self._sums_uw[1] += rest_uw - self._rest_uw[index]
        self._powered_nodes += node.is_powered - self._powered[index]
        self._busy_uw[index], self._rest_uw[index], self._powered[index] = busy_uw, rest_uw, node.is_powered
