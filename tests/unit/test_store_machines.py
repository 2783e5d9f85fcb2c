"""The record of machines in the database, and what people want of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from scheduler.core.identities import Trait
from scheduler.core.inventory import Ability, Condition, Inventory, Wish
from scheduler.errors import StaleEpoch
from scheduler.records import KeptInventory
from scheduler.store.database import downgrade, migrate, writing
from scheduler.store.desk import Desk
from scheduler.store.machines import SqlMachineBook, read_inventory
from scheduler.store.refusals import GroupNotFound, InvalidField, MachineCannot, MachineNotFound
from scheduler.store.tables import LeaderRow
from tests.machines import identity, inventory, machine
from tests.stores import KINDS, SITE, T0, after, database


class Told:
    """A desk, and the leader's hand that keeps inventories."""

    def __init__(self, engine: Engine) -> None:
        self.desk = Desk(engine, site=SITE, now=lambda: T0)
        self.machines = self.desk.machines
        self.book = SqlMachineBook(engine)
        self.engine = engine

    def keep(self, told: Inventory, *, at_s: float = 0.0, partner: str = "acme-ltd") -> None:
        """Have it kept, with the epoch that leads."""
        self.book.keep(KeptInventory(at=after(at_s), partner=partner, inventory=told), epoch=0)

    def wish(self, *ids: str, wish: Wish = Wish.PAUSED, **changes: Any) -> tuple[str, ...]:
        """Say something of machines."""
        return self.machines.wish(ids, wish, **{"by": "ada", "reason": "its fan howls", **changes}).ids

    def kinds(self) -> list[str]:
        """Of the events in the log."""
        return [event.kind for event in self.desk.events()]


@pytest.fixture(params=KINDS)
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as engine:
        yield Told(engine)


def test_each_change_is_a_row_and_a_line_of_the_log(told: Told) -> None:
    """They have the same number, and the chain of the log holds."""
    told.keep(inventory(machine(1)))
    told.keep(inventory(machine(1, identity=identity(1, serial="SN9"))), at_s=60)
    told.keep(inventory(machine(1, identity=identity(1, serial="SN9"))), at_s=61)

    page = told.machines.changes("acme-1")
    assert [c.change.what for c in page.changes] == [Trait.SERIAL, Trait.POOLS, Trait.APPEARED]
    lines = {event.seq: event for event in told.desk.events()}
    assert [lines[c.seq].kind for c in page.changes] == [f"machine.{c.change.what}" for c in page.changes]
    assert told.desk.verify_events() is None
    assert told.machines.get("acme-1").identity == identity(1, serial="SN9")


def test_what_changed_comes_in_pages(told: Told) -> None:
    """Newest first, each once."""
    for number in range(3):
        told.keep(inventory(machine(1, address=f"10.0.1.{number}")), at_s=number)
    seen, cursor = [], None
    while True:
        page = told.machines.changes("acme-1", limit=1, after=cursor)
        seen += [c.seq for c in page.changes]
        if (cursor := page.next) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 4
    with pytest.raises(MachineNotFound):
        told.machines.changes("acme-9")


def test_the_newest_inventory_of_each_group_is_kept_whole(told: Told) -> None:
    """As it was told, with whose it is."""
    newest = inventory(machine(1), version=8)
    told.keep(inventory(machine(1)))
    told.keep(newest, at_s=5)
    told.keep(inventory(machine(5, miner_id="b-5"), group_id="b"), partner="house")

    kept = [read_inventory(text) for text in told.machines.now().inventories]
    assert [(k.at, k.partner, k.inventory.group_id) for k in kept if k] == [
        (after(5), "acme-ltd", "acme"),
        (T0, "house", "b"),
    ]
    assert kept[0] is not None
    assert kept[0].inventory == newest
    assert read_inventory('{"of": "another version"}') is None


def test_a_leader_whose_time_is_over_writes_nothing(told: Told) -> None:
    """As with ticks."""
    with writing(told.engine) as session:
        _lead(session, epoch=3)
    with pytest.raises(StaleEpoch):
        told.keep(inventory(machine(1)))
    with pytest.raises(StaleEpoch):
        told.book.let_go(["acme"], at=T0, epoch=2)
    assert told.machines.now().inventories == ()
    assert told.kinds() == []


def _lead(session: Session, *, epoch: int) -> None:
    session.get_one(LeaderRow, 1).epoch = epoch


def test_groups_that_the_site_has_no_more_are_let_go(told: Told) -> None:
    """Their machines vanish, and are still found by name."""
    told.keep(inventory(machine(1)))
    told.keep(inventory(machine(5, miner_id="b-5"), group_id="b"))
    told.book.let_go(["b"], at=after(9), epoch=0)

    assert told.machines.get("acme-1").vanished_at == after(9)
    assert told.machines.get("b-5").vanished_at is None
    assert len(told.machines.now().inventories) == 1
    assert told.kinds().count("machine.vanished") == 1


