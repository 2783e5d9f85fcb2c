"""When the machines of a miner group are fetched, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.core.inventory import Inventory, Wish
from scheduler.core.orders import NO_FENCE, FillerKind, GroupKind, GroupSpec, GuardReport
from scheduler.core.partners import HOUSE, Partner
from scheduler.core.snapshot import SitePolicy
from scheduler.inventories import LEAST_GAP_S, RENEW_S, Inventories
from scheduler.records import Intents
from scheduler.store.desk import Desk
from scheduler.store.machines import SqlMachineBook, read_inventory
from scheduler.store.recorder import SqlStore
from scheduler.view import View
from tests.fakes import FakeClock
from tests.machines import inventory, machine
from tests.stores import SITE, database

SPEC = GroupSpec(group_id="acme", kind=GroupKind.MINERS, base_w=50.0, miners_max_w=6450.0)
PARTNERS = (Partner(partner_id="acme-ltd", groups=("acme",)),)


class Source:
    """Answers with what it is given, and counts."""

    def __init__(self) -> None:
        self.answer: Inventory | str = inventory(machine(1), machine(2))
        self.asked = 0

    async def inventory(self, group_id: str, *, timeout_s: float) -> Inventory | str:
        assert (group_id, timeout_s > 0) == ("acme", True)
        self.asked += 1
        return self.answer


class World:
    """A view with one miner group, a guard's word by hand, and a database."""

    def __init__(self, engine: Engine) -> None:
        self.engine, desk, book = engine, Desk(engine, site=SITE), SqlMachineBook(engine)
        self.clock, self.source, self.desk, self.book = FakeClock(), Source(), desk, book
        policy = SitePolicy(name="t", firm_w=1000.0, partners=PARTNERS)
        self.view = View(policy, {"acme": SPEC}, epoch=0, at=self.clock.now())
        self.inventories = Inventories(self.source, book, self.view, self.clock)

    def hear(self, version: int, *, boot_id: str = "b1", spec: GroupSpec = SPEC) -> None:
        """The guard reports that its inventory has this version."""
        now_s = self.clock.monotonic_s()
        report = GuardReport(
            spec=spec,
            boot_id=boot_id,
            boottime_s=now_s,
            version=version,
            accepted=NO_FENCE,
            expires_boottime_s=0.0,
            entitlement_w=50.0,
            fallback=(),
            in_fallback=False,
            draw_w=50.0,
            inventory_version=version,
        )
        self.view.take_report(report, at=self.clock.now(), heard_s=now_s)

    async def asked_after(self, seconds: float) -> int:
        """How often the guard was asked by a look so much later."""
        before = self.source.asked
        await self.clock.sleep_s(seconds)
        await self.inventories.look()
        return self.source.asked - before


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Nothing was heard yet."""
    with database("sqlite", tmp_path) as engine:
        yield World(engine)


async def test_news_is_fetched_once_and_kept(world: World) -> None:
    """In the view for decisions, in the book for people, with whose it is."""
    assert await world.asked_after(60) == 0
    world.hear(7)
    assert await world.asked_after(1) == 1
    world.hear(7)
    assert await world.asked_after(RENEW_S / 2) == 0

    assert world.view.inventories["acme"] == world.source.answer
    [kept] = [read_inventory(text) for text in world.desk.machines.now().inventories]
    assert kept is not None
    assert (kept.partner, kept.inventory) == ("acme-ltd", world.source.answer)
    assert world.desk.machines.get("acme-1").partner == "acme-ltd"


@pytest.mark.parametrize("partner", ["acme-ltd", ""])
async def test_what_fills_idle_gpus_is_kept_with_its_owner(world: World, partner: str) -> None:
    """Of nodes only those that have such a thing are asked; the site's own is the site's."""
    node = replace(SPEC, kind=GroupKind.NODE, miners_max_w=0.0)
    world.hear(7, spec=node)
    assert await world.asked_after(60) == 0
    world.hear(8, spec=replace(node, filler=FillerKind(name="rig", partner=partner)))
    assert await world.asked_after(1) == 1

    [kept] = [read_inventory(text) for text in world.desk.machines.now().inventories]
    assert kept is not None
    assert kept.partner == (partner or HOUSE)


async def test_news_that_never_ends_is_fetched_now_and_then(world: World) -> None:
    """A fleet on its ramp is no burden."""
    world.hear(7)
    assert await world.asked_after(0) == 1
    world.hear(8)
    world.source.answer = inventory(machine(1), version=9)
    assert await world.asked_after(LEAST_GAP_S / 2) == 0
    assert await world.asked_after(LEAST_GAP_S / 2) == 1
    world.hear(9)
    assert await world.asked_after(RENEW_S / 2) == 0
    assert await world.asked_after(RENEW_S) == 1


async def test_a_guard_that_began_anew_is_asked_anew(world: World) -> None:
    """Whatever number it begins with."""
    world.hear(7)
    await world.asked_after(0)
    await world.clock.sleep_s(10)
    world.hear(7, boot_id="b2")
    assert await world.asked_after(0) == 1


async def test_what_cannot_be_had_is_asked_for_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once; so it is with the list of another group, and with a store that is down."""
    world.source.answer = "the guard hangs"
    world.hear(7)
    assert [await world.asked_after(LEAST_GAP_S) for _ in range(3)] == [1, 1, 1]
    assert caplog.text.count("the guard hangs") == 1
    world.source.answer = inventory(machine(1), group_id="other")
    assert await world.asked_after(LEAST_GAP_S) == 1
    assert "tells of 'other'" in caplog.text
    world.view.lead(9, world.clock.now())
    world.source.answer = inventory(machine(1))
    assert await world.asked_after(LEAST_GAP_S) == 1
    assert "epoch 9 is over" in caplog.text
    world.view.lead(0, world.clock.now())
    assert await world.asked_after(LEAST_GAP_S) == 1
    assert await world.asked_after(LEAST_GAP_S) == 0
    assert world.desk.machines.get("acme-1").group_id == "acme"


