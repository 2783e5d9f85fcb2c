"""One look at the site per second for everybody who watches, however many they are."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio
from anyio.to_thread import run_sync

from api.dashboard.picture import Picture, news
from scheduler.errors import StoreError

PERIOD_S: Final = 1.0
FRESH_S: Final = 0.8
"""A look that is not older than this serves the next who asks."""
STOPS_WITHIN_S: Final = 0.1
"""A stream ends so soon after the site began to stop."""
PING_EVERY_S: Final = 10.0
"""A browser hears something at least this often, or it knows that nobody is there."""
RETRY_MS: Final = 2000
log = logging.getLogger(__name__)


async def _always() -> bool:
    """Whoever is asked about is welcome."""
    return True


class Feed:
    """Shares looks at the site. `look` may block; it runs in a thread, one at a time."""

    def __init__(self, look: Callable[[], Picture], *, is_stopping: Callable[[], bool]) -> None:
        self._look = look
        self._is_stopping = is_stopping
        self._lock = anyio.Lock()
        self._latest: Picture | None = None
        self._looked_s = float("-inf")

    async def latest(self) -> Picture:
        """The site now, give or take `FRESH_S`. Raises `StoreError`."""
        async with self._lock:
            if self._latest is None or time.monotonic() - self._looked_s > FRESH_S:
                self._latest = await run_sync(self._look)
                self._looked_s = time.monotonic()
            return self._latest

    async def follow(self, is_welcome: Callable[[], Awaitable[bool]] = _always) -> AsyncIterator[str]:
        """Server-sent events: all of it first, then what changed, until the site stops or who asks must go."""
        yield f"retry: {RETRY_MS}\n\n"
        shown: Picture | None = None
        told_s = time.monotonic()
        while not self._is_stopping() and await is_welcome():
            try:
                picture = await self.latest()
            except StoreError as error:
                log.warning("the dashboard cannot look at the site: %s", error)
                yield _event("trouble", {"text": "the site cannot reach its database"})
            else:
                message, shown = news(shown, picture), picture
                if message["html"] or message["lists"] or message["points"]:
                    yield _event("news", message)
                    told_s = time.monotonic()
            if time.monotonic() - told_s > PING_EVERY_S:
                yield _event("ping", {})
                told_s = time.monotonic()
            await self._pause()

    async def _pause(self) -> None:
        """Until the next look; not to its end when the site stops, which grants its answers only seconds."""
        for _ in range(round(PERIOD_S / STOPS_WITHIN_S)):
            if self._is_stopping():
                return
            await anyio.sleep(STOPS_WITHIN_S)


def _event(kind: str, data: object) -> str:
    """JSON holds no line break, so one line of data carries it."""
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
