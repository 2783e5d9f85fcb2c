"""The client to await, asked as the one that waits: so that a test of one is a test of both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from barq import AsyncClient, Client


class _Awaited:
    """Each verb of an AsyncClient, run to its end on one loop of its own."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb = getattr(self._client, name)

        def ask(*args: Any, **options: Any) -> Any:
            answer = verb(*args, **options)
            return self._runner.run(answer if inspect.iscoroutine(answer) else _collected(answer))

        return ask


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


@contextmanager
def awaited(make: Callable[[], AsyncClient]) -> Iterator[Client]:
    """A stand-in for a `Client` that asks through the AsyncClient that `make` gives."""
    with asyncio.Runner() as runner:
        client = make()
        yield cast("Client", _Awaited(runner, client))
        runner.run(client.close())
