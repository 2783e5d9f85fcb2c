"""The agent: a stateless Ray actor that carries orders to the guard of its group and reports back.

It decides nothing and remembers nothing, so it may die, be restarted or be created anew at any moment:
the guard goes on by its lease. Every answer is one line of JSON; a guard that cannot be reached is
`{"error": "..."}`, never an exception, so that the other side needs none of our classes to understand it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import ray

from workers.sockets import connect

NAMESPACE = "barq"  #: of all agents, in Ray
NAME_PREFIX = "agent:"  #: an agent's name is this and the id of its group
SOCKET_NAME = "guard.sock"
DELIVERY_TIMEOUT_S = 10.0  #: the bridge gives up much earlier; this ends what it left behind
CONNECT_TIMEOUT_S = 1.0  #: at once, unless the guard's backlog is full
LINE_LIMIT_BYTES = 16 * 1024 * 1024  #: a report of a large group is one line
POLL_MARGIN_S = 5.0  #: a long poll may come back this late


class Agent:
    """Relays between Ray and the socket of one guard."""

    def __init__(self, group_dir: str) -> None:
        self._socket = Path(group_dir) / SOCKET_NAME

    async def deliver(self, order_json: bytes) -> bytes:
        """Hand an order over; the guard's answer `{"refusal", "report"}`, or `{"error"}`."""
        request = b'{"op":"deliver","order":' + order_json + b"}"
        return await self._ask(request, timeout_s=DELIVERY_TIMEOUT_S)

    async def report(self, after_version: int, timeout_s: float) -> bytes:
        """`{"report"}` once newer than `after_version` (negative: at once), at the latest after `timeout_s`."""
        request: dict[str, object] = {"op": "report"}
        if after_version >= 0:
            request |= {"after_version": after_version, "timeout_s": timeout_s}
        return await self._ask(json.dumps(request).encode(), timeout_s=timeout_s + POLL_MARGIN_S)

    async def inventory(self) -> bytes:
        """`{"inventory"}`: the machines of a miner group, one by one."""
        return await self._ask(b'{"op":"inventory"}', timeout_s=DELIVERY_TIMEOUT_S)

    async def ping(self) -> str:
        """The id of the Ray node that this agent runs on: it answers at all, and is where it should be."""
        return str(ray.get_runtime_context().get_node_id())

    async def _ask(self, request: bytes, *, timeout_s: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(request)
        except TimeoutError:
            return _error(f"the guard at {self._socket} did not answer within {timeout_s:g} s")
        except OSError as error:
            return _error(f"the guard at {self._socket} cannot be reached: {error}")
        except ValueError as error:
            return _error(f"the answer of the guard at {self._socket} is too long: {error}")

    async def _exchange(self, request: bytes) -> bytes:
        stream = connect(self._socket, timeout_s=CONNECT_TIMEOUT_S)
        reader, writer = await asyncio.open_unix_connection(sock=stream, limit=LINE_LIMIT_BYTES)
        try:
            writer.write(request + b"\n")
            await writer.drain()
            answer = await reader.readline()
        finally:
            writer.close()
        if not answer.endswith(b"\n"):
            return _error(f"the guard at {self._socket} closed the connection before it answered")
        return answer.rstrip(b"\n")


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()
