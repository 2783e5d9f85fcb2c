"""The `Cluster` port between the loop and simulated guards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from scheduler.core.orders import GuardReport, Order
from scheduler.ports import ReportListener
from scheduler.sim.guard import Guard


class SimCluster:
    """Delivers at once. Whether a delivery changed anything is told to `answered`, for the answers wake nobody."""

    def __init__(self, guards: Mapping[str, Guard], answered: Callable[[], None]) -> None:
        self._guards = guards
        self._answered = answered
        self.orders = 0
        self.listener: ReportListener = _ignore

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Send all. Per group: the report that came back, or why none did."""
        del timeout_s
        self.orders += len(orders)
        reached = [o for o in orders if not self._guards[o.group_id].is_dark]
        versions = {o.group_id: self._guards[o.group_id].version for o in reached}
        for order in reached:
            self._guards[order.group_id].take(order)
        if any(self._guards[gid].version != version for gid, version in versions.items()):
            self._answered()
        dark = {o.group_id: f"{o.group_id} is without power" for o in orders if o.group_id not in versions}
        return {gid: self._guards[gid].report() for gid in versions} | dark

    def listen(self, on_report: ReportListener) -> None:
        """Have unasked reports handed over as they arrive."""
        self.listener = on_report

    async def close(self) -> None:
        """Nothing is held."""
        self.listener = _ignore


def _ignore(_report: GuardReport) -> None:
    """Nobody listens yet."""
