"""How long the loop waits for its store: a database that hangs is one that is down, for as long as it hangs.

It is asked one thing at a time, and nothing more before it has answered. What it was asked goes on meanwhile, and may
be done after all: whoever gave up waiting is told what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final, TypeVar

from scheduler.errors import StoreError, StoreSlow
from scheduler.ports import Store
from scheduler.records import Intents, Stored, TickRecord

T = TypeVar("T")

PATIENCE_S: Final = 1.0
"""A tick is due every second. Far above what a commit takes, far below a lease."""


class PatientStore:
    """The port `Store` over another one. Every method but `load` raises `StoreSlow` when it is not answered in time.

    And `StoreError`, without asking, while something else is not answered.
    """

    def __init__(self, store: Store, *, patience_s: float = PATIENCE_S) -> None:
        self._store, self._patience_s = store, patience_s
        self._asked: asyncio.Task[Any] | None = None  #: that was not answered in time

    async def claim(self, holder: str, *, at: datetime, at_least: int = 0) -> int:
        """As the store's. If it comes through late, this leader is stale, which it hears with its next record."""
        return await self._answer(lambda: self._store.claim(holder, at=at, at_least=at_least))

    async def load(self) -> Stored:
        """As the store's: who begins has nothing to go on with, and waits."""
        return await self._store.load()

    async def intents(self, after: int) -> Intents:
        """As the store's."""
        return await self._answer(lambda: self._store.intents(after))

    async def record(self, tick: TickRecord) -> None:
        """As the store's. The outcome of what was slow says whether it is on record after all."""
        await self._answer(lambda: self._store.record(tick))

    async def _answer(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._asked is not None and not self._asked.done():
            raise StoreError("it still does not answer")
        asked = asyncio.get_running_loop().create_task(ask())
        try:
            await asyncio.wait([asked], timeout=self._patience_s)
        except asyncio.CancelledError:
            asked.cancel()
            raise
        if asked.done():
            return asked.result()
        self._asked = asked
        asked.add_done_callback(_heard)
        raise StoreSlow(f"it did not answer within {self._patience_s:g} s", asked)


def _heard(asked: asyncio.Task[Any]) -> None:
    """Nobody may want to know how it failed: asyncio would complain of that."""
    if not asked.cancelled():
        asked.exception()
