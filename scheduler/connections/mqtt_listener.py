"""What all sources have in common that are told over MQTT: when they begin to listen, their news, what they refused."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from scheduler.connections.mqtt import Arrived, BrokerOptions, Link
from scheduler.errors import SignalError

FIRST_S: Final = 2.0  #: for which the first reading waits for the first message, or for the first trouble
_LONGEST_PROBE_S: Final = 5.0


class MqttListener(ABC):
    """A `PushedSource` but for its `read`, which begins with `_listen`. Its kind says what a message means to it."""

    most_refused: ClassVar[int]  #: that are kept to be told
    is_lasting: ClassVar[bool] = False  #: the broker keeps what comes while the link is down

    def __init__(
        self,
        name: str,
        options: BrokerOptions,
        *,
        base: Path,
        topics: Sequence[str],
        stale_after_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self.name = name
        self._now = now
        self._refused: deque[str] = deque(maxlen=self.most_refused)
        self._news = asyncio.Event()
        self._link = Link(
            name,
            options,
            base=base,
            topics=topics,
            probe_s=min(_LONGEST_PROBE_S, stale_after_s / 3),
            on_message=self._hear,
            on_begin=self._begin,
            on_trouble=self._news.set,
            lasting=self.is_lasting,
            now=now,
        )

    @abstractmethod
    def _hear(self, message: Arrived) -> None:
        """Take a message, or put it among the refused, and tell that there is news."""

    @abstractmethod
    def _begin(self, resumed: bool) -> None:  # noqa: FBT001 - the link's callback
        """A connection begins; `resumed` = the broker kept what came in between."""

    async def _listen(self) -> None:
        """Listen from the first reading on. Raises `SignalError` while the broker is not to be had."""
        if self._link.start():
            with suppress(
                TimeoutError
            ):  # the first reading is not lost only because the broker needs a moment
                await asyncio.wait_for(self._news.wait(), timeout=FIRST_S)
        if self._link.trouble is not None:
            raise SignalError(self._link.trouble)

    async def news(self) -> None:
        """Return as soon as something was heard, good or bad."""
        await self._news.wait()
        self._news.clear()

    def refused(self) -> Sequence[str]:
        """What was heard and not taken since this was last asked."""
        refused = tuple(self._refused)
        self._refused.clear()
        return refused

    async def close(self) -> None:
        """End the connection."""
        await self._link.close()
