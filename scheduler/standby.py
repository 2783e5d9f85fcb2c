"""Switches machines off that are to be in standby, and on again, through their controllers; outside of every tick.

It stands between the loop and the guards: what guards of machines that may sleep report goes through it, and while one
is off it answers in its place, so that the loop sees a node in standby like any other. What is desired is compared with
what the controllers show, again and again; losing this costs watts that could have been saved, never safety.

Never switched: the machine that this runs on, nodes without `standby` in their `bmcs`, and whoever has not agreed to
the newest order, has anything left, or is under an emergency stop. Only what was switched off here is switched on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scheduler.berth import Berth, Stage, Step
from scheduler.connections.bmc_options import BmcSettings, StandbySettings, bmc_of
from scheduler.core.orders import GroupKind, GroupSpec, GuardReport, Order
from scheduler.errors import HostError
from scheduler.hosts import Hosts
from scheduler.ports import Clock, Cluster, ReportListener
from scheduler.wire import WireError, dumps, loads

log = logging.getLogger(__name__)

TURN_S: Final = 1.0  #: nodes are heard at least once a second
LOOK_S: Final = 5.0  #: between looks at the state of a machine
MEMORY: Final = "asleep"  #: folder: what was switched off, and not on again yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """The site as far as switching goes."""

    bmcs: Sequence[BmcSettings]
    here: Collection[str]  #: addresses of this machine
    is_member: Callable[[str], bool]  #: whether such a node belongs to the site

    def sleeps(self, spec: GroupSpec) -> StandbySettings | None:
        """How a node goes to standby, None if it never does."""
        is_here = spec.address in self.here or spec.kind is not GroupKind.NODE
        bmc = None if is_here or not self.is_member(spec.group_id) else bmc_of(self.bmcs, spec.group_id)
        return None if bmc is None else bmc.standby


class StandbyCluster:
    """Implements the port `Cluster` over another one."""

    def __init__(self, cluster: Cluster, hosts: Hosts, yard: Yard, *, clock: Clock, folder: Path) -> None:
        self._cluster, self._hosts, self._yard, self._clock = cluster, hosts, yard, clock
        self._folder = folder / MEMORY
        self._listener: ReportListener = _ignore
        self._berths: dict[str, Berth] = {}
        self._looked_s: dict[str, float] = {}
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._remembered: set[str] = set()  #: on the disk
        self._recall()

    def listen(self, on_report: ReportListener) -> None:
        """Have unasked reports handed over as they arrive, of machines that are off too."""
        self._listener = on_report
        self._cluster.listen(self._hear)

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """Send all in parallel. A machine that is off, or on its way, is answered for here."""
        now_s = self._clock.monotonic_s()
        taken = {o.group_id for o in orders if (b := self._berths.get(o.group_id)) and b.take(o, now_s)}
        others = [o for o in orders if o.group_id not in taken]
        answers = await self._cluster.deliver(others, timeout_s=timeout_s)
        for gid, answer in answers.items():
            if isinstance(answer, GuardReport):
                answers[gid] = self._handed_on(answer) or self._spoken(gid) or "it is being switched off"
        return answers | {gid: self._spoken(gid) or "its controller is not known any more" for gid in taken}

    async def run(self) -> None:
        """Look after all machines that may sleep, and speak for those that do, until cancelled."""
        try:
            while True:
                for gid in [g for g in self._berths if not self._yard.is_member(g)]:
                    self._drop(gid)
                for gid in self._berths.keys() - self._keeping.keys():
                    self._keeping[gid] = asyncio.get_running_loop().create_task(self._keep(gid))
                for gid in list(self._berths):
                    if (report := self._spoken(gid)) is not None:
                        self._listener(report)
                await self._clock.sleep_s(TURN_S)
        finally:
            keeping, self._keeping = list(self._keeping.values()), {}
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    async def close(self) -> None:
        """End the connection. Machines stay as they are."""
        await self._cluster.close()

    # -- reports ---------------------------------------------------------------------------------------------------

    def _hear(self, report: GuardReport) -> None:
        if (told := self._handed_on(report)) is not None:
            self._listener(told)

    def _handed_on(self, report: GuardReport) -> GuardReport | None:
        """The report as the loop is to see it, None while its node is spoken for."""
        gid = report.spec.group_id
        settings = self._yard.sleeps(report.spec)
        if settings is None:
            return report
        berth = self._berths.get(gid)
        if berth is None:
            berth = self._berths[gid] = Berth(settings, now_s=self._clock.monotonic_s())
        return berth.hear(report, self._clock.monotonic_s())

    def _spoken(self, gid: str) -> GuardReport | None:
        berth = self._berths.get(gid)
        return None if berth is None else berth.speaks(self._clock.monotonic_s())

    # -- one machine -----------------------------------------------------------------------------------------------

    async def _keep(self, gid: str) -> None:
        """See to one machine: one whose controller hangs holds up no other."""
        while gid in self._berths:
            try:
                await self._see_to(gid, self._berths[gid])
            except Exception:
                log.exception("%s: seeing to its power failed; it is tried again", gid)
            await self._clock.sleep_s(TURN_S)

    async def _see_to(self, gid: str, berth: Berth) -> None:
        if berth.may_leave(self._clock.monotonic_s()) and berth.last is not None:
            self._remember(gid, berth.last)
            berth.leave(self._clock.monotonic_s())
        elif berth.stage is Stage.AWAKE and gid in self._remembered:
            self._forget(gid)
        if berth.stage is Stage.AWAKE and not berth.barred:
            return
        await self._look(gid, berth)
        if (step := berth.step(self._clock.monotonic_s())) is not None:
            await self._tell(gid, berth, step)

    async def _look(self, gid: str, berth: Berth) -> None:
        host, now_s = self._hosts.of(gid), self._clock.monotonic_s()
        if host is None or now_s - self._looked_s.get(gid, float("-inf")) < LOOK_S:
            return
        self._looked_s[gid] = now_s
        try:
            berth.see(await host.state(), self._clock.monotonic_s())
        except HostError as error:
            log.warning("%s: whether it is on cannot be seen: %s", gid, error)

    async def _tell(self, gid: str, berth: Berth, step: Step) -> None:
        host = self._hosts.of(gid)
        if host is None:
            return
        log.info("%s: %s", gid, step)
        is_accepted = True
        try:
            await (host.turn_on() if step is Step.TURN_ON else host.turn_off(force=step is Step.CUT))
        except HostError as error:
            is_accepted = False
            log.warning("%s: cannot %s: %s", gid, step, error)
        berth.told(step, self._clock.monotonic_s(), accepted=is_accepted)
        self._looked_s.pop(gid, None)

    # -- what outlives this process --------------------------------------------------------------------------------

    def _path(self, gid: str) -> Path:
        return self._folder / f"{gid}.json"

    def _remember(self, gid: str, last: GuardReport) -> None:
        """Before it is switched off: only what is known to sleep is woken. Raises OSError, and then it is not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{gid}.tmp"
        fresh.write_bytes(dumps(last))
        fresh.replace(self._path(gid))
        self._remembered.add(gid)

    def _forget(self, gid: str) -> None:
        self._path(gid).unlink(missing_ok=True)
        self._remembered.discard(gid)

    def _recall(self) -> None:
        for path in sorted(self._folder.glob("*.json")):
            try:
                last = loads(GuardReport, path.read_bytes())
            except (OSError, WireError) as error:
                log.warning("%s: %s; the machine is not woken by itself any more", path, error)
                continue
            settings = self._yard.sleeps(last.spec)
            if settings is not None:
                self._remembered.add(path.stem)
                self._berths[path.stem] = Berth(settings, last=last, now_s=self._clock.monotonic_s())

    def _drop(self, gid: str) -> None:
        """It left the site: it stays as it is, and is nobody's here any more."""
        del self._berths[gid]
        self._forget(gid)
        if (task := self._keeping.pop(gid, None)) is not None:
            task.cancel()


def _ignore(_: GuardReport) -> None:
    """Nobody listens yet."""
