"""The guard of one device group: `python -m workers.guard --config group.json`.

A plain process outside of everything that may fail: it needs no scheduler, no Ray and no network to keep its group
within what it may draw. Every `poll_s` it looks at its devices and attempts, works out what stands (the newest order,
or the fallback once its lease is over), and brings that about. It remembers orders on the disk before it acts on them.

It may die at any moment: caps, miners and supervisors go on as they are, and the next guard adopts them.
SIGTERM ends it just so; the `stop` operation ends what runs first.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from barq.contract import write_atomically
from scheduler.core.enforce import Commands, enforce, gist
from scheduler.core.entitlement import idle_w
from scheduler.core.estop import EmergencyStop
from scheduler.core.inventory import Inventory
from scheduler.core.jobs import Phase
from scheduler.core.lease import GuardMemory, Refusal, Standing, standing
from scheduler.core.orders import AttemptOrder, GpuReading, GuardReport, Order
from scheduler.core.presence import LEAVING, Seen, without_lost
from workers.alarms import MinerWatch, attempt_alarms, gpu_alarms, group_alarms
from workers.attempts import Attempts, Surroundings
from workers.clock import boot_id, boottime_s
from workers.devices import Devices
from workers.drivers import open_fillers, open_gpus, open_miners
from workers.forkserver import ForkServer
from workers.found_caps import FoundCaps
from workers.group_config import ConfigError, GroupConfig, load
from workers.guard_socket import serve
from workers.inventories import InventoryKeeper
from workers.job_storage import storage_of
from workers.memory import DurableMemory
from workers.processes import identify
from workers.reporting import Reporter
from workers.wire import encode

LOCK_PATIENCE_S = 5.0
_LOCK_PAUSE_S = 0.05

log = logging.getLogger("barq.guard")


class Guard:
    """Keeps one group within what it may draw."""

    def __init__(self, config: GroupConfig, directory: Path, fork_server: ForkServer) -> None:
        """Take over what is found in `directory`. Raises OSError."""
        self._config = config
        spec = config.spec
        fresh = GuardMemory(group_id=spec.group_id, boot_id=boot_id(), idle_w=idle_w(spec))
        self._memory = DurableMemory(directory / "memory.json", fresh)
        gpus = open_gpus(config, directory)
        fillers = open_fillers(config, directory, gpus)
        self._devices = Devices(
            gpus,
            open_miners(config, directory),
            machine=spec.machine if fillers is None else fillers.kind,
            pace=config.lan.pace if config.lan else None,
            fillers=fillers,
            found=FoundCaps(directory / "found-caps.json"),
        )
        self._inventories = InventoryKeeper(spec.group_id, self._devices.machine_details)
        self._storage = storage_of(spec, config.jobs_dir, config.own_jobs_dir)
        self._attempts = Attempts(
            Surroundings(
                directory=directory / "attempts",
                guard_lock=directory / "guard.lock",
                config=config,
                fork_server=fork_server,
                gpus=gpus,
                storage=self._storage,
            )
        )
        self._read: tuple[GpuReading, ...] = ()
        self._miner_watch = MinerWatch()
        self._reporter = Reporter()
        self._stop_grace_s: float | None = None
        self._enforced: tuple[tuple[object, ...], Commands] | None = None  #: what was gone by, and told
        self._attempts.adopt()
        self._keep_storage()
        self.step()

    @property
    def report(self) -> GuardReport:
        """What is observed, as of the last step."""
        return self._reporter.report

    @property
    def inventory(self) -> Inventory:
        """The machines of a miner group, one by one."""
        return self._inventories.inventory

    async def report_after(self, version: int, *, timeout_s: float) -> GuardReport:
        """The report as soon as it is newer than `version`, or after `timeout_s`."""
        return await self._reporter.after(version, timeout_s=timeout_s)

    def deliver(self, order: Order) -> Refusal | None:
        """Accept an order and act on it at once, or say why not. Raises OSError if it cannot be remembered."""
        _check_names(order.attempts)
        refusal = self._memory.accept(order, now_boottime_s=boottime_s())
        if refusal is None:
            log.info("order %s: %.0f W, %d attempts", order.fence, order.entitlement_w, len(order.attempts))
            self._attempts.forget(o.attempt_id for o in order.attempts)
        self.step()
        return refusal

    def engage(self, stop: EmergencyStop) -> None:
        """Fall back at once, and stay so until an order releases the stop.

        Raises OSError if it cannot be remembered over a restart; it holds until then all the same.
        """
        log.warning("emergency stop by %s: %s", stop.by, stop.reason)
        try:
            self._memory.latch(stop, now_boottime_s=boottime_s())
        finally:
            self.step()

    async def stop(self, grace_s: float) -> None:
        """End everything: saved within `grace_s`, or killed; miners rest, fillers end. Returns when nothing is left."""
        log.info("stopping: all attempts save and exit within %g s", grace_s)
        self._stop_grace_s = grace_s
        self.step()
        fillers = self._devices.fillers
        while self._attempts.present or not (fillers is None or fillers.is_empty):
            await self.report_after(self.report.version, timeout_s=1.0)

    def close(self) -> None:
        """Let go of devices; caps, miners and attempts go on as they are, if not everything was ended before."""
        if self._stop_grace_s is not None and not self._attempts.present and self._memory.now.stop is None:
            self._put_caps_back()
        self._devices.close()

    def _put_caps_back(self) -> None:
        try:
            self._devices.put_caps_back()
        except OSError as error:
            log.warning("GPUs stay at the caps that they have: %s", error)

    def _keep_storage(self) -> None:
        """Adopted attempts stay with the directories that they were started with."""
        if self._storage is not None:
            for attempt in self._attempts.present:
                self._storage.keep(attempt.order.launch.checkpoint_dir)

    def _storage_alarms(self) -> list[str]:
        if self._storage is None:
            return []
        complaint = self._storage.look(is_busy=bool(self._attempts.present))
        return [complaint] if complaint else []

    def step(self) -> None:
        """Look, decide, act, look again if that changed a device, and tell."""
        self._attempts.look()
        order = self._memory.now.order
        self._devices.wish(order.miner_wishes if order is not None else ())
        stands = self._standing()
        self._make_way(stands)
        seen = self._seen()
        commands = self._commands(stands, seen)
        if self._act(commands, seen):
            seen = self._seen()
        self._reporter.update(self._observed(stands, seen, commands.over_w))
        self._attempts.clear_away()
        self._attempts.get_ready(gpus=len(seen.spec.gpus))

    def _make_way(self, stands: Standing) -> None:
        """End fillers on GPUs that any attempt has, or is to have."""
        if self._devices.fillers is not None:
            ordered = [g for order in stands.attempts for g in order.gpu_ids]
            present = [g for a in self._attempts.present for g in a.order.gpu_ids]
            self._devices.fillers.hold({*ordered, *present})

    def _commands(self, stands: Standing, seen: Seen) -> Commands:
        """What `enforce` says; the same as the last time while nothing is new, which is most of the time."""
        now = gist(stands, seen)
        if self._enforced is None or self._enforced[0] != now:
            self._enforced = (now, enforce(stands, seen))
        return self._enforced[1]

    def _standing(self) -> Standing:
        stands = standing(
            self._memory.now, now_boottime_s=boottime_s(), save_after_s=self._config.save_after_s
        )
        if self._memory.now.order is None:
            stands = replace(stands, attempts=tuple(_unremembered(a.order) for a in self._attempts.present))
        if self._stop_grace_s is None:
            return stands
        return replace(
            stands,
            in_fallback=True,
            miners_target_w=0.0,
            attempts=tuple(_sent_home(o) for o in stands.attempts),
        )

    def _seen(self) -> Seen:
        self._read = self._devices.gpu_readings()
        present = tuple(a.present for a in self._attempts.present)
        spec, gpus = without_lost(self._config.spec, self._read, present)
        spec, miners = self._devices.miners_now(spec)
        return Seen(
            spec=spec,
            gpus=gpus,
            miners=miners,
            attempts=present,
            ended=self._attempts.ended_ids,
            cap_floors_w=self._devices.cap_floors_w(),
            filled=frozenset() if self._devices.fillers is None else self._devices.fillers.filled,
        )

    def _act(self, commands: Commands, seen: Seen) -> bool:
        """Carry the commands out; True if what was seen is not so any more.

        Attempts are told first: they take their time, and a device may take its own for each cap.
        """
        self._attempts.tell(commands.phases, grace_s=self._stop_grace_s)
        changed = self._devices.set_miners(commands.miners_target_w, seen.miners)
        changed |= self._devices.set_caps(dict(commands.caps_w), seen.gpus)
        for order in commands.starts:
            self._attempts.start(order)
        self._refuse_impossible(seen)
        return changed or bool(commands.starts)

    def _refuse_impossible(self, seen: Seen) -> None:
        """What is to run on GPUs that are not here, or lost, will never start: say so."""
        order = self._memory.now.order
        known = seen.ended | {a.order.attempt_id for a in self._attempts}
        fillers = self._devices.fillers
        for wanted in order.attempts if order is not None else ():
            missing = [gpu_id for gpu_id in wanted.gpu_ids if not seen.has(gpu_id)]
            if not missing or wanted.attempt_id in known:
                continue
            is_filled = fillers is not None and fillers.stuck(missing)
            why = fillers.why_not(missing) if fillers is not None and is_filled else ""
            self._attempts.refuse(
                wanted, why or f"this node has no GPU {', '.join(missing)}", is_passing=True
            )

    def _is_stuck(self, gpu: GpuReading) -> bool:
        """Whether it answers, and a filler keeps it: that is told by an alarm of its own."""
        fillers = self._devices.fillers
        return fillers is not None and fillers.stuck((gpu.gpu_id,))

    def _waits(self) -> dict[str, str]:
        """What attempts that did not start yet wait for, in words, by id."""
        order, fillers = self._memory.now.order, self._devices.fillers
        if order is None or fillers is None:
            return {}
        return {a.attempt_id: why for a in order.attempts if (why := fillers.why_not(a.gpu_ids))}

    def _observed(self, stands: Standing, seen: Seen, over_w: float) -> GuardReport:
        memory = self._memory.now
        order = memory.order
        alarms = [self._memory.damage] if self._memory.damage else []
        alarms += (
            self._storage_alarms()
            + gpu_alarms(self._config.spec, [r for r in self._read if not self._is_stuck(r)])
            + group_alarms(seen, over_w)
            + self._miner_watch.look(seen.miners, time.monotonic())
            + [*self._devices.alarms()]
        )
        return GuardReport(
            spec=seen.spec,
            boot_id=memory.boot_id,
            boottime_s=boottime_s(),
            version=0,
            accepted=memory.seen,
            expires_boottime_s=0.0 if order is None else order.expires_boottime_s,
            entitlement_w=memory.idle_w if order is None else order.entitlement_w,
            fallback=() if order is None else order.fallback,
            in_fallback=stands.in_fallback,
            draw_w=seen.draw_w(),
            guessed_w=self._devices.guessed_w,
            gpus=self._read,
            miners=seen.miners,
            attempts=self._attempts.facts(() if order is None else order.attempts, self._waits()),
            alarms=(*alarms, *attempt_alarms(self._attempts)),
            storage="" if self._storage is None else self._storage.storage,
            stop=memory.stop,
            inventory_version=self._inventories.version,
        )


def _sent_home(order: AttemptOrder) -> AttemptOrder:
    if order.phase in LEAVING:
        return order
    return replace(order, phase=Phase.SAVE_EXIT, reason="the site is being stopped")


def _unremembered(order: AttemptOrder) -> AttemptOrder:
    """One that runs, and nobody knows what was ordered of it: it saves, for nothing may go on, and leaves."""
    return replace(
        order, phase=Phase.SAVE_EXIT, reason="this node's guard lost its memory of what was ordered"
    )


def _check_names(orders: Sequence[AttemptOrder]) -> None:
    """Refuse an attempt whose id cannot name a directory."""
    for order in orders:
        name = order.attempt_id
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            raise ValueError(f"attempts.attempt_id={name!r}: give a plain name, like site-12.1")


async def run(guard: Guard, directory: Path, poll_s: float) -> None:
    """Serve and step until told to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ended.set)
    async with serve(guard, directory / "guard.sock", ended):
        while not ended.is_set():
            guard.step()
            try:
                await asyncio.wait_for(ended.wait(), poll_s)
            except TimeoutError:
                continue


