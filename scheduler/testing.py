"""The cluster without Ray, for tests: straight to the guards' sockets, by the same rules as `RayCluster`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scheduler.cluster import LINE_LIMIT_BYTES, read_answer, read_inventory
from scheduler.core.inventory import Inventory
from scheduler.core.orders import GuardReport, Order
from scheduler.ports import ReportListener
from scheduler.wire import dumps

POLL_S = 1.0
RETRY_S = 0.2
_HUNG_UP = "the guard closed the connection before it answered"


class DirectCluster:
    """Implements the ports `Cluster` and `InventorySource` for guards on this machine.

    `groups` says where: group id to its directory.
    """

    def __init__(self, groups: Mapping[str, Path]) -> None:
        self._groups = dict(groups)
        self._polls: list[asyncio.Task[None]] = []

    def listen(self, on_report: ReportListener) -> None:
        """Have each group's reports handed over, at least one a second, from now on. Needs a running loop."""
        for group_dir in self._groups.values():
            self._polls.append(asyncio.get_running_loop().create_task(_poll(group_dir, on_report)))

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Send all in parallel. Per group: the report that came back, or why none did, within the deadline."""
        answers = await asyncio.gather(*(self._deliver(order, timeout_s) for order in orders))
        return {order.group_id: answer for order, answer in zip(orders, answers, strict=True)}

    async def close(self) -> None:
        """End the polls; guards stay."""
        for poll in self._polls:
            poll.cancel()
            with suppress(asyncio.CancelledError):
                await poll
        self._polls.clear()

    async def inventory(self, group_id: str, *, timeout_s: float) -> Inventory | str:
        """The machines of a miner group, or why they are not known, within the deadline."""
        said = await self._said(group_id, b'{"op":"inventory"}', timeout_s)
        return said if isinstance(said, str) else read_inventory(said)

    async def _deliver(self, order: Order, timeout_s: float) -> GuardReport | str:
        said = await self._said(order.group_id, b'{"op":"deliver","order":' + dumps(order) + b"}", timeout_s)
        return said if isinstance(said, str) else read_answer(said)

    async def _said(self, group_id: str, request: bytes, timeout_s: float) -> bytes | str:
        """A guard's line, or why there is none."""
        group_dir = self._groups.get(group_id)
        if group_dir is None:
            return f"there is no group {group_id}"
        try:
            async with asyncio.timeout(timeout_s):
                return await _ask(group_dir, request) or _HUNG_UP
        except TimeoutError:
            return f"the guard of {group_id} did not answer within {timeout_s:g} s"
        except OSError as error:
            return f"the guard of {group_id} cannot be reached: {error}"


async def _poll(group_dir: Path, on_report: ReportListener) -> None:
    after = -1
    while True:
        try:
            line = await _ask(group_dir, _report_request(after))
        except OSError:
            line = b""
        answer = read_answer(line)
        if isinstance(answer, GuardReport):
            after = answer.version
            on_report(answer)
        else:
            after = -1
            await asyncio.sleep(RETRY_S)


def _report_request(after: int) -> bytes:
    longer = {"after_version": after, "timeout_s": POLL_S} if after >= 0 else {}
    return json.dumps({"op": "report"} | longer).encode()


async def _ask(group_dir: Path, request: bytes) -> bytes:
    """One request, one answer; empty if the guard hung up.

    A path may be longer than the kernel takes: the directory goes by descriptor.
    """
    directory = os.open(group_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        name = f"/proc/self/fd/{directory}/guard.sock"
        reader, writer = await asyncio.open_unix_connection(name, limit=LINE_LIMIT_BYTES)
    finally:
        os.close(directory)
    try:
        writer.write(request + b"\n")
        return await reader.readline()
    finally:
        writer.close()
