"""What changes of machines between two looks at their group."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.identities import (
    SEEN_EVERY,
    KnownMachine,
    Trait,
    cannot_sleep,
    event_of,
    let_go,
    looked,
    sentence,
    without_secrets,
)
from scheduler.core.inventory import (
    Ability,
    Condition,
    Inventory,
    MachineDetail,
    MachineIdentity,
    ObservedPool,
)
from tests.machines import POOL, identity, inventory, machine
from tests.stores import T0, after


def known(*machines: MachineDetail) -> dict[str, KnownMachine]:
    """The records after a first look at T0."""
    found = looked({}, inventory(*machines), "acme-ltd", T0)
    return {k.miner_id: k for k in found.machines}


def traits(records: dict[str, KnownMachine], now: Inventory, partner: str = "acme-ltd") -> list[Trait]:
    """What changed since."""
    return [c.what for c in looked(records, now, partner, after(60)).changes]


def test_a_machine_appears_with_all_that_it_tells() -> None:
    """Once; its pools are on record apart."""
    found = looked({}, inventory(machine(1)), "acme-ltd", T0)
    [record] = found.machines
    appeared, pools = found.changes

    assert (record.partner, record.group_id, record.address) == ("acme-ltd", "acme", "10.0.0.1")
    assert record.identity == identity(1)
    assert (record.first_seen_at, record.last_seen_at, record.vanished_at) == (T0, T0, None)
    assert sentence(appeared) == (
        "acme-1 appeared in acme-ltd/acme: 10.0.0.1, Antminer S19j Pro, Braiins OS 25.07, "
        "serial number SN1, MAC address 02:00:00:00:00:01"
    )
    assert json.loads(pools.after) == [{"url": POOL.url, "user": POOL.user}]
    assert traits(known(machine(1)), inventory(machine(1))) == []


def test_a_machine_that_is_called_by_its_address_is_named_once() -> None:
    """So is a make that its model begins with; one that tells nothing is named all the same."""
    told = identity(1, model="Antminer S21", serial="", mac="")
    lan = machine(1, miner_id="10.0.0.1", identity=told)
    mute = machine(2, miner_id="10.0.0.2", identity=MachineIdentity())
    first, _, second = looked({}, inventory(lan, mute), "acme-ltd", T0).changes
    assert sentence(first) == "10.0.0.1 appeared in acme-ltd/acme: Antminer S21, Braiins OS 25.07"
    assert sentence(second) == "10.0.0.2 appeared in acme-ltd/acme"


@pytest.mark.parametrize(
    "changes,what,said",
    [
        ({"serial": "SN9"}, Trait.SERIAL, "its serial number is SN9, was SN1"),
        ({"mac": "02:00:00:00:00:99"}, Trait.MAC, "its MAC address is 02:00:00:00:00:99"),
        ({"model": "S21"}, Trait.MODEL, "its model is Antminer S21, was Antminer S19j Pro"),
        ({"firmware_version": "25.09"}, Trait.FIRMWARE, "its firmware is Braiins OS 25.09, was"),
        ({"pools": (replace(POOL, user="thief.1"),)}, Trait.POOLS, "has other pools"),
    ],
)
def test_what_a_machine_tells_otherwise_is_a_change(changes: dict[str, str], what: Trait, said: str) -> None:
    """One for each trait, with what it was before."""
    now = inventory(machine(1, identity=identity(1, **changes)))
    [change] = looked(known(machine(1)), now, "acme-ltd", after(60)).changes

    assert change.what is what
    assert said in sentence(change)


def test_what_a_machine_does_not_tell_now_stays_as_it_was() -> None:
    """A machine that is asleep or lost forgets nothing; nor is another use of its pools a change."""
    records = known(machine(1))
    silent = inventory(machine(1, condition=Condition.LOST, identity=MachineIdentity()))
    idle = inventory(machine(1, identity=identity(1, pools=(replace(POOL, is_active=False),))))

    assert traits(records, silent) == []
    assert looked(records, silent, "acme-ltd", after(3600)).machines[0].identity == identity(1)
    assert traits(records, idle) == []


def test_a_machine_that_is_identified_late_says_so_once() -> None:
    """It was there by its address alone."""
    records = known(machine(1, identity=MachineIdentity()))
    assert traits(records, inventory(machine(1))) == [Trait.IDENTIFIED, Trait.POOLS]


def test_owner_and_address_are_followed() -> None:
    """Whoever sells a machine, or plugs it in elsewhere, is on record."""
    records = known(machine(1))
    assert traits(records, inventory(machine(1)), partner="buyer") == [Trait.OWNER]
    assert traits(records, inventory(machine(1), group_id="hall-2")) == [Trait.OWNER]
    assert traits(records, inventory(machine(1, address="10.0.0.77"))) == [Trait.ADDRESS]


def test_another_machine_in_the_place_of_one_says_whose_place_it_was() -> None:
    """The old one vanishes, and may return."""
    records = known(machine(1))
    stranger = machine(2, address="10.0.0.1")
    found = looked(records, inventory(stranger), "acme-ltd", after(60))

    assert [c.what for c in found.changes] == [Trait.APPEARED, Trait.POOLS, Trait.VANISHED]
    assert "in the place of acme-1" in sentence(found.changes[0])
    later = records | {m.miner_id: m for m in found.machines}
    assert later["acme-1"].vanished_at == after(60)
    assert traits(later, inventory(stranger)) == []
    assert traits(later, inventory(machine(1, address="10.0.0.9"), stranger)) == [
        Trait.RETURNED,
        Trait.ADDRESS,
    ]


def test_a_group_that_goes_takes_its_machines_along() -> None:
    """Once."""
    found = let_go(known(machine(1), machine(2)).values(), after(60))
    assert [c.what for c in found.changes] == [Trait.VANISHED] * 2
    assert let_go(found.machines, after(70)).changes == ()


def test_only_a_machine_that_was_seen_much_later_is_written_anew() -> None:
    """Looks come often, and nothing else changed."""
    records = known(machine(1))
    soon, late = T0 + SEEN_EVERY / 2, T0 + SEEN_EVERY + timedelta(seconds=1)
    assert looked(records, inventory(machine(1)), "acme-ltd", soon).machines == ()
    [seen] = looked(records, inventory(machine(1)), "acme-ltd", late).machines
    assert seen.last_seen_at == late
    silent = inventory(machine(1), boottime_s=100.0 + 3600.0)
    assert looked(records, silent, "acme-ltd", T0 + timedelta(hours=1)).machines == ()


def test_the_log_holds_a_digest_of_pools_and_no_name() -> None:
    """Everybody may read the log."""
    _, pools = looked({}, inventory(machine(1)), "acme-ltd", T0).changes
    event = event_of(pools)

    assert event.kind == "machine.pools"
    assert len(str(event.data["after_sha256"])) == 64
    assert POOL.user not in str(event)
    assert "pool.example" not in str(event)


def test_secrets_in_the_address_of_a_pool_are_not_kept() -> None:
    """Its host and path are."""
    told = ObservedPool(url="stratum+tcp://bob:hunter2@pool.example:3333/path@x", user="u")
    bare = without_secrets(inventory(machine(1, identity=identity(1, pools=(told, POOL))), machine(2)))
    assert [p.url for m in bare.machines for p in m.identity.pools] == [
        "stratum+tcp://pool.example:3333/path@x",
        POOL.url,
        POOL.url,
    ]
    assert without_secrets(inventory(machine(1))) == inventory(machine(1))


def test_why_a_machine_cannot_sleep() -> None:
    """Its trouble where it has one; an outlet will do."""
    assert cannot_sleep(machine(1)) == ""
    assert "only be read" in cannot_sleep(machine(1, abilities=(Ability.READ,)))
    assert cannot_sleep(machine(1, abilities=(Ability.READ, Ability.OUTLET))) == ""
    locked = machine(1, condition=Condition.UNUSABLE, trouble="it is locked; open it in its tool")
    assert cannot_sleep(locked) == "it is locked; open it in its tool"
