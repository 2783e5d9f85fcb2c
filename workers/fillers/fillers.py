"""The fillers of one node behind the port of a group's miners: each GPU that one may have is a machine that mines.

What the GPUs draw is told apart: their rest is the node's, what is above it, while a filler has a GPU, the filler's. So
a GPU that a filler has reads as idle, and nothing else may start there until it is seen to be free.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from scheduler.core.fillers import kind_of, slots
from scheduler.core.inventory import Ability, Condition, MachineDetail, MachineIdentity, ObservedPool
from scheduler.core.machines import MachineKind
from scheduler.core.orders import GpuReading, GroupSpec
from workers.clock import boottime_s
from workers.fillers.config import FillerConfig
from workers.fillers.driver import Driver
from workers.fillers.seat import Seat, Stage
from workers.miners.port import MinersNow
from workers.processes import Family, FamilyTable, ProcessTree

_END_S: Final = 15.0

log = logging.getLogger("barq.fillers")


class Fillers:
    """All of a node. Everything but the programs themselves is the guard's own thread."""

    def __init__(
        self,
        spec: GroupSpec,
        config: FillerConfig,
        directory: Path,
        attach: Callable[[list[str], ProcessTree], None],
    ) -> None:
        """Take over what an earlier guard left: it is ended."""
        self._attach, self._kind = attach, kind_of(spec)
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._seats: dict[str, Seat] = {}
        self._trees: dict[str, Family] = {}
        places = {slot.gpu_id: i for i, slot in enumerate(spec.gpus)}
        for slot, found in slots(spec):
            program = config.program(spec.group_id, slot.gpu_id, places[slot.gpu_id], directory)
            driver = Driver(program, self._raw_of(slot.gpu_id), self._loop)
            self._seats[slot.gpu_id] = Seat(spec.group_id, slot, found, driver, stuck_s=config.stuck_s)
        self._thread = threading.Thread(target=self._work, name="barq-fillers", daemon=True)
        self._thread.start()

    # -- the GPUs, as the guard reads them -------------------------------------------------------------------------

    @property
    def kind(self) -> MachineKind | None:
        """What the machines are like where they do not say otherwise; None = no GPU can be had."""
        return self._kind

    @property
    def filled(self) -> frozenset[str]:
        """GPUs on which nothing else may start."""
        return frozenset(gpu_id for gpu_id, seat in self._seats.items() if not seat.is_clear)

    @property
    def is_empty(self) -> bool:
        """Whether no program is left, as far as anybody can wait for that."""
        return all(seat.stage in (Stage.CLEAR, Stage.STUCK) for seat in self._seats.values())

    def why_not(self, gpu_ids: Collection[str]) -> str:
        """Why these GPUs are not free, in words; empty = they are, or nobody's filler is in the way."""
        held = [seat for g, seat in self._seats.items() if g in gpu_ids and not seat.is_clear]
        return "; ".join(f"filler {s.miner_id}: {s.why}" for s in held)

    def stuck(self, gpu_ids: Collection[str]) -> bool:
        """Whether any of these GPUs is not given back in time."""
        return any(seat.stage is Stage.STUCK for g, seat in self._seats.items() if g in gpu_ids)

    def hold(self, gpu_ids: Collection[str]) -> None:
        """Somebody has these GPUs, or is to have them: their fillers end at once."""
        for gpu_id, seat in self._seats.items():
            seat.hold(is_held=gpu_id in gpu_ids)

    def gone(self) -> frozenset[str]:
        """GPUs with no process of a filler left: to be asked before the GPUs are read."""
        self._follow_programs()
        return frozenset(gpu_id for gpu_id, seat in self._seats.items() if seat.driver.is_gone)

    def look(self, readings: Iterable[GpuReading], gone: Collection[str]) -> tuple[GpuReading, ...]:
        """Take the GPUs in as read, and tell of them what is not the fillers'."""
        return tuple(self._without_filler(reading, gone) for reading in readings)

    def caps_w(self) -> dict[str, float]:
        """The caps of GPUs that fillers have."""
        return {gpu_id: cap_w for gpu_id, seat in self._seats.items() if (cap_w := seat.cap_w) is not None}

    def _without_filler(self, reading: GpuReading, gone: Collection[str]) -> GpuReading:
        seat = self._seats.get(reading.gpu_id)
        if seat is None:
            return reading
        seat.look(reading, was_gone=reading.gpu_id in gone)
        if not seat.is_ours:
            return reading
        if (
            seat.stage is Stage.STUCK
        ):  # as one that does not answer: it counts at its cap, and is given to nobody
            return replace(reading, lost=True)
        sensors = (
            None if reading.sensors is None else replace(reading.sensors, pids=(), memory_used_bytes=None)
        )
        return replace(reading, draw_w=min(reading.draw_w, seat.model.idle_w), processes=0, sensors=sensors)

    def _raw_of(self, gpu_id: str) -> Callable[[], tuple[GpuReading, ...]]:
        return lambda: (self._seats[gpu_id].raw,)

    # -- as miners -------------------------------------------------------------------------------------------------

    def max_w(self) -> Mapping[str, float]:
        """Of each GPU, above its rest."""
        return {seat.miner_id: float(seat.range.most_w) for seat in self._seats.values()}

    def now(self) -> MinersNow:
        """All that are not taken out of the node. What they come to at rest is the node's own."""
        stay = (s.reading() for s in self._seats.values() if s.stage is not Stage.STUCK)
        return MinersNow(readings=tuple(stay))

    def set_targets(self, targets_w: Mapping[str, float]) -> None:
        """Start, trim or end programs. Raises KeyError for an unknown GPU."""
        seats = {seat.miner_id: seat for seat in self._seats.values()}
        for name, target_w in targets_w.items():
            seats[name].tell(target_w)

    def details(self) -> tuple[MachineDetail, ...]:
        """Each GPU as a machine."""
        return tuple(map(_detail, self._seats.values()))

    def alarms(self) -> tuple[str, ...]:
        """GPUs that are not given back, and programs that do not run."""
        stuck = [
            f"filler {s.miner_id} was ended, and {s.why}; the GPU counts at its cap and is given to nobody until it "
            "says that it is free: end what holds it"
            for g, s in self._seats.items()
            if s.stage is Stage.STUCK
        ]
        faulted = [f"filler {s.miner_id}: {s.driver.fault}" for s in self._seats.values() if s.driver.fault]
        return (*stuck, *faulted)

    def close(self) -> None:
        """End all programs: without a guard there are none."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(_END_S)

    # -- the programs ----------------------------------------------------------------------------------------------

    def _follow_programs(self) -> None:
        """Have the GPUs' driver know the processes of programs that were started: some see them only so."""
        for gpu_id, seat in self._seats.items():
            main, tree = seat.driver.main, self._trees.get(gpu_id)
            if main is not None and (tree is None or tree.root != main):
                tree = self._trees[gpu_id] = Family(main, FamilyTable(main.pid))
                self._attach([gpu_id], tree)
            if tree is not None:
                tree.refresh()
                if tree.is_gone:
                    del self._trees[gpu_id]

    def _work(self) -> None:
        try:
            self._loop.run_until_complete(self._run_all())
        finally:
            self._loop.close()

    async def _run_all(self) -> None:
        drivers = [seat.driver for seat in self._seats.values()]
        running = [asyncio.create_task(driver.run(self._ended)) for driver in drivers]
        await self._ended.wait()
        for driver in drivers:
            driver.wake()
        await asyncio.gather(*running, return_exceptions=True)


