"""Looks up by which prices intervals are settled, beside the loop: no tick waits for a database or a file for it."""

from __future__ import annotations

import logging
from typing import Final

from scheduler.book_threads import in_book_thread
from scheduler.core.contracts import Quotes
from scheduler.core.settlement import Measured
from scheduler.errors import SignalError, StoreError
from scheduler.ports import Clock, Prices
from scheduler.settling import Settling

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
UNREAD_S: Final = 600.0
"""So long an interval waits for a price series that cannot be read: its file may just be being written."""


class Pricing:
    """Prices what is over, in the order in which it was, for as long as it runs."""

    def __init__(self, settling: Settling, prices: Prices, clock: Clock) -> None:
        self._settling, self._prices, self._clock = settling, prices, clock
        self._trouble = ""  #: why the oldest interval waits, as told last
        self._unread_s: float | None = None  #: since when it waits for a series

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except (
                Exception
            ):  # a bug here must not end the scheduler: what is measured is kept until it is priced
                log.exception("intervals of settlement cannot be priced")
            await self._clock.sleep_s(LOOK_S)

    async def look(self) -> None:
        """Price all that waits. While the store is down it goes on waiting: nothing goes without its price for that.

        For a series that cannot be read it does so for a while: then it is settled without that price.
        """
        for measured in self._settling.measured:
            try:
                quotes = await in_book_thread(quotes_for, measured, self._prices, is_enough=self._is_enough())
            except StoreError as error:
                self._waits(measured, str(error))
                return
            except SignalError as error:
                if self._unread_s is None:
                    self._unread_s = self._clock.monotonic_s()
                self._waits(measured, str(error))
                return
            self._settling.priced(measured, quotes)
            self._trouble, self._unread_s = "", None

    def _is_enough(self) -> bool:
        return self._unread_s is not None and self._clock.monotonic_s() - self._unread_s >= UNREAD_S

    def _waits(self, measured: Measured, why: str) -> None:
        """Told once, and when the reason changes."""
        if why != self._trouble:
            self._trouble = why
            log.warning("the interval of %s waits for its prices: %s", measured.over.starts_at, why)


def quotes_for(measured: Measured, prices: Prices, *, is_enough: bool = False) -> Quotes:
    """What is known of prices for an interval: of its beginning; `is_enough`: without what cannot be read.

    Raises StoreError; SignalError for a series that cannot be read.
    """
    at, found = measured.over.starts_at, {}
    for name in measured.series:
        try:
            found[name] = prices.price_at(name, at)
        except SignalError:
            if not is_enough:
                raise
    return Quotes(
        at=at,
        figures=prices.figures_at(at),
        series={name: price for name, price in found.items() if price is not None},
    )
