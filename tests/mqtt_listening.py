"""Sources that listen at a broker, as tests ask them: until they say what is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scheduler.core.envelope import Envelope, limit_of
from scheduler.errors import SignalError
from scheduler.ports import PushedSource
from scheduler.signals import dsx_flex, mqtt
from tests.mqtt_broker import PATIENCE_S
from tests.waiting import POLL_S

FIRM_W = 6_000.0


def now() -> datetime:
    """Of the machine, as the source has it."""
    return datetime.now(UTC)


@asynccontextmanager
async def listening(port: int, base: Path, **options: Any) -> AsyncIterator[PushedSource]:
    """A source as the site file describes it, closed at the end."""
    module = dsx_flex if "isv" in options else mqtt
    given = {"host": "127.0.0.1", "port": port, "tls": False} | options
    source = module.open_source("grid", given, base=base, reaction_s=30.0)
    try:
        yield source
    finally:
        await source.close()


async def until(source: PushedSource, holds: Callable[[Envelope | str], bool]) -> Envelope | str:
    """The first answer for which that holds: an envelope, or why there is none."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(answer := await answer_of(source)):  # noqa: ASYNC110 - a source ages without an event
            await asyncio.sleep(POLL_S)
    return answer


async def answer_of(source: PushedSource) -> Envelope | str:
    """An envelope, or why there is none."""
    try:
        return await source.read(now())
    except SignalError as error:
        return str(error)


async def heard(source: PushedSource, limit_w: float) -> Envelope:
    """The envelope, once the limit is this."""
    answer = await until(source, lambda a: isinstance(a, Envelope) and watts(a) == limit_w)
    assert isinstance(answer, Envelope)
    return answer


async def trouble(source: PushedSource, words: str) -> str:
    """Why it cannot be read, once that says so."""
    answer = await until(source, lambda a: isinstance(a, str) and words in a)
    assert isinstance(answer, str)
    return answer


def watts(envelope: Envelope) -> float | None:
    """The limit in force now."""
    segment = envelope.limit_at(now())
    return None if segment is None else segment.limit_w


async def refused(source: PushedSource) -> str:
    """The next thing that it did not take."""
    async with asyncio.timeout(PATIENCE_S):
        while not (texts := source.refused()):
            await source.news()
    (text,) = texts
    return text


def limit_w(envelope: Envelope) -> float:
    """What counts of it now."""
    limit = limit_of(envelope, now(), now=now(), firm_w=FIRM_W)
    assert limit is not None
    return limit.limit_w
