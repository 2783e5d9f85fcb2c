"""Virtual time: a clock that stands still until the engine moves it, and what is due when.

Instants are whole microseconds since the window began, so that they add up and turn into datetimes without rounding.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

BEGAN_AT = datetime(2026, 1, 1, tzinfo=UTC)  #: what the clock shows when a window begins
US = 1_000_000  #: microseconds in a second
NEVER_US = 2**62


def us(seconds: float) -> int:
    """Whole microseconds."""
    return round(seconds * US)


def us_of(at: datetime) -> int:
    """The instant of a datetime, in microseconds since the window began."""
    since = at - BEGAN_AT
    return (since.days * 86_400 + since.seconds) * US + since.microseconds


class SimClock:
    """Implements the port `Clock`. `monotonic_s` is the guards' CLOCK_BOOTTIME too: hosts came up with the window."""

    def __init__(self) -> None:
        self.now_us = 0
        self._shown: tuple[int, datetime] = (0, BEGAN_AT)

    def now(self) -> datetime:
        """Aware UTC."""
        if self._shown[0] != self.now_us:
            self._shown = (self.now_us, BEGAN_AT + timedelta(microseconds=self.now_us))
        return self._shown[1]

    def monotonic_s(self) -> float:
        """Seconds since the window began."""
        return self.now_us / US

    async def sleep_s(self, seconds: float) -> None:
        """Let time pass, at once."""
        self.now_us += us(seconds)


class Timeline(SimClock):
    """A clock that knows what is due. What is due at one instant happens in the order in which it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._numbers = count()

    def at(self, at_us: int, act: Callable[[Any], None], what: object) -> None:
        """Have `act(what)` done at an instant. Nothing is taken back: `act` looks whether it still is to be done."""
        heapq.heappush(self._due, (at_us, next(self._numbers), act, what))

    def next_us(self) -> int:
        """When something is due next."""
        return self._due[0][0] if self._due else NEVER_US

    def settle(self) -> int:
        """Do all that is due by now. Returns how many things that were."""
        done = 0
        while self._due and self._due[0][0] <= self.now_us:
            _, _, act, what = heapq.heappop(self._due)
            act(what)
            done += 1
        return done
