"""The guard's socket: one JSON request per line, one JSON answer per line, any number of clients.

    {"op": "deliver", "order": {...}}                            {"refusal": null | why, "report": {...}}
    {"op": "report"}                                             {"report": {...}}
    {"op": "report", "after_version": n, "timeout_s": t}         the same, once newer than n, or after t
    {"op": "inventory"}                                          {"inventory": {...}}: its machines, of a miner group
    {"op": "estop", "stop": {"id", "reason", "by", "at"}}        {"report": {...}}: it is latched, fallen or falling
    {"op": "stop", "grace_s": g}                                 {"ok": true} when nothing runs any more

What makes no sense, or cannot be remembered, is answered by {"error": why} and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, assert_never, cast

from pydantic import Field

from scheduler.core.estop import EmergencyStop
from scheduler.core.inventory import Inventory
from scheduler.core.lease import Refusal
from scheduler.core.orders import GuardReport, Order
from workers.sockets import listen
from workers.wire import WireError, adapter, decode, encode

LONGEST_LINE_BYTES = 16 * 1024 * 1024
MAX_CLIENTS = 32  #: a few agents, the keeper, people; one more ends whoever was silent longest
LONGEST_WAIT_S = 4e8  #: longer than any duration that a person may write
STOPPED = encode({"ok": True})

log = logging.getLogger("barq.guard")


class Served(Protocol):
    """What the socket needs of a guard."""

    @property
    def report(self) -> GuardReport:
        """The newest report."""
        ...

    def deliver(self, order: Order) -> Refusal | None:
        """Accept an order, or say why not."""
        ...

    async def report_after(self, version: int, *, timeout_s: float) -> GuardReport:
        """A report newer than `version`."""
        ...

    @property
    def inventory(self) -> Inventory:
        """The group's machines, one by one."""
        ...

    def engage(self, stop: EmergencyStop) -> None:
        """Latch an emergency stop."""
        ...

    async def stop(self, grace_s: float) -> None:
        """End what runs; returns when nothing is left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Make this order the one that stands."""

    op: Literal["deliver"] = "deliver"
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Tell what is observed."""

    op: Literal["report"] = "report"
    after_version: int | None = None
    timeout_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskInventory:
    """Tell what the group consists of, machine by machine."""

    op: Literal["inventory"] = "inventory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estop:
    """Fall back at once and stay so."""

    op: Literal["estop"] = "estop"
    stop: EmergencyStop


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End what runs, then the guard."""

    op: Literal["stop"] = "stop"
    grace_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S, allow_inf_nan=False)]


AnyRequest = Deliver | Report | AskInventory | Estop | Stop
Request = Annotated[AnyRequest, Field(discriminator="op")]
_REQUEST = cast("type[Any]", Request)


@asynccontextmanager
async def serve(guard: Served, path: Path, ended: asyncio.Event) -> AsyncIterator[None]:
    """Answer on the socket at `path` inside the `with`; `ended` is set when a `stop` is done. Raises OSError."""
    adapter(_REQUEST)  # built before anybody waits for an answer
    clients: dict[asyncio.StreamWriter, None] = {}  # in the order in which they last said something

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients[writer] = None
        if len(clients) > MAX_CLIENTS:
            silent = next(iter(clients))
            log.warning("%d clients are connected; the one that was silent longest is let go", MAX_CLIENTS)
            silent.transport.abort()
        try:
            while line := await reader.readline():
                clients[writer] = clients.pop(writer)
                answer = await _answer(guard, line)
                try:
                    writer.write(answer + b"\n")
                    await writer.drain()
                finally:
                    if answer == STOPPED:
                        ended.set()
        except (ConnectionError, ValueError, asyncio.CancelledError) as error:
            log.debug("a client is gone: %s", error)  # ValueError: a line without end
        finally:
            clients.pop(writer, None)
            writer.close()

    server = await asyncio.start_unix_server(on_client, sock=listen(path), limit=LONGEST_LINE_BYTES)
    try:
        yield
    finally:
        server.close()


async def _answer(guard: Served, line: bytes) -> bytes:
    try:
        return await _obey(guard, _read(line))
    except (WireError, ValueError, OSError) as error:
        log.warning("refused a request: %s", error)
        return encode({"error": str(error)})


def _read(line: bytes) -> AnyRequest:
    request: AnyRequest = decode(_REQUEST, line)
    return request


async def _obey(guard: Served, request: AnyRequest) -> bytes:
    match request:
        case Deliver():
            refusal = guard.deliver(request.order)
            return encode({"refusal": refusal, "report": guard.report})
        case Report():
            if request.after_version is None:
                return encode({"report": guard.report})
            newer = await guard.report_after(request.after_version, timeout_s=request.timeout_s)
            return encode({"report": newer})
        case AskInventory():
            return encode({"inventory": guard.inventory})
        case Estop():
            guard.engage(request.stop)
            return encode({"report": guard.report})
        case Stop():
            await guard.stop(request.grace_s)
            return STOPPED
        case _:
            assert_never(request)
