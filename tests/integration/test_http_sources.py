"""Limits over HTTP in the service that reads them: how they are heard, and what becomes of them when a peer is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.envelope import limit_of
from scheduler.ports import ListeningSource
from scheduler.signals.http_poll import open_source as open_poll
from scheduler.signals.http_push import Inbox, Push, open_source as open_push, read_push_options
from tests.json_served import served
from tests.reading_service import FIRM_W, ReadingService
from tests.waiting import wait_until

PATIENCE_S = 60.0


class Listening(ReadingService):
    """The part of the service that reads one source, and what it knows and tells."""

    def limit_w(self, *, later_s: float = 0.0) -> float | None:
        """What the source contributes then, if nothing more is heard of it."""
        envelope, at = self.view.envelopes.get("grid"), datetime.now(UTC) + timedelta(seconds=later_s)
        limit = None if envelope is None else limit_of(envelope, at, now=at, firm_w=FIRM_W)
        return None if limit is None else limit.limit_w

    async def hears(self, limit_w: float) -> None:
        await wait_until(lambda: self.limit_w() == limit_w, timeout_s=PATIENCE_S, what=f"{limit_w:g} W")

    async def tells(self, kind: str, text: str) -> None:
        await wait_until(
            lambda: any(e.kind == kind and text in e.text for e in self.watchman.events),
            timeout_s=PATIENCE_S,
            what=f"{kind}: {text}",
        )


@asynccontextmanager
async def listening(source: ListeningSource, *, poll_s: float) -> AsyncIterator[Listening]:
    """Reads the source until the block ends."""
    listener = Listening()
    polls = asyncio.ensure_future(listener.service._poll(source, poll_s))
    try:
        yield listener
    finally:
        polls.cancel()
        with suppress(asyncio.CancelledError):
            await polls
        await source.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """Where the API puts what is pushed."""
    return Inbox("grid", read_push_options("grid", {"secret_env": "PUSH_SECRET"}), base=tmp_path)


def push(inbox: Inbox, delivery: str, limit_w: float) -> None:
    """As the API does, once the signature is checked."""
    at = datetime.now(UTC)
    inbox.take(Push(delivery=delivery, at=at, limit_w=limit_w), delivery, signed_at=at, at=at)


async def test_a_pushed_limit_is_heard_though_the_next_reading_is_an_hour_away(
    inbox: Inbox, tmp_path: Path
) -> None:
    """And the next tick waits for nothing. Who is silent then counts no more than firm; a lower word stays."""
    source = open_push("grid", {"secret_env": "PUSH_SECRET"}, base=tmp_path, reaction_s=30.0)
    async with listening(source, poll_s=3600) as listener:
        await listener.tells("signal.lost", "nothing was pushed yet")
        push(inbox, "d1", 9000)
        await listener.hears(9000)
        assert listener.limit_w(later_s=61) == FIRM_W

        listener.service._urged.clear()
        push(inbox, "d2", 4000)
        await listener.hears(4000)
        assert listener.service._urged.is_set()
        assert listener.limit_w(later_s=61) == 4000

        inbox.note("delivery 'd3': at = yesterday")
        await listener.tells("signal.refused", "delivery 'd3': at = yesterday")


async def test_a_polled_limit_is_heard_and_a_server_that_is_gone_is_told(tmp_path: Path) -> None:
    """From its last word on the limit ages."""
    with served() as page:
        page.say({"limit": 9000})
        options = {"url": page.url, "field": "limit", "timeout_s": 30, "stale_after_s": 120}
        source = open_poll("grid", options, base=tmp_path, reaction_s=30.0)
        async with listening(source, poll_s=0.05) as listener:
            await listener.hears(9000)
            page.say({"limit": 8000})
            await listener.hears(8000)
            page.say({"limit": -1})
            await listener.tells("signal.refused", "limit is -1 W, below 0")
            page.status = 503
            await listener.tells("signal.lost", "127.0.0.1 answered 503")

            assert listener.limit_w() == 8000
            assert listener.limit_w(later_s=200) == FIRM_W

            page.say({"limit": 7000})
            await listener.hears(7000)
            await listener.tells("signal.back", "can be read again")
