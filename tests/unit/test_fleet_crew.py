"""Who talks to the machines of a LAN: the newest order goes first, and none is broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from tests.unit.test_fleet_unit import CONFIG, sleeps, unit, works
from workers.clock import boottime_s
from workers.fleet.crew import Crew
from workers.fleet.roster import Roster
from workers.miners.port import MachineReading, Miner

PATIENCE_S = 60.0


class Slow:
    """A machine that takes its time for each order."""

    address = "10.1.0.7:4028"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.asked: list[str] = []
        self.answers = asyncio.Event()

    async def sleep(self) -> None:
        await self._order("sleep")

    async def wake(self) -> None:
        await self._order("wake")

    async def set_target_w(self, target_w: float) -> float:
        return target_w

    async def read(self) -> MachineReading:
        return works() if self.done[-1:] == ["wake"] else sleeps()

    async def close(self) -> None: ...

    async def _order(self, what: str) -> None:
        self.asked.append(what)
        await self.answers.wait()
        self.done.append(what)


class World:
    """One machine that sleeps, and those who talk to it."""

    def __init__(self) -> None:
        self.miner = Slow()
        self.unit = unit()
        self.unit.miner = cast("Miner", self.miner)
        self.unit.hears(sleeps(), boottime_s())
        self.unit.judge(boottime_s())
        self._roster = Roster(CONFIG)
        self._roster.units["m7"] = self.unit
        self.crew = Crew(CONFIG, self._roster)

    def tell(self, target_w: float) -> None:
        self.crew.go(self._roster.want({"m7": target_w}, boottime_s()))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.crew.tick()
                await asyncio.sleep(0.01)


async def test_an_order_on_its_way_is_heard_out_and_the_newest_follows() -> None:
    """A broken call may leave a session behind that bars the next order; what is told next is what counts."""
    world = World()
    world.tell(world.unit.max_w)
    await world.until(lambda: world.miner.asked == ["wake"])
    world.tell(0.0)
    world.tell(world.unit.max_w)
    world.tell(0.0)
    await asyncio.sleep(0)
    world.miner.answers.set()
    await world.until(lambda: world.miner.done == ["wake", "sleep"])
    await world.crew.close()


async def test_who_ends_hears_out_what_is_on_its_way() -> None:
    """The next guard finds no session of the one before."""
    world = World()
    world.tell(world.unit.max_w)
    await world.until(lambda: world.miner.asked == ["wake"])
    asyncio.get_running_loop().call_later(0.05, world.miner.answers.set)
    await world.crew.close()
    assert world.miner.done == ["wake"]