async def test_a_machine_is_of_one_group(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever told of it first has it; of the other group the rest is kept, and the site file is to be corrected."""
    world.view.inventories["b"] = inventory(machine(1), group_id="b")
    world.hear(7)
    await world.asked_after(0)
    assert [m.miner_id for m in world.view.inventories["acme"].machines] == ["acme-2"]
    assert "acme-1: 1 in all, of b already" in caplog.text


async def test_machines_of_groups_that_are_no_more_are_let_go_when_it_begins(world: World) -> None:
    """Once; those that are still there stay."""
    world.hear(7)
    await world.asked_after(0)
    without = View(world.view.site, {}, epoch=0, at=world.clock.now())
    await Inventories(world.source, world.book, without, world.clock).look()
    assert world.desk.machines.get("acme-1").vanished_at is not None


def test_wishes_lie_with_their_groups_in_the_view(world: World) -> None:
    """As people left them; a group that nobody says anything of is as it was."""
    wishes = (("acme-1", Wish.PAUSED),)
    assert world.view.take_intents(Intents(seq=1, miner_wishes={"acme": wishes}))
    assert world.view.groups["acme"].miner_wishes == wishes
    before = world.view.groups["acme"]
    assert not world.view.take_intents(Intents(seq=2))
    assert world.view.groups["acme"] is before
    world.view.take_intents(Intents(seq=3, miner_wishes={}))
    assert world.view.groups["acme"] == replace(before, miner_wishes=())


async def test_wishes_outlive_the_scheduler(world: World) -> None:
    """Whoever leads next carries them on."""
    world.hear(7)
    await world.asked_after(0)
    world.desk.machines.wish(["acme-1"], Wish.PROTECTED, by="ada", reason="heats the office")
    successor = View(world.view.site, {"acme": SPEC}, epoch=0, at=world.clock.now())
    store = SqlStore(world.engine)
    successor.restore(await store.load())
    store.close()
    assert successor.groups["acme"].miner_wishes == (("acme-1", Wish.PROTECTED),)
