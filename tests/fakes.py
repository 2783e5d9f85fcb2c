"""Doubles of the ports of the loop: a clock that stands still, a cluster that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from scheduler.core.orders import GuardReport, Order
from scheduler.ports import ReportListener

T0 = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
_BOOTED_S = 1000.0


class FakeClock:
    """Whole milliseconds since `T0`; passes only when told."""

    def __init__(self) -> None:
        self.now_ms = 0

    def now(self) -> datetime:
        return at_ms(self.now_ms)

    def monotonic_s(self) -> float:
        return _BOOTED_S + self.now_ms / 1000

    async def sleep_s(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


def at_ms(now_ms: int) -> datetime:
    """The instant so many milliseconds after `T0`."""
    return T0 + timedelta(milliseconds=now_ms)


class FakeCluster:
    """Keeps every order; answers with what `answer` makes of it."""

    def __init__(self) -> None:
        self.sent: list[Order] = []
        self.answer: Callable[[Order], GuardReport | str] = lambda _: "no answer"
        self.listeners: list[ReportListener] = []

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        self.sent.extend(orders)
        return {o.group_id: self.answer(o) for o in orders}

    def listen(self, on_report: ReportListener) -> None:
        self.listeners.append(on_report)

    async def close(self) -> None:
        self.listeners.clear()

    def take(self) -> list[Order]:
        """Orders sent since the last look."""
        sent, self.sent = self.sent, []
        return sent
