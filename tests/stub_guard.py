"""A guard that keeps nothing but its fence: it speaks the protocol of the socket, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any, Self

from scheduler.core.inventory import Inventory
from scheduler.core.orders import NO_FENCE, Fence, GroupKind, GroupSpec, GuardReport, Order
from scheduler.wire import dumps, loads
from workers.sockets import listen

BOOT = "boot-1"


class Mood(Enum):
    """How it answers."""

    WELL = auto()
    HANGS = auto()  #: takes requests and says nothing
    CLOSES = auto()  #: hangs up instead of answering
    RAVES = auto()  #: answers something else


class StubGuard:
    """Use as `async with`: listens in the running loop until the end of the block, or until `vanish`."""

    def __init__(self, group_dir: Path, *, version: int = 1) -> None:
        self.group_id = group_dir.name
        self.mood = Mood.WELL
        self.version = version
        self.fence = NO_FENCE
        self.orders: list[Order] = []
        self.inventory = Inventory(group_id=self.group_id, version=3, boottime_s=1.0)
        self._path = group_dir / "guard.sock"
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._talk, sock=listen(self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()

    async def vanish(self) -> None:
        """As if killed: the socket file stays, nobody listens."""
        if self._server is not None:
            self._server.close()
        for talk in list(self._talks):
            talk.cancel()
            with suppress(asyncio.CancelledError):
                await talk

    async def change(self) -> None:
        """Something of substance happened: a new version."""
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    def report(self) -> GuardReport:
        """What it would say now."""
        return GuardReport(
            spec=GroupSpec(group_id=self.group_id, kind=GroupKind.NODE, base_w=600.0),
            boot_id=BOOT,
            boottime_s=1.0,
            version=self.version,
            accepted=self.fence,
            expires_boottime_s=float("inf"),
            entitlement_w=600.0,
            fallback=(),
            in_fallback=False,
            draw_w=500.0,
        )

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while line := await reader.readline():
                answer = await self._answer(json.loads(line))
                if answer is None:
                    return
                writer.write(answer + b"\n")
                await writer.drain()
        finally:
            self._talks.discard(task)
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> bytes | None:
        match self.mood:
            case Mood.HANGS:
                await asyncio.Event().wait()
            case Mood.CLOSES:
                return None
            case Mood.RAVES:
                return b'{"report": {"version": 1, "spec": "none"}}'
            case Mood.WELL:
                pass
        if request["op"] == "inventory":
            return b'{"inventory":' + dumps(self.inventory) + b"}"
        if request["op"] == "deliver":
            return await self._accept(loads(Order, json.dumps(request["order"])))
        await self._wait_for_news(request)
        return b'{"report":' + dumps(self.report()) + b"}"

    async def _accept(self, order: Order) -> bytes:
        self.orders.append(order)
        refusal = b"null"
        if order.fence > self.fence:
            self.fence = order.fence
            await self.change()
        else:
            refusal = b'"stale"'
        return b'{"refusal":' + refusal + b',"report":' + dumps(self.report()) + b"}"

    async def _wait_for_news(self, request: dict[str, Any]) -> None:
        after = request.get("after_version")
        if after is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(request["timeout_s"]), self._changed:
                await self._changed.wait_for(lambda: self.version > after)


def order_for(group_id: str, *, seq: int = 1, epoch: int = 1) -> Order:
    """An order for nothing in particular."""
    return Order(
        group_id=group_id,
        boot_id=BOOT,
        fence=Fence(epoch=epoch, seq=seq),
        expires_boottime_s=100.0,
        entitlement_w=600.0,
        fallback=(),
    )
