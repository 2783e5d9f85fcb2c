"""Which machines there are and whose they are: what changed between two looks, for a record that is only added to.

What a machine does not tell now ("" or no pools) is no change: it is as it was told last. Of pools only which there are
is compared, not which of them is used: that changes with each sleep. What pools are called is its owner's and the
regulator's business: the log holds their digest, the record of changes the words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from scheduler.core.inventory import (
    Ability,
    Condition,
    Inventory,
    MachineDetail,
    MachineIdentity,
    ObservedPool,
)
from scheduler.core.reasons import Event

SEEN_EVERY: Final = timedelta(minutes=5)
"""How much later a machine has to be seen than is on record, for that alone to be written down."""


class Trait(StrEnum):
    """What of a machine changed."""

    APPEARED = "appeared"
    IDENTIFIED = "identified"  #: it was known by nothing but its name and address until now
    RETURNED = "returned"
    VANISHED = "vanished"
    OWNER = "owner"  #: its group, or the partner whose that is
    ADDRESS = "address"
    SERIAL = "serial"
    MAC = "mac"
    MODEL = "model"
    FIRMWARE = "firmware"
    POOLS = "pools"


_CALLED: Final = {
    Trait.OWNER: "owner",
    Trait.ADDRESS: "address",
    Trait.SERIAL: "serial number",
    Trait.MAC: "MAC address",
    Trait.MODEL: "model",
    Trait.FIRMWARE: "firmware",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMachine:
    """One machine as it is on record."""

    miner_id: str
    group_id: str
    partner: str  #: whose it is
    address: str
    identity: MachineIdentity
    first_seen_at: datetime
    last_seen_at: datetime | None = None  #: when it last answered; None = never
    vanished_at: datetime | None = None  #: since when its group has it no more

    @property
    def owner(self) -> str:
        """Its partner and group in one word."""
        return f"{self.partner}/{self.group_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChange:
    """One change of who a machine is, or whose. `before` and `after` are as told; of pools JSON."""

    miner_id: str
    group_id: str
    partner: str
    at: datetime
    what: Trait
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineNews:
    """A machine whose record is another now, and what of it changed; () = only when it was seen."""

    machine: KnownMachine
    changes: tuple[IdentityChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at a group brought, machine by machine."""

    news: tuple[MachineNews, ...] = ()

    @property
    def machines(self) -> tuple[KnownMachine, ...]:
        """Those whose record is another now."""
        return tuple(one.machine for one in self.news)

    @property
    def changes(self) -> tuple[IdentityChange, ...]:
        """All that changed."""
        return tuple(change for one in self.news for change in one.changes)


def looked(known: Mapping[str, KnownMachine], inventory: Inventory, partner: str, at: datetime) -> Looked:
    """Compare a group's inventory, as it was `at`, with the records of its machines, and of those with their ids."""
    news = []
    here = {m.miner_id for m in inventory.machines}
    gone = [k for k in known.values() if k.group_id == inventory.group_id and k.miner_id not in here]
    was_at = {k.address: k.miner_id for k in gone if k.address}
    for machine in inventory.machines:
        before = known.get(machine.miner_id)
        now = _now(before, machine, inventory, partner, at)
        changes = tuple(_changes(before, now, at, was_at.get(machine.address, "")))
        if before is None or changes or _is_seen_later(before, now):
            news.append(MachineNews(machine=now, changes=changes))
    return Looked(news=(*news, *let_go(gone, at).news))


def let_go(known: Iterable[KnownMachine], at: datetime) -> Looked:
    """These machines are not where they were, and nowhere else on the site."""
    return Looked(news=tuple(_vanished(machine, at) for machine in known if machine.vanished_at is None))


def _vanished(machine: KnownMachine, at: datetime) -> MachineNews:
    change = _change(machine, Trait.VANISHED, at, before=machine.address)
    return MachineNews(machine=replace(machine, vanished_at=at), changes=(change,))


def _now(
    before: KnownMachine | None, machine: MachineDetail, inventory: Inventory, partner: str, at: datetime
) -> KnownMachine:
    """The machine as it is to be on record."""
    told, was = machine.identity, before.identity if before else MachineIdentity()
    seen_s = machine.seen_boottime_s
    seen_at = None if seen_s is None else at - timedelta(seconds=max(0.0, inventory.boottime_s - seen_s))
    return KnownMachine(
        miner_id=machine.miner_id,
        group_id=inventory.group_id,
        partner=partner,
        address=machine.address or (before.address if before else ""),
        identity=MachineIdentity(
            serial=told.serial or was.serial,
            mac=told.mac or was.mac,
            make=told.make or was.make,
            model=told.model or was.model,
            firmware=told.firmware or was.firmware,
            firmware_version=told.firmware_version or was.firmware_version,
            pools=told.pools or was.pools,
        ),
        first_seen_at=before.first_seen_at if before else at,
        last_seen_at=seen_at or (before.last_seen_at if before else None),
    )


def without_secrets(inventory: Inventory) -> Inventory:
    """The inventory without what stands before an @ in the address of a pool: that is a secret of its owner's."""
    if not any("@" in pool.url for m in inventory.machines for pool in m.identity.pools):
        return inventory
    machines = tuple(
        replace(m, identity=replace(m.identity, pools=tuple(map(_without_password, m.identity.pools))))
        for m in inventory.machines
    )
    return replace(inventory, machines=machines)


