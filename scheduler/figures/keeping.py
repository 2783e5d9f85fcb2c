"""Asks the sources of figures, takes in what can be true, and has the newest at hand for decisions.

What cannot be true is refused, once in words; the last good figures stand until they are stale.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from scheduler.book_threads import in_book_thread
from scheduler.connections.messages import Refused
from scheduler.core.chain_news import absurd, implausible
from scheduler.core.hashprice import ChainFigures
from scheduler.core.reasons import Event
from scheduler.core.revenue import REMEDY, not_usable
from scheduler.errors import SignalError, StoreError
from scheduler.ports import Clock, FiguresBook, FiguresSource

log = logging.getLogger(__name__)

LOOK_S: Final = 2.0
"""How often the book is looked into for what people told."""
REPEAT_S: Final = 900.0
"""The same figures with a newer date are written down so often, and within a quarter of their time at least."""
_MOST_CHARACTERS: Final = 500


class FiguresKeeping:
    """One series for the site. `take` is given the newest figures whenever they are looked up."""

    def __init__(
        self,
        sources: Sequence[tuple[FiguresSource, float]],
        book: FiguresBook,
        clock: Clock,
        *,
        take: Callable[[ChainFigures | None], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._sources, self._book, self._clock = tuple(sources), book, clock
        self._take, self._tell = take, tell
        self._last: dict[str, ChainFigures] = {}  #: what was taken from each source
        self._troubles: dict[str, tuple[str, str]] = {}  #: kind and words of what is wrong with a source
        self._stale: ChainFigures | None = None  #: of which it was told that they are stale

    async def run(self) -> None:
        """Ask and look until cancelled."""
        try:
            await asyncio.gather(self._look_on(), *(self._ask_on(s, poll_s) for s, poll_s in self._sources))
        finally:
            await asyncio.gather(*(s.close() for s, _ in self._sources), return_exceptions=True)

    async def look(self) -> ChainFigures | None:
        """The newest figures in the book; a store that is down leaves those that are known."""
        try:
            newest = await in_book_thread(self._book.newest)
        except StoreError as error:
            log.warning("figures of the chain cannot be looked up: %s", error)
            return None
        self._take(newest)
        self._note_age(newest, self._clock.now())
        return newest

    async def ask(self, source: FiguresSource) -> None:
        """Have a source tell, and take it in or say why not."""
        at = self._clock.now()
        try:
            told = await source.read(at)
            taken = await in_book_thread(self._taken, source.name, told, at)
        except SignalError as error:
            self._trouble(source.name, "figures.lost", f"cannot be read: {error}", at)
        except Refused as error:
            self._trouble(source.name, "figures.refused", f"told what cannot be: {error}", at)
        except StoreError as error:
            log.warning("figures of %s cannot be written down: %s", source.name, error)
        else:
            self._mended(source.name, at)
            if taken:
                await self.look()

    async def _look_on(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep_s(LOOK_S)

    async def _ask_on(self, source: FiguresSource, poll_s: float) -> None:
        while True:
            await self.ask(source)
            await self._clock.sleep_s(poll_s)

    def _taken(self, name: str, told: ChainFigures, at: datetime) -> bool:
        """Whether they were written down. Raises `Refused`, `StoreError`."""
        last = self._last.get(name)
        if told == last:  # whoever told something else since told it knowing this, or later
            return False
        if complaint := absurd(told, at) or implausible(told, last):
            raise Refused(complaint)
        known = self._book.newest()
        if known is not None and told.as_of_at < known.as_of_at:  # another source, or a person, knows better
            return False
        if complaint := implausible(told, known):
            raise Refused(complaint)
        self._last[name] = told
        if known is not None and _adds_nothing(told, known):
            return False
        self._book.add(told, origin=name, at=at)
        return True

    def _trouble(self, name: str, kind: str, why: str, at: datetime) -> None:
        """Told when it begins, and when the reason changes."""
        trouble = kind, why[:_MOST_CHARACTERS]
        if self._troubles.get(name) != trouble:
            self._troubles[name] = trouble
            text = f"source {name} of what mining brings {trouble[1]}"
            log.warning("%s", text)
            self._tell(Event(at=at, kind=kind, text=text, data={"source": name}))

    def _mended(self, name: str, at: datetime) -> None:
        if self._troubles.pop(name, None) is not None:
            text = f"source {name} of what mining brings tells what can be again"
            self._tell(Event(at=at, kind="figures.back", text=text, data={"source": name}))

    def _note_age(self, newest: ChainFigures | None, at: datetime) -> None:
        """Tell once that figures are too old."""
        if newest is None or newest == self._stale or not newest.is_stale(at):
            return
        self._stale = newest
        text = f"what mining brings is not known any more: {not_usable(newest, at)}; {REMEDY}"
        self._tell(Event(at=at, kind="figures.stale", text=text, data={"source": newest.source}))


def _adds_nothing(told: ChainFigures, known: ChainFigures) -> bool:
    """Whether these are the same figures again, and those known are young enough beside them."""
    least_s = min(REPEAT_S, told.stale_after_s / 4)
    return replace(told, as_of_at=known.as_of_at) == known and known.age_s(told.as_of_at) < least_s