def take_lock(path: Path) -> int:
    """Become the only guard of this directory, for as long as this process lives. Raises BlockingIOError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # perhaps only a supervisor that looks whether there is a guard
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_LOCK_PAUSE_S)
        else:
            return descriptor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the guard of the group whose group.json is named; 2 if it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m workers.guard", description="keep one device group within limits"
    )
    parser.add_argument("--config", type=Path, required=True, help="the group's group.json")
    path: Path = parser.parse_args(arguments).config.absolute()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    try:
        config = load(path)
    except (ConfigError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - the message says it all
        return 2
    fork_server = ForkServer()  # before the lock and the event loop, so that supervisors inherit neither
    try:
        take_lock(path.parent / "guard.lock")
    except BlockingIOError:
        log.error("another guard looks after %s", path.parent)  # noqa: TRY400
        return 2
    write_atomically(path.parent / "guard.pid", encode(identify(os.getpid())), durable=False)
    asyncio.run(_main(config, path.parent, fork_server))
    fork_server.close()
    return 0


async def _main(config: GroupConfig, directory: Path, fork_server: ForkServer) -> None:
    guard = Guard(config, directory, fork_server)
    try:
        await run(guard, directory, config.poll_s)
    finally:
        guard.close()


if __name__ == "__main__":
    raise SystemExit(main())
