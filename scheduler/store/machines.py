"""The record of machines: written beside the ticks by the leader, read by people. Changes are only ever added."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, or_, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.identities import (
    IdentityChange,
    KnownMachine,
    Looked,
    MachineNews,
    Trait,
    let_go,
    looked,
)
from scheduler.core.identity_log import lines_of
from scheduler.core.inventory import MachineIdentity, ObservedPool
from scheduler.errors import StaleEpoch
from scheduler.records import INVENTORY, KeptInventory
from scheduler.store import chain
from scheduler.store.cursors import cursor_of, number_of
from scheduler.store.database import reading, writing
from scheduler.store.machine_tables import MachineChangeRow, MachineRow
from scheduler.store.refusals import MachineNotFound
from scheduler.store.rows import legible
from scheduler.store.tables import CurrentRow, LeaderRow
from scheduler.store.upsert import upsert
from scheduler.wire import WireError, dumps, loads

log = logging.getLogger(__name__)

MAX_PAGE: Final = 1000
AT_ONCE: Final = 100
"""Machines that are written in one transaction."""
_KEYS: Final = 500  #: ids in one question: databases take no more than so many


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """A change of a machine, and the number of its line in the log of events."""

    seq: int
    change: IdentityChange


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Some changes, and where the next page begins (None = there is none)."""

    changes: tuple[LoggedChange, ...]
    next: str | None


class SqlMachineBook:
    """The port `MachineBook` on the database. Every method raises `StoreError`. One writer: the leader."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, kept: KeptInventory, *, epoch: int) -> None:
        """Make this the newest inventory of its group, and log what changed. Raises `StaleEpoch`."""
        told = kept.inventory
        ids = {m.miner_id for m in told.machines}
        with reading(self._engine) as session:
            known = {k.miner_id: k for k in _known(session, ids, told.group_id)}
        self._write(looked(known, told, kept.partner, kept.at), epoch)
        document = {"key": INVENTORY + told.group_id, "document": dumps(kept).decode(), "updated_at": kept.at}
        with writing(self._engine) as session:
            _lead(session, epoch)
            upsert(session, CurrentRow, [document])

    def let_go(self, groups: Collection[str], *, at: datetime, epoch: int) -> None:
        """Note that the site has no other miner groups than these. Raises `StaleEpoch`."""
        gone = select(MachineRow).where(
            col(MachineRow.vanished_at).is_(None), col(MachineRow.group_id).not_in(groups)
        )
        with reading(self._engine) as session:
            found = let_go(map(_machine, session.scalars(gone)), at)
        self._write(found, epoch)
        with writing(self._engine) as session:
            _lead(session, epoch)
            for document in session.scalars(select(CurrentRow).where(_is_inventory())):
                if document.key.removeprefix(INVENTORY) not in groups:
                    session.delete(document)

    def _write(self, found: Looked, epoch: int) -> None:
        """Machine by machine, a few at a time: no tick waits until a whole fleet is written."""
        for first in range(0, len(found.news), AT_ONCE):
            some = found.news[first : first + AT_ONCE]
            with writing(self._engine) as session:
                _lead(session, epoch)
                _write(session, some)


def _lead(session: Session, epoch: int) -> None:
    """Hold the leader's row until the commit, as each tick does. Raises `StaleEpoch`."""
    leader = session.scalars(select(LeaderRow).with_for_update()).one()
    if leader.epoch != epoch:
        raise StaleEpoch(f"epoch {epoch} is over: {leader.holder!r} leads with epoch {leader.epoch}")


def _write(session: Session, news: Sequence[MachineNews]) -> None:
    changes = [change for one in news for change in one.changes]
    upsert(session, MachineRow, [_values(one.machine) for one in news])
    lines = lines_of(changes)
    logged = chain.append(session, (event for event, _ in lines))
    rows = [
        {"seq": seq, **asdict(change), "what": change.what.value}
        for seq, (_, some) in zip(logged, lines, strict=True)
        for change in some
    ]
    if rows:
        session.execute(insert(MachineChangeRow), rows)


