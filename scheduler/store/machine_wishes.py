"""What people want of machines: written by their side, read by the leader. The newest word of a machine stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session
from sqlmodel import col

from scheduler.core.identities import cannot_sleep
from scheduler.core.inventory import MachineDetail, Wish
from scheduler.core.reasons import Event
from scheduler.records import GroupWishes
from scheduler.store import chain
from scheduler.store.machine_tables import MachineWishRow
from scheduler.store.machines import get_machine, inventories
from scheduler.store.refusals import GroupNotFound, InvalidField, MachineCannot
from scheduler.store.rows import legible
from scheduler.store.tables import IntentRow
from scheduler.store.wishes import MACHINES, take_numbers

MOST_TOLD: Final = 100
"""Wishes of one machine that are shown."""
_VERBS: Final = {Wish.PAUSED: "paused", Wish.PROTECTED: "protected", Wish.INHERIT: "resumed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineWish:
    """What a person said of a machine. `over_at` None = it stands."""

    miner_id: str
    group_id: str
    wish: Wish
    by: str
    reason: str
    at: datetime
    over_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWish:
    """What a person says, of some machines or of all of a group."""

    wish: Wish
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """Of which machines something is wanted now, and which of the group cannot do it, with why."""

    ids: tuple[str, ...] = ()
    cannot: Mapping[str, str]


def wish(session: Session, site: str, ids: Sequence[str], new: NewWish) -> Wished:
    """Note a wish for all of these machines, or for none.

    Raises `MachineNotFound`, `MachineCannot`, `InvalidField`.
    """
    _check(new)
    take_numbers(session, site, 0)
    named = list(dict.fromkeys(ids))
    groups = {miner_id: get_machine(session, miner_id).group_id for miner_id in named}
    if new.wish is not Wish.INHERIT:
        here = _machines(session)
        for miner_id in named:
            if why := _why_not(here.get(miner_id), new.wish):
                raise MachineCannot(miner_id, new.wish.value, why)
    _note(session, groups, new)
    return Wished(ids=tuple(named), cannot={})


def wish_of_group(session: Session, site: str, group_id: str, new: NewWish) -> Wished:
    """Note a wish for all machines of a group that can do it. Raises `GroupNotFound`, `InvalidField`."""
    _check(new)
    take_numbers(session, site, 0)
    here = [m for k in inventories(session) if k.inventory.group_id == group_id for m in k.inventory.machines]
    if not here:
        raise GroupNotFound(group_id)
    cannot = {m.miner_id: why for m in here if (why := _why_not(m, new.wish))}
    groups = {m.miner_id: group_id for m in here if m.miner_id not in cannot}
    _note(session, groups, new)
    return Wished(ids=tuple(groups), cannot=cannot)


def standing(session: Session) -> tuple[MachineWish, ...]:
    """What is wanted of machines other than what their fleets do, by group and id."""
    found = [_wish(row) for row in session.scalars(_standing())]
    wanted = [one for one in found if one.wish is not Wish.INHERIT]
    return tuple(sorted(wanted, key=lambda one: (one.group_id, one.miner_id)))


def by_group(session: Session) -> GroupWishes:
    """The same as guards are told it."""
    groups = groupby(standing(session), key=lambda one: one.group_id)
    return {group_id: tuple((one.miner_id, one.wish) for one in here) for group_id, here in groups}


def wishes_of(session: Session, miner_id: str) -> tuple[MachineWish, ...]:
    """What people said of a machine, newest first, at most `MOST_TOLD`."""
    theirs = select(MachineWishRow).where(col(MachineWishRow.miner_id) == miner_id)
    newest = theirs.order_by(col(MachineWishRow.id).desc()).limit(MOST_TOLD)
    return tuple(_wish(row) for row in session.scalars(newest))


def _check(new: NewWish) -> None:
    if not new.reason.strip():
        raise InvalidField("reason", new.reason, "say why, for those who will wonder")


def _machines(session: Session) -> dict[str, MachineDetail]:
    return {m.miner_id: m for kept in inventories(session) for m in kept.inventory.machines}


def _why_not(machine: MachineDetail | None, wanted: Wish) -> str:
    """Why this cannot be had of a machine, "" if it can."""
    if wanted is Wish.INHERIT:
        return ""
    if machine is None:
        return "it is not among the machines of its group any more"
    return cannot_sleep(machine) if wanted is Wish.PAUSED else ""


def _note(session: Session, groups: Mapping[str, str], new: NewWish) -> None:
    """Write down what is another word than the one that stands, with its event; nothing if there is none."""
    known = {row.miner_id: row for row in session.scalars(_standing())}
    changed = {i: gid for i, gid in groups.items() if _is_news(known.get(i), gid, new)}
    for miner_id in changed.keys() & known.keys():
        known[miner_id].over_at = new.at
    session.add_all(
        MachineWishRow(miner_id=i, group_id=gid, wish=new.wish.value, by=new.by, reason=new.reason, at=new.at)
        for i, gid in changed.items()
    )
    if changed:
        session.add(IntentRow(kind=MACHINES, at=new.at))
        session.flush()
        chain.note(session, *_events(changed, new))


def _is_news(row: MachineWishRow | None, group_id: str, new: NewWish) -> bool:
    if row is None:
        return new.wish is not Wish.INHERIT
    return (row.wish, row.group_id, row.reason, row.by) != (new.wish.value, group_id, new.reason, new.by)


def _events(changed: Mapping[str, str], new: NewWish) -> Iterable[Event]:
    verb = _VERBS[new.wish]
    for miner_id, group_id in changed.items():
        text = f"{new.by} {verb} {miner_id} of {group_id}: {new.reason}"
        data = {"by": new.by, "machine": miner_id, "group": group_id, "wish": new.wish.value}
        yield Event(at=new.at, kind=f"machine.{verb}", text=text, data=data)


def _standing() -> Select[MachineWishRow]:
    """Of each machine that anybody ever said anything of, the newest word."""
    return select(MachineWishRow).where(col(MachineWishRow.over_at).is_(None))


def _wish(row: MachineWishRow) -> MachineWish:
    with legible(f"wish {row.id}"):
        return MachineWish(**row.model_dump(exclude={"id"}) | {"wish": Wish(row.wish)})
