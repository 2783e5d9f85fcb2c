"""A LAN of emulated machines in a process of its own: all four firmwares, PDUs, and a meter of its own.

`python -m benchmarks.miner_lan` is told over its standard input, one JSON object a line, and answers with one each:

    {"machines": n, "ramp_s": s, "pdus": "none" | "snmp" | "redfish" | "mixed", "folder": path}     first, once
        {"addresses": [...], "outlets": {...}}        where they are, and the outlets as group.json has them
    {"op": "break", "faults": {name: fault}}          these hang, drop connections, or say OK and do nothing
    {"op": "meter"}                                   {"samples": [[monotonic s, W], ...]}: all that it measured so far
    {"op": "state"}                                   {"draws_w": {name: W}, "off": [names], "cpu_s": s}

A machine falls from its nameplate to its rest in `ramp_s`. One that hangs or drops connections takes no order either:
its boards go on. One whose outlet is off draws nothing and answers nobody.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from scheduler.core.pdu_tables import TABLES
from scheduler.core.pdus import Feed, Outlets, Pdu
from tests.miners.emulator import Emulator, Fault
from tests.miners.lan import MIXED, address
from tests.miners.plant import Plant
from tests.outlets.benches import redfish_of, snmp_of
from tests.outlets.redfish_pdu import redfish_pdu
from tests.outlets.snmp_agent import snmp_agent
from tests.outlets.strip import Strip
from workers.wire import encode

NAMEPLATE_W: Final = 3400.0
REST_W: Final = 25.0
PER_PDU: Final = 24
METER_S: Final = 0.05
_RISE_W_PER_S: Final = 5000.0
_KINDS: Final = {"none": (), "snmp": ("snmp3",), "redfish": ("redfish",), "mixed": ("snmp3", "redfish")}


class FedStrip(Strip):
    """Outlets that feed machines."""

    def __init__(self, machines: Sequence[Emulator]) -> None:
        self.machines = {str(number): machine for number, machine in enumerate(machines, 1)}
        super().__init__(draws_w=dict.fromkeys(self.machines, NAMEPLATE_W))

    def draw_w(self, outlet: str) -> float:
        return self.machines[outlet].plant.draw_w() if self.is_on(outlet) else 0.0

    def happen(self) -> None:
        super().happen()
        for outlet in self.off:
            self.machines[outlet].breaks(Fault.HANGS, Fault.DEAF)


class Hall:
    """The machines, what feeds them, and the meter of their feeder."""

    def __init__(self, machines: Sequence[Emulator]) -> None:
        self.machines = {address(machine): machine for machine in machines}
        self.strips: list[FedStrip] = []
        self.samples: list[tuple[float, float]] = []

    @property
    def off(self) -> list[str]:
        """Machines whose outlet is off."""
        return [address(s.machines[outlet]) for s in self.strips for outlet in s.off]

    def draws_w(self) -> dict[str, float]:
        """What each of them truly draws."""
        dark = set(self.off)
        return {name: 0.0 if name in dark else m.plant.draw_w() for name, m in self.machines.items()}

    async def measure(self) -> None:
        """For ever."""
        while True:
            self.samples.append((time.monotonic(), sum(self.draws_w().values())))
            await asyncio.sleep(METER_S)

    def obey(self, told: dict[str, Any]) -> dict[str, Any]:
        """What the benchmark asks."""
        match told["op"]:
            case "break":
                for name, fault in told["faults"].items():
                    self.machines[name].breaks(Fault(fault), Fault.DEAF)
                return {}
            case "meter":
                return {"samples": self.samples}
            case _:
                return {"draws_w": self.draws_w(), "off": self.off, "cpu_s": time.process_time()}


@asynccontextmanager
async def pdus_of(
    machines: Sequence[Emulator], kinds: Sequence[str], folder: Path
) -> AsyncIterator[tuple[Outlets, list[FedStrip]]]:
    """Each machine at an outlet, `PER_PDU` of them at each PDU, until the block ends."""
    rows = [machines[at : at + PER_PDU] for at in range(0, len(machines), PER_PDU)] if kinds else []
    strips, pdus, feeds = [FedStrip(row) for row in rows], list[Pdu](), list[Feed]()
    async with AsyncExitStack() as stack:
        for number, strip in enumerate(strips):
            pdu = await _pdu(stack, kinds[number % len(kinds)], strip, folder)
            pdus.append(replace(pdu, name=f"pdu-{number}"))
            feeds += [
                Feed(machine=address(m), pdu=f"pdu-{number}", outlet=o) for o, m in strip.machines.items()
            ]
        yield Outlets(pdus=tuple(pdus), feeds=tuple(feeds)), strips


async def _pdu(stack: AsyncExitStack, kind: str, strip: Strip, folder: Path) -> Pdu:
    if kind == "redfish":
        return redfish_of(stack.enter_context(redfish_pdu(strip)).url, folder)
    agent = await stack.enter_async_context(snmp_agent(TABLES["apc"], strip))
    return snmp_of(agent.port, kind, folder)


async def _serve(read: Callable[[], Any]) -> None:
    told = json.loads(await read())
    fall_w_per_s = (NAMEPLATE_W - REST_W) / max(told["ramp_s"], 1e-3)
    machines = [
        MIXED[number % len(MIXED)](
            Plant(clock=time.monotonic, fall_w_per_s=fall_w_per_s, rise_w_per_s=_RISE_W_PER_S)
        )
        for number in range(told["machines"])
    ]
    for machine in machines:
        await machine.start()
    hall = Hall(machines)
    async with pdus_of(machines, _KINDS[told["pdus"]], Path(told["folder"])) as (outlets, strips):
        hall.strips = strips
        _say(encode({"addresses": [*hall.machines], "outlets": outlets}))
        meter = asyncio.create_task(hall.measure())
        gc.freeze()
        while line := await read():
            _say(json.dumps(hall.obey(json.loads(line))).encode())
        meter.cancel()


def _say(answer: bytes) -> None:
    sys.stdout.buffer.write(answer + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await _serve(reader.readline)


if __name__ == "__main__":
    asyncio.run(main())