def _known(session: Session, ids: Collection[str], group_id: str) -> Iterable[KnownMachine]:
    """The machines of a group, and those of these ids."""
    named = sorted(ids)
    rows: dict[str, MachineRow] = {}
    for start in range(0, len(named) or 1, _KEYS):
        some = named[start : start + _KEYS]
        wanted = or_(col(MachineRow.group_id) == group_id, col(MachineRow.miner_id).in_(some))
        rows |= {row.miner_id: row for row in session.scalars(select(MachineRow).where(wanted))}
    return map(_machine, rows.values())


# -- people's side -------------------------------------------------------------------------------------------------


def inventories(session: Session) -> tuple[KeptInventory, ...]:
    """The newest inventory of each miner group, by name."""
    return tuple(kept for text in inventory_texts(session) if (kept := read_inventory(text)) is not None)


def inventory_texts(session: Session) -> tuple[str, ...]:
    """The same as they are written down."""
    rows = session.scalars(select(CurrentRow).where(_is_inventory()).order_by(col(CurrentRow.key)))
    return tuple(row.document for row in rows)


def read_inventory(text: str) -> KeptInventory | None:
    """What was written down. None for one of another version of Barq: the leader is about to write it anew."""
    try:
        return loads(KeptInventory, text)
    except WireError as error:
        log.warning("an inventory of miners cannot be read: %s", error)
        return None


def get_machine(session: Session, miner_id: str) -> KnownMachine:
    """A machine that is or was one of the site's. Raises `MachineNotFound`."""
    row = session.get(MachineRow, miner_id)
    if row is None:
        raise MachineNotFound(miner_id)
    return _machine(row)


def changes_of(session: Session, miner_id: str, *, limit: int, after: str | None) -> ChangePage:
    """A page of what changed of a machine, newest first. Raises `MachineNotFound`, `InvalidField`."""
    get_machine(session, miner_id)
    size = max(1, min(limit, MAX_PAGE))
    seq = col(MachineChangeRow.seq)
    query = select(MachineChangeRow).where(col(MachineChangeRow.miner_id) == miner_id)
    if after is not None:
        query = query.where(seq < number_of(after))
    rows: Sequence[MachineChangeRow] = session.scalars(query.order_by(seq.desc()).limit(size + 1)).all()
    shown = tuple(_logged(row) for row in rows[:size])
    return ChangePage(changes=shown, next=cursor_of(shown[-1].seq) if len(rows) > size else None)


def _is_inventory() -> Any:  # noqa: ANN401 - a condition of SQL
    return col(CurrentRow.key).startswith(INVENTORY, autoescape=True)


# -- rows ----------------------------------------------------------------------------------------------------------


def _values(machine: KnownMachine) -> dict[str, Any]:
    values = asdict(machine)
    told: dict[str, Any] = values.pop("identity")
    return values | told | {"pools": dumps(machine.identity.pools).decode()}


def _machine(row: MachineRow) -> KnownMachine:
    with legible(f"machine {row.miner_id}"):
        told = ("serial", "mac", "make", "model", "firmware", "firmware_version")
        pools = loads(tuple[ObservedPool, ...], row.pools)
        return KnownMachine(
            miner_id=row.miner_id,
            group_id=row.group_id,
            partner=row.partner,
            address=row.address,
            identity=MachineIdentity(**{name: getattr(row, name) for name in told}, pools=pools),
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
            vanished_at=row.vanished_at,
        )


def _logged(row: MachineChangeRow) -> LoggedChange:
    with legible(f"change {row.seq}"):
        values = row.model_dump(exclude={"seq"}) | {"what": Trait(row.what)}
        return LoggedChange(seq=row.seq, change=IdentityChange(**values))
