"""The cluster as the loop sees it: orders go out through Ray, reports come in, and Ray may come and go.

Ray's driver dies with Ray, so it is not in this process: `RayCluster` keeps a child, `scheduler.bridge`, starts it
again when it ends, and answers "why not" while there is none. Nothing here waits longer than the deadline given.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from scheduler.core.inventory import Inventory
from scheduler.core.orders import GuardReport, Order
from scheduler.ports import ReportListener
from scheduler.wire import WireError, dumps, loads

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.2
LAST_RETRY_S = 5.0
HEALTHY_AFTER_S = 30.0
DEADLINE_MARGIN_S = 0.25  #: the bridge keeps the deadline; this is for a bridge that hangs
END_S = 2.0  #: for the bridge to end by itself
LINE_LIMIT_BYTES = 16 * 1024 * 1024  #: a report of a large group is one line


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardAnswer:
    """One line from a guard: a report, with a refusal if the order was none for it, or what went wrong."""

    refusal: str | None = None
    report: GuardReport | None = None
    error: str | None = None


def read_answer(line: bytes | str) -> GuardReport | str:
    """The report in a guard's answer, or why there is none. A refusal shows in the report: its fence stays."""
    try:
        answer = loads(GuardAnswer, line)
    except WireError as error:
        return str(error)
    if answer.refusal is not None:
        log.warning("order refused: %s", answer.refusal)
    if answer.report is not None:
        watts = (answer.report.draw_w, answer.report.guessed_w)
        return answer.report if all(map(math.isfinite, watts)) else "the guard reports a draw without end"
    return answer.error or answer.refusal or "the guard's answer holds neither a report nor an error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came back: a guard's line, or why there is none."""

    text: str
    by_guard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryAnswer:
    """One line from a guard that was asked for its machines."""

    inventory: Inventory | None = None
    error: str | None = None


def read_inventory(line: bytes | str) -> Inventory | str:
    """The inventory in a guard's answer, or why there is none."""
    try:
        answer = loads(InventoryAnswer, line)
    except WireError as error:
        return str(error)
    return answer.inventory or answer.error or "the guard's answer holds neither an inventory nor an error"


