"""The `Cluster` port between the loop and simulated guards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from scheduler.core.orders import GuardReport, Order
from scheduler.ports import ReportListener
from scheduler.sim.guard import Leased


class SimCluster:
    """Delivers at once. Answers are told to `answered`: they wake nobody, and free what earlier orders allowed."""

    def __init__(
        self, guards: Mapping[str, Leased], answered: Callable[[Collection[GuardReport]], None]
    ) -> None:
        self._guards = guards
        self._answered = answered
        self.orders = 0
        self.listener: ReportListener = _ignore

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Send all. Per group: the report that came back, or why none did."""
        del timeout_s
        self.orders += len(orders)
        reached = [o for o in orders if not self._guards[o.group_id].is_dark]
        for order in reached:
            self._guards[order.group_id].take(order)
        dark = {o.group_id: "it is without power" for o in orders if self._guards[o.group_id].is_dark}
        answers = {o.group_id: self._guards[o.group_id].report() for o in reached}
        if answers:
            self._answered(answers.values())
        return answers | dark

    def listen(self, on_report: ReportListener) -> None:
        """Have unasked reports handed over as they arrive."""
        self.listener = on_report

    async def close(self) -> None:
        """Nothing is held."""
        self.listener = _ignore


def _ignore(_report: GuardReport) -> None:
    """Nobody listens yet."""
