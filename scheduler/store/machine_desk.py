"""`MachineDesk`: the machines of miner groups as people's side looks at them and asks for something. As `Desk`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from scheduler.core.identities import KnownMachine
from scheduler.core.inventory import Wish
from scheduler.store import machine_wishes, machines, site_queries
from scheduler.store.database import reading, writing
from scheduler.store.machine_wishes import MachineWish, NewWish, Wished
from scheduler.store.machines import ChangePage
from scheduler.store.views import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesNow:
    """All that is known of machines at one instant: documents as text, to be read once."""

    inventories: tuple[str, ...]  #: JSON of `KeptInventory`, by group
    nodes: Document | None  #: with what each machine was last told, and draws
    wishes: tuple[MachineWish, ...]  #: that stand


class MachineDesk:
    """Where people look at machines, and say what they want of them."""

    def __init__(self, engine: Engine, *, site: str, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._site = site
        self._now = now

    def now(self) -> MachinesNow:
        """Everything, as one consistent view."""
        with reading(self._engine) as session:
            return MachinesNow(
                inventories=machines.inventory_texts(session),
                nodes=site_queries.current_document(session, "nodes"),
                wishes=machine_wishes.standing(session),
            )

    def get(self, miner_id: str) -> KnownMachine:
        """One that is or was there. Raises `MachineNotFound`."""
        with reading(self._engine) as session:
            return machines.get_machine(session, miner_id)

    def changes(self, miner_id: str, *, limit: int = 100, after: str | None = None) -> ChangePage:
        """What changed of it, newest first. `after` as in `Desk.list`. Raises `MachineNotFound`, `InvalidField`."""
        with reading(self._engine) as session:
            return machines.changes_of(session, miner_id, limit=limit, after=after)

    def wishes(self, miner_id: str) -> tuple[MachineWish, ...]:
        """What people wanted of it, newest first."""
        with reading(self._engine) as session:
            return machine_wishes.wishes_of(session, miner_id)

    def wish(self, ids: Sequence[str], wish: Wish, *, by: str, reason: str) -> Wished:
        """Say what `by` wants of machines: of all, or of none. The same again is no change.

        Raises `MachineNotFound`, `MachineCannot`, `InvalidField`.
        """
        new = NewWish(wish=wish, by=by, reason=reason, at=self._now())
        with writing(self._engine) as session:
            return machine_wishes.wish(session, self._site, ids, new)

    def wish_of_group(self, group_id: str, wish: Wish, *, by: str, reason: str) -> Wished:
        """Say it of all of a group that can do it. Raises `GroupNotFound`, `InvalidField`."""
        new = NewWish(wish=wish, by=by, reason=reason, at=self._now())
        with writing(self._engine) as session:
            return machine_wishes.wish_of_group(session, self._site, group_id, new)