def _without_password(pool: ObservedPool) -> ObservedPool:
    scheme, slashes, rest = pool.url.rpartition("://")
    host, slash, path = rest.partition("/")
    return replace(pool, url=f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}")


def _is_seen_later(before: KnownMachine, now: KnownMachine) -> bool:
    if before.last_seen_at is None or now.last_seen_at is None:
        return before.last_seen_at is not now.last_seen_at
    return now.last_seen_at - before.last_seen_at >= SEEN_EVERY


def _changes(
    before: KnownMachine | None, now: KnownMachine, at: datetime, was_there: str
) -> Iterator[IdentityChange]:
    if before is None or before.vanished_at is not None:
        what = Trait.APPEARED if before is None else Trait.RETURNED
        address = "" if now.address == now.miner_id else now.address
        yield _change(now, what, at, before=was_there, after=", ".join(filter(None, [address, _words(now)])))
    if before is None:
        if now.identity.pools:
            yield _change(now, Trait.POOLS, at, after=pools_text(now.identity.pools))
        return
    told_before, told_now = _traits(before), _traits(now)
    if not _words(before) and (words := _words(now)):
        yield _change(now, Trait.IDENTIFIED, at, after=words)
        told_before |= {
            what: told_now[what] for what in (Trait.SERIAL, Trait.MAC, Trait.MODEL, Trait.FIRMWARE)
        }
    for what, word in told_now.items():
        if word != told_before[what]:
            yield _change(now, what, at, before=told_before[what], after=word)


def _traits(machine: KnownMachine) -> dict[Trait, str]:
    """What is compared, in words."""
    told = machine.identity
    return {
        Trait.OWNER: machine.owner,
        Trait.ADDRESS: machine.address,
        Trait.SERIAL: told.serial,
        Trait.MAC: told.mac,
        Trait.MODEL: _joined(told.make, told.model),
        Trait.FIRMWARE: _joined(told.firmware, told.firmware_version),
        Trait.POOLS: pools_text(told.pools),
    }


def _joined(first: str, second: str) -> str:
    """Both; the second alone where it begins with the first."""
    return second if second.startswith(first) else f"{first} {second}".strip()


def _words(machine: KnownMachine) -> str:
    """What it tells of itself, its pools left out; "" = nothing yet."""
    traits = _traits(machine)
    named = [traits[Trait.MODEL], traits[Trait.FIRMWARE]]
    numbered = [f"{_CALLED[what]} {traits[what]}" for what in (Trait.SERIAL, Trait.MAC) if traits[what]]
    return ", ".join(filter(None, [*named, *numbered]))


def pools_text(pools: Iterable[ObservedPool]) -> str:
    """Which pools there are, in one spelling, as JSON; "" for none."""
    found = sorted({(pool.url, pool.user) for pool in pools})
    return json.dumps([{"url": url, "user": user} for url, user in found]) if found else ""


def _change(
    machine: KnownMachine, what: Trait, at: datetime, *, before: str = "", after: str = ""
) -> IdentityChange:
    return IdentityChange(
        miner_id=machine.miner_id,
        group_id=machine.group_id,
        partner=machine.partner,
        at=at,
        what=what,
        before=before,
        after=after,
    )


def sentence(change: IdentityChange) -> str:
    """A change in words, without the names of pools."""
    who, owner = change.miner_id, f"{change.partner}/{change.group_id}"
    match change.what:
        case Trait.APPEARED | Trait.RETURNED:
            told = f": {change.after}" if change.after else ""
            instead = f", in the place of {change.before}" if change.before else ""
            return f"{who} {change.what} in {owner}{instead}{told}"
        case Trait.IDENTIFIED:
            return f"{who} of {owner} is {change.after}"
        case Trait.VANISHED:
            return f"{who} is not among the machines of {owner} any more"
        case Trait.POOLS:
            return f"{who} of {owner} {'has other pools' if change.before else 'tells its pools'}"
        case _:
            called = _CALLED[change.what]
            was = f", was {change.before}" if change.before else ""
            return f"{who} of {owner}: its {called} is {change.after or 'not told any more'}{was}"


def event_of(change: IdentityChange) -> Event:
    """A change as an event of the log; pools by the SHA-256 of what is in the record of changes."""
    data: dict[str, str] = {"machine": change.miner_id, "group": change.group_id, "partner": change.partner}
    if change.what is Trait.POOLS:
        data |= {"before_sha256": _digest(change.before), "after_sha256": _digest(change.after)}
    else:
        data |= {"before": change.before, "after": change.after}
    return Event(at=change.at, kind=f"machine.{change.what}", text=sentence(change), data=data)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def cannot_sleep(machine: MachineDetail) -> str:
    """Why a machine cannot be put to sleep, "" if it can."""
    if machine.condition is Condition.UNUSABLE:
        return machine.trouble or "it cannot be told anything"
    if not {Ability.SLEEP, Ability.OUTLET} & set(machine.abilities):
        return machine.trouble or "it can only be read: it has no way to sleep, and no outlet of it is known"
    return ""