class RayCluster:
    """Implements the ports `Cluster` and `InventorySource` over the Ray head at one address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.groups: frozenset[str] = frozenset()  #: whose agents Ray knows
        self._listener: ReportListener = _ignore
        self._bridge: asyncio.subprocess.Process | None = None
        self._missing = "the bridge to Ray is starting"  #: why there is none, while there is none
        self._ready = False
        self._pending: dict[int, asyncio.Future[Said]] = {}
        self._ids = itertools.count(1)
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, address: str) -> Self:
        """A cluster whose bridge is being started; it connects in the background, however long Ray takes."""
        cluster = cls(address)
        cluster._keeping = asyncio.create_task(cluster._keep_bridge())
        return cluster

    def listen(self, on_report: ReportListener) -> None:
        """Have unasked reports handed over as they arrive, at least one a second from each group."""
        self._listener = on_report

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Send all in parallel. Per group: the report that came back, or why none did, within the deadline."""
        answers = await asyncio.gather(*(self._deliver(order, timeout_s) for order in orders))
        return {order.group_id: answer for order, answer in zip(orders, answers, strict=True)}

    async def close(self) -> None:
        """End the bridge; agents and guards stay."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self._lose("the connection to the cluster is closed")

    # -- deliveries ------------------------------------------------------------------------------------------------

    async def inventory(self, group_id: str, *, timeout_s: float) -> Inventory | str:
        """The machines of a miner group, or why they are not known, within the deadline. Read beside the loop."""
        said = await self._ask({"op": "inventory", "group_id": group_id}, timeout_s)
        return await asyncio.to_thread(read_inventory, said.text) if said.by_guard else said.text

    async def _deliver(self, order: Order, timeout_s: float) -> GuardReport | str:
        request = {"op": "deliver", "group_id": order.group_id, "order": dumps(order).decode()}
        said = await self._ask(request, timeout_s)
        return read_answer(said.text) if said.by_guard else said.text

    async def _ask(self, request: Mapping[str, object], timeout_s: float) -> Said:
        if not self._ready or self._bridge is None or self._bridge.stdin is None:
            return Said(text=self._missing)
        number = next(self._ids)
        answer = self._pending[number] = asyncio.get_running_loop().create_future()
        whole = {"id": number, "timeout_s": timeout_s, **request}
        self._bridge.stdin.write(json.dumps(whole).encode() + b"\n")
        try:
            return await asyncio.wait_for(answer, timeout_s + DEADLINE_MARGIN_S)
        except TimeoutError:
            return Said(text=f"the bridge to Ray did not answer within {timeout_s:g} s")
        finally:
            self._pending.pop(number, None)

    def _fail_pending(self, why: str) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_result(Said(text=why))

    # -- the bridge ------------------------------------------------------------------------------------------------

    async def _keep_bridge(self) -> None:
        """Start the bridge, and start it again when it ends, sooner after a long life than after a short one."""
        retry_s = FIRST_RETRY_S
        while True:
            started_s = time.monotonic()
            try:
                how = f"ended with status {await self._run_bridge()}"
            except OSError as error:  # the host has no memory or no descriptors for it now
                how = f"cannot be started: {error}"
            if time.monotonic() - started_s > HEALTHY_AFTER_S:
                retry_s = FIRST_RETRY_S
            self._lose(f"the bridge to Ray at {self.address} {how}; it is started again")
            log.warning("%s in %.1f s", self._missing, retry_s)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _run_bridge(self) -> int:
        """One life of the bridge; its exit status."""
        command = [sys.executable, "-P", "-m", "scheduler.bridge", "--address", self.address]
        pipe = asyncio.subprocess.PIPE
        self._bridge = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, limit=LINE_LIMIT_BYTES
        )
        try:
            await self._hear(self._bridge)
            return await self._bridge.wait()
        finally:
            await asyncio.shield(_end(self._bridge))

    async def _hear(self, bridge: asyncio.subprocess.Process) -> None:
        while bridge.stdout is not None and not bridge.stdout.at_eof():
            line = b""
            try:
                if line := await bridge.stdout.readline():
                    self._take(json.loads(line))
            except (ValueError, LookupError) as error:
                # A line that is too long costs what it said: what is left of it is no JSON.
                log.error("the bridge said %.200r: %s", line, error)  # noqa: TRY400 - a trace says no more

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"event": "report", "group_id": str(group_id), "answer": str(answer)}:
                self._take_report(group_id, read_answer(answer))
            case {"event": "groups", "groups": list(groups)}:
                self.groups = frozenset(map(str, groups))
                log.info("agents: %s", ", ".join(sorted(self.groups)) or "none")
            case {"event": "ray", "up": bool(up)}:
                self._ready = up
            case {"id": int(number), "ok": True, "answer": str(answer)}:
                self._settle(number, Said(text=answer, by_guard=True))
            case {"id": int(number), "ok": False, "error": str(error)}:
                self._settle(number, Said(text=error))
            case _:
                raise LookupError("no such message")

    def _take_report(self, group_id: str, report: GuardReport | str) -> None:
        if isinstance(report, GuardReport):
            self._listener(report)
        else:
            log.warning("report of %s dropped: %s", group_id, report)

    def _settle(self, number: int, answer: Said) -> None:
        waiting = self._pending.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _lose(self, why: str) -> None:
        self._ready, self._bridge, self._missing, self.groups = False, None, why, frozenset()
        self._fail_pending(why)


def _ignore(_report: GuardReport) -> None:
    """Nobody listens yet."""


async def _end(bridge: asyncio.subprocess.Process) -> None:
    """End one bridge: it goes when its stdin does; if not, it is killed."""
    if bridge.stdin is not None:
        bridge.stdin.close()
    try:
        await asyncio.wait_for(bridge.wait(), END_S)
    except TimeoutError:
        bridge.kill()
        await bridge.wait()