def test_a_large_fleet_is_kept_at_once(told: Told) -> None:
    """More machines than one question to a database may name."""
    fleet = [machine(n, miner_id=f"acme-{n}", address=f"10.1.{n // 256}.{n % 256}") for n in range(1200)]
    told.keep(inventory(*fleet))
    told.keep(inventory(*fleet[1:]), at_s=60)
    assert told.machines.get("acme-0").vanished_at == after(60)
    assert told.machines.get("acme-1199").vanished_at is None


async def test_a_wish_stands_until_another_is_said(told: Told) -> None:
    """With who, why and when; the same again is no change."""
    told.keep(inventory(machine(1), machine(2)))
    told.wish("acme-1", "acme-1", "acme-2")
    told.wish("acme-1")
    told.wish("acme-2", wish=Wish.INHERIT, reason="mended")

    [stands] = told.machines.now().wishes
    assert (stands.miner_id, stands.wish, stands.by, stands.reason, stands.at) == (
        "acme-1",
        Wish.PAUSED,
        "ada",
        "its fan howls",
        T0,
    )
    history = told.machines.wishes("acme-2")
    assert [(w.wish, w.over_at) for w in history] == [(Wish.INHERIT, None), (Wish.PAUSED, T0)]
    kinds = told.kinds()
    assert (kinds.count("machine.paused"), kinds.count("machine.resumed")) == (2, 1)
    assert told.desk.verify_events() is None


def test_all_machines_are_wished_for_or_none(told: Told) -> None:
    """An unknown one, one that can only be read, or none with a reason: each refuses the whole."""
    told.keep(inventory(machine(1), machine(2, abilities=(Ability.READ,))))
    with pytest.raises(MachineNotFound):
        told.wish("acme-1", "nobody")
    with pytest.raises(MachineCannot, match="acme-2 cannot be paused: it can only be read"):
        told.wish("acme-1", "acme-2")
    with pytest.raises(InvalidField):
        told.wish("acme-1", reason="  ")
    assert told.machines.now().wishes == ()
    assert told.wish("acme-2", wish=Wish.PROTECTED) == ("acme-2",)


def test_what_vanished_can_only_be_let_be(told: Told) -> None:
    """A wish for a machine that is gone can be taken back."""
    told.keep(inventory(machine(1), machine(2)))
    told.wish("acme-1")
    told.keep(inventory(machine(2)), at_s=9)

    with pytest.raises(MachineCannot, match="not among the machines"):
        told.wish("acme-1", wish=Wish.PROTECTED)
    told.wish("acme-1", wish=Wish.INHERIT)
    assert told.machines.now().wishes == ()


def test_a_wish_for_a_group_leaves_out_who_cannot(told: Told) -> None:
    """And says which, and why."""
    locked = machine(2, condition=Condition.UNUSABLE, trouble="wrong password; give another")
    told.keep(inventory(machine(1), locked, machine(3)))
    made = told.machines.wish_of_group("acme", Wish.PAUSED, by="ada", reason="heat")

    assert made.ids == ("acme-1", "acme-3")
    assert made.cannot == {"acme-2": "wrong password; give another"}
    with pytest.raises(GroupNotFound):
        told.machines.wish_of_group("nobody", Wish.PAUSED, by="ada", reason="heat")


def test_a_fleet_that_appears_is_one_line_of_the_log_and_a_record_of_each(told: Told) -> None:
    """Each machine's history has the number of the line that tells of all."""
    told.keep(inventory(*(machine(number) for number in range(1, 6))))

    assert told.kinds().count("machine.appeared") == 1
    (line,) = (event for event in told.desk.events() if event.kind == "machine.appeared")
    for number in range(1, 6):
        pools, appeared = told.machines.changes(f"acme-{number}").changes
        assert (pools.change.what, appeared.change.what) == (Trait.POOLS, Trait.APPEARED)
        assert appeared.seq == line.seq
    assert told.desk.verify_events() is None


def test_a_record_of_before_lines_told_of_many_is_kept(told: Told) -> None:
    """Up and down again: a line has room for one machine there, and nothing else is lost."""
    told.keep(inventory(machine(1)))
    told.keep(inventory(machine(1), machine(2), machine(3)), at_s=60)
    engine = told.engine
    downgrade(engine, "0014")
    migrate(engine)

    assert len(told.machines.changes("acme-1").changes) == 2
    assert len(told.machines.changes("acme-2").changes) == 2
    assert told.machines.changes("acme-3").changes == ()
