"""Fetches the machines of miner groups when their guards have news of them, and has them kept on record.

All of it runs beside the loop: the loop never waits for a guard's list, nor for the database that it goes to. Whatever
goes wrong here costs a look at machines, never a watt.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Final

from scheduler.book_threads import in_book_thread
from scheduler.core.entitlement import has_miners
from scheduler.core.identities import without_secrets
from scheduler.core.inventory import Inventory
from scheduler.core.partners import HOUSE, with_house
from scheduler.errors import StaleEpoch, StoreError
from scheduler.ports import Clock, InventorySource, MachineBook
from scheduler.records import KeptInventory
from scheduler.view import View

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
LEAST_GAP_S: Final = 2.0
"""Between two fetches of a group; of a large one `GAP_PER_MACHINE_S` for each machine, if that is longer."""
GAP_PER_MACHINE_S: Final = 0.005
MOST_NAMED: Final = 3
FETCH_S: Final = 5.0
RENEW_S: Final = 30.0
"""Fetched anew without any news: figures drift, and people want to know when each machine last answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What of a group's machines is known here, and when that was tried last."""

    boot_id: str
    versions: frozenset[int]
    tried_s: float  #: monotonic
    machines: int
    trouble: str = ""


class Inventories:
    """Keeps the newest inventory of each miner group in the view and in the book, for as long as it runs."""

    def __init__(self, source: InventorySource, book: MachineBook, view: View, clock: Clock) -> None:
        self._source, self._book, self._view, self._clock = source, book, view, clock
        self._fetched: dict[str, Fetched] = {}
        self._has_let_go = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # a bug here must not end the scheduler, which can do without
                log.exception("machines of miner groups cannot be looked at")
            await self._clock.sleep_s(LOOK_S)

    async def look(self) -> None:
        """Fetch what is new."""
        if not self._has_let_go:
            await self._let_go()
        due = [gid for gid in self._miner_groups() if self._is_due(gid)]
        await asyncio.gather(*(self._fetch(gid) for gid in due))

    def _miner_groups(self) -> list[str]:
        return sorted(gid for gid, g in self._view.groups.items() if has_miners(g.spec))

    def _is_due(self, group_id: str) -> bool:
        link, known = self._view.links.newest.get(group_id), self._fetched.get(group_id)
        if link is None or link.inventory_version == 0:
            return False
        if known is None:
            return True
        since_s = self._clock.monotonic_s() - known.tried_s
        if since_s < max(LEAST_GAP_S, GAP_PER_MACHINE_S * known.machines):
            return False
        is_same = link.boot_id == known.boot_id and link.inventory_version in known.versions
        return bool(known.trouble) or not is_same or since_s >= RENEW_S

    async def _fetch(self, group_id: str) -> None:
        link, tried_s = self._view.links.newest[group_id], self._clock.monotonic_s()
        found = await self._source.inventory(group_id, timeout_s=FETCH_S)
        trouble = found if isinstance(found, str) else await self._keep(group_id, found)
        known = self._fetched.get(group_id)
        if trouble and (known is None or trouble != known.trouble):
            log.warning("%s: its machines are not known: %s", group_id, trouble)
        told = None if isinstance(found, str) else found
        self._fetched[group_id] = Fetched(
            boot_id=link.boot_id,
            versions=frozenset({link.inventory_version, told.version if told else 0}),
            tried_s=tried_s,
            machines=len(told.machines) if told else 0,
            trouble=trouble,
        )

    async def _keep(self, group_id: str, inventory: Inventory) -> str:
        """Take it in. Why it could not be, "" if it was."""
        if inventory.group_id != group_id:
            return f"its guard tells of {inventory.group_id!r}"
        bare, twice = self._of_one_group(without_secrets(inventory))
        self._view.inventories[group_id] = bare
        kept = KeptInventory(at=self._clock.now(), partner=self._owner_of(group_id), inventory=bare)
        try:
            await in_book_thread(self._book.keep, kept, epoch=self._view.epoch)
        except (StoreError, StaleEpoch) as error:
            return str(error)
        return twice

    def _of_one_group(self, inventory: Inventory) -> tuple[Inventory, str]:
        """The inventory without machines that another group has already, and which those are, with the remedy."""
        others = {
            machine.miner_id: gid
            for gid, known in self._view.inventories.items()
            if gid != inventory.group_id
            for machine in known.machines
        }
        twice = [m.miner_id for m in inventory.machines if m.miner_id in others]
        if not twice:
            return inventory, ""
        own = tuple(m for m in inventory.machines if m.miner_id not in others)
        named = ", ".join(twice[:MOST_NAMED])
        why = f"{named}: {len(twice)} in all, of {others[twice[0]]} already; a machine is of one group"
        return replace(inventory, machines=own), f"{why}: correct the site file"

    def _owner_of(self, group_id: str) -> str:
        filler = self._view.groups[group_id].spec.filler
        if filler is not None:
            return filler.partner or HOUSE
        partners = with_house(self._view.site.partners, self._miner_groups())
        return next(p.partner_id for p in partners if group_id in p.groups)

    async def _let_go(self) -> None:
        """Groups that the site file has no more take their machines along."""
        try:
            groups, at = self._miner_groups(), self._clock.now()
            await in_book_thread(self._book.let_go, groups, at=at, epoch=self._view.epoch)
            self._has_let_go = True
        except (StoreError, StaleEpoch) as error:
            log.warning("machines of groups that are no more cannot be let go: %s", error)