def _detail(seat: Seat) -> MachineDetail:
    reading, driver, idle_w = seat.driver.reading, seat.driver, seat.model.idle_w
    stuck = f"was ended, and {seat.why}; end what holds it" if seat.stage is Stage.STUCK else ""
    pools = () if reading is None else reading.pools
    return MachineDetail(
        miner_id=seat.miner_id,
        address=f"GPU {seat.slot.gpu_id}",
        condition=_condition(seat),
        identity=MachineIdentity(
            make="GPU",
            model=seat.model.name,
            firmware=Path(driver.filler.command[0]).name,
            pools=tuple(ObservedPool(url=p.url, user=p.user, is_active=p.is_active) for p in pools),
        ),
        abilities=(Ability.READ, Ability.SLEEP, Ability.WATTS),
        nameplate_w=idle_w + seat.range.most_w,
        rest_w=idle_w,
        target_w=idle_w + seat.told_w,
        draw_w=idle_w + seat.draw_w,
        is_metered=True,
        in_doubt_w=seat.counts_w if seat.stage is Stage.STUCK else 0.0,
        hashrate_th=None if reading is None else reading.hashrate_th,
        uptime_s=None if reading is None else reading.uptime_s,
        trouble=stuck or driver.fault,
        seen_boottime_s=None if seat.raw.lost else boottime_s(),
    )


def _condition(seat: Seat) -> Condition:
    if seat.stage is Stage.STUCK or (seat.driver.fault and not seat.driver.is_ready):
        return Condition.FAULTED
    if seat.raw.lost:
        return Condition.LOST
    if seat.stage is Stage.CLEAR:
        return Condition.ASLEEP
    return Condition.RUNNING if seat.driver.reading is not None else Condition.RAMPING
