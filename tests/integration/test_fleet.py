"""A miner LAN with trouble on it: what cannot be used is named, what does not obey counts and is escalated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.inventory import Ability, Condition, Wish
from scheduler.core.obedience import Rules
from scheduler.core.pdus import Outlets
from tests.json_served import served
from tests.miners.braiins import PASSWORD as BRAIINS_PASSWORD, BraiinsEmulator
from tests.miners.cgminer import CgminerEmulator
from tests.miners.emulator import Fault
from tests.miners.lan import Lan, Site, address, lan
from tests.miners.luxos import LuxosEmulator
from tests.miners.whatsminer_v2 import WhatsminerV2Emulator
from tests.miners.whatsminer_v3 import WhatsminerV3Emulator
from tests.waiting import wait_for
from workers.clock import boottime_s
from workers.fleet.config import Firmware, Secret
from workers.fleet.known import Notebook
from workers.outlets.port import OutletReading

HASTY = Rules(retry_after_s=0.3, cut_after_s=0.8, confirm_s=0.5, lost_cut_after_s=60.0, fresh_s=6.0)
NAMEPLATE_W, REST_W = 3400.0, 25.0


@pytest.fixture
def net() -> Iterator[Lan]:
    """A LAN without machines yet."""
    with lan() as net:
        yield net


@dataclass
class FakeOutlet:
    """An outlet that cuts an emulated machine."""

    machine: Any
    address: str = "pdu.example:161/7"
    is_on: bool = True
    told: list[bool] = field(default_factory=list)
    is_metered: bool = False

    async def read(self) -> OutletReading:
        return OutletReading(
            is_on=self.is_on, draw_w=self.machine.plant.draw_w() if self.is_metered else None
        )

    async def switch(self, *, is_on: bool) -> None:
        self.told.append(is_on)
        self.is_on = is_on
        self.machine.breaks(*({Fault.HANGS} if not is_on else set()))

    async def close(self) -> None: ...


def test_what_cannot_be_used_is_named_and_the_rest_works(net: Lan, tmp_path: Path) -> None:
    """A wrong password, a web server where a miner should be: listed with the reason; the others are told as ever."""
    good, locked = net.add(LuxosEmulator), net.add(BraiinsEmulator)
    wrong = Secret(user="root", password_file=str(tmp_path / "wrong"))
    (tmp_path / "wrong").write_text("not-it")
    with served() as page:
        web = page.url.removeprefix("http://").partition("/")[0]
        changes = {
            "addresses": (address(good), address(locked), web),
            "credentials": {Firmware.BRAIINS: wrong},
            "count": 2,
        }
        with Site(net, tmp_path, **changes) as site:
            site.wait_for_sleep(1)
            refused = site.wait_for(address(locked), Condition.UNUSABLE)
            stranger = site.wait_for(web, Condition.UNUSABLE)

            assert "password" in refused.trouble
            assert (refused.nameplate_w, stranger.nameplate_w) == (NAMEPLATE_W, 0.0)
            assert "web server" in stranger.trouble or "no miner" in stranger.trouble, stranger.trouble
            assert site.watts.base_w == REST_W + NAMEPLATE_W
            assert any("2 addresses cannot be used" in text for text in site.miners.alarms())
            site.wake(address(good))


def test_a_machine_that_refuses_its_orders_counts_at_its_nameplate(net: Lan, tmp_path: Path) -> None:
    """A lock that its owner did not open shows with the first order: it is named, and never opened by us."""
    locked = net.add(WhatsminerV2Emulator)
    locked.breaks(Fault.LOCKED)
    with Site(net, tmp_path) as site:
        detail = site.wait_for(address(locked), Condition.UNUSABLE)

        assert detail.trouble
        assert site.watts.base_w == NAMEPLATE_W
        assert site.miners.max_w() == {}
        locked.breaks()
        site.wait_for_sleep()
        assert site.watts.base_w == REST_W


def test_a_machine_that_lets_nobody_in_sleeps_at_its_outlet(net: Lan, tmp_path: Path) -> None:
    """With a wrong password nobody knows what it is; where it is to draw nothing, its outlet sees to that."""
    locked = net.add(BraiinsEmulator)
    name, outlet = address(locked), FakeOutlet(locked)
    wrong = Secret(user="root", password_file=str(tmp_path / "wrong"))
    (tmp_path / "wrong").write_text("not-it")
    changes = {"credentials": {Firmware.BRAIINS: wrong}, "pdus": Outlets(rules=replace(HASTY, min_off_s=0.1))}
    with Site(net, tmp_path, **changes, outlets={name: outlet}) as site:
        detail = site.wait_for(name, Condition.UNUSABLE)
        wait_for(site.miners.max_w, timeout_s=60, what="it counts as one that can be put to sleep")
        assert "password" in detail.trouble
        (reading,) = site.miners.now().readings
        assert (reading.target_w, reading.draw_w) == (NAMEPLATE_W - REST_W, NAMEPLATE_W - REST_W)
        assert (reading.wish, reading.least_w, outlet.told) == (Wish.PROTECTED, None, [])
        assert site.watts.guessed_w == NAMEPLATE_W, "nobody reads it, so nobody is charged for it"

        site.miners.set_targets({name: 0.0})
        assert site.miners.now().readings[0].draw_w == NAMEPLATE_W - REST_W
        site.wait_for_sleep()
        assert outlet.told[:1] == [False]
        assert (site.watts.base_w, site.watts.guessed_w) == (REST_W, 0.0)

        site.restart()
        wait_for(site.miners.max_w, timeout_s=60, what="a new guard knows of it")
        site.wait_for_sleep()
        (tmp_path / "wrong").write_text(BRAIINS_PASSWORD)
        site.miners.set_targets({name: NAMEPLATE_W - REST_W})
        site.wait_for(name, Condition.RUNNING)
        assert outlet.told[-1] is True


def test_a_machine_that_can_only_be_read_counts_at_its_nameplate(net: Lan, tmp_path: Path) -> None:
    """Always: nobody can tell it anything."""
    with Site(net, tmp_path, addresses=(address(net.add(CgminerEmulator)),), count=1) as site:
        name = site.config.addresses[0]
        wait_for(lambda: site.detail(name) is not None, timeout_s=60, what="it is found")
        detail = site.wait_for(name, Condition.RUNNING)

        assert detail.abilities == (Ability.READ,)
        assert site.watts.base_w == NAMEPLATE_W
        assert any("can only be read" in text for text in site.miners.alarms())


def test_a_machine_that_can_only_be_read_sleeps_at_its_outlet(net: Lan, tmp_path: Path) -> None:
    """It stays as it was found, the last of its fleet to sleep; told to sleep it is cut, told to work it is powered."""
    stock = net.add(CgminerEmulator)
    name, outlet = address(stock), FakeOutlet(stock)
    rules = replace(HASTY, min_off_s=0.1)
    with Site(net, tmp_path, pdus=Outlets(rules=rules), outlets={name: outlet}) as site:
        site.wait_for(name, Condition.RUNNING)
        (found,) = site.miners.now().readings
        assert (found.target_w, found.wish) == (NAMEPLATE_W - REST_W, Wish.PROTECTED)
        assert site.watts.base_w == REST_W
        assert outlet.told == []

        site.miners.set_targets({name: 0.0})
        assert site.miners.now().readings[0].draw_w == NAMEPLATE_W - REST_W, (
            "it counts until its outlet is off"
        )
        detail = site.wait_for(name, Condition.ASLEEP)
        assert (outlet.told, detail.trouble, site.miners.alarms()) == ([False], "", ())

        site.wake(name)
        assert outlet.told == [False, True]


def test_machines_that_were_not_found_count_from_the_start(net: Lan, tmp_path: Path) -> None:
    """As many as the site file promises, at their nameplate; one more than that is an alarm."""
    net.add(LuxosEmulator)
    with Site(net, tmp_path, count=3) as site:
        assert site.watts.base_w == 3 * NAMEPLATE_W
        site.wait_for_sleep(1)
        watts = site.watts
        assert (watts.base_w, watts.guessed_w) == (2 * NAMEPLATE_W + REST_W, 2 * NAMEPLATE_W)
        assert any("2 of 3 miners were not found" in text for text in site.miners.alarms())


def test_a_new_guard_asks_nobody_who_he_is(net: Lan, tmp_path: Path) -> None:
    """It finds them as they are: at work, at what they were told, since when they were told, as often as they woke."""
    v2, v3 = net.add(WhatsminerV2Emulator), net.add(WhatsminerV3Emulator)
    with Site(net, tmp_path) as site:
        site.wait_for_sleep()
        site.wake()
        before = site.miners.now().readings
        for machine in (v2, v3):
            machine.requests.clear()
        site.restart()

        after = site.miners.now().readings
        assert [r.target_w for r in after] == [r.target_w for r in before]
        assert [r.switched_boottime_s for r in after] == [r.switched_boottime_s for r in before]
        assert site.watts.base_w == 2 * REST_W
        wait_for(lambda: len(v2.requests) > 1 and len(v3.requests) > 1, timeout_s=60, what="both are read")
        asked = " ".join(v2.requests + v3.requests)
        assert "get_version" not in asked
        assert "devdetails" not in asked
        site.wait_for(address(v2), Condition.RUNNING)
        assert [d.cycles_today for d in site.miners.details()] == [1, 1]


def test_who_is_woken_is_written_down_first(net: Lan, tmp_path: Path) -> None:
    """A guard that is killed at once after it is known by the next one to have woken the machine."""
    name = address(net.add(LuxosEmulator))
    with Site(net, tmp_path) as site:
        site.wait_for_sleep()
        site.miners.set_targets(site.miners.max_w())

        told = Notebook(tmp_path / "guard").told(boottime_s())
        assert told[name].wanted_w == NAMEPLATE_W - REST_W


def test_a_machine_that_wakes_by_itself_is_put_to_sleep_again(net: Lan, tmp_path: Path) -> None:
    """A blip of the mains starts whole fleets."""
    machine = net.add(WhatsminerV3Emulator)
    assert isinstance(machine, WhatsminerV3Emulator)
    with Site(net, tmp_path) as site:
        site.wait_for_sleep()
        machine.requests.clear()
        machine.reboots()

        wait_for(lambda: any('"stop"' in r for r in machine.requests), timeout_s=60, what="it is told again")
        site.wait_for_sleep()
        assert machine.plant.asleep


def test_a_machine_that_is_lost_counts_at_its_nameplate(net: Lan, tmp_path: Path) -> None:
    """Asleep or not when it was last heard of; the others go on, and it is named."""
    lost, other = net.add(LuxosEmulator), net.add(LuxosEmulator)
    with Site(net, tmp_path, pdus=Outlets(rules=Rules(fresh_s=1.5))) as site:
        site.wait_for_sleep()
        place = net.remove(lost)
        detail = site.wait_for(f"{place[0]}:{place[1]}", Condition.LOST)

        assert detail.draw_w == NAMEPLATE_W
        wait_for(
            lambda: site.watts.base_w == NAMEPLATE_W + REST_W,
            timeout_s=60,
            what="it counts at that",
        )
        assert site.watts.guessed_w == NAMEPLATE_W
        assert list(site.miners.max_w()) == [address(other)]
        assert any(detail.miner_id in text and "lost" in text for text in site.miners.alarms())
        net.move_in(lost, place)
        site.wait_for_sleep()


def test_a_machine_that_lies_loses_its_outlet(net: Lan, tmp_path: Path) -> None:
    """It says OK and goes on: told again, then cut; until then it counts, then no more, and its name is known."""
    liar, other = net.add(LuxosEmulator), net.add(LuxosEmulator)
    outlet = FakeOutlet(liar)
    liar.breaks(Fault.DEAF)
    with Site(net, tmp_path, pdus=Outlets(rules=HASTY), outlets={address(liar): outlet}) as site:
        wait_for(lambda: outlet.told == [False], timeout_s=60, what="its outlet is switched off")
        site.wait_for_sleep()
        detail = site.wait_for(address(liar), Condition.FAULTED)

        assert outlet.address in detail.trouble
        assert site.watts.base_w == 2 * REST_W
        assert sum('"curtail"' in r for r in liar.requests) >= 2
        assert site.detail(address(other)).condition is Condition.ASLEEP  # type: ignore[union-attr]


def test_what_an_outlet_measured_says_nothing_of_what_its_machine_draws_later(
    net: Lan, tmp_path: Path
) -> None:
    """It is read while its machine is in doubt; one that mines meanwhile is no machine at rest."""
    machine = net.add(LuxosEmulator)
    outlet, rules = FakeOutlet(machine, is_metered=True), replace(HASTY, settle_s=0.5, cut_after_s=30.0)
    with Site(net, tmp_path, pdus=Outlets(rules=rules), outlets={address(machine): outlet}) as site:
        site.wait_for_sleep()
        site.wake()
        wait_for(
            lambda: site.detail(address(machine)).draw_w == NAMEPLATE_W,  # type: ignore[union-attr]
            timeout_s=60,
            what="its draw is told",
        )
        assert outlet.told == []


def test_a_machine_that_lies_and_has_no_outlet_is_an_alarm(net: Lan, tmp_path: Path) -> None:
    """It names the machine and the watts that may flow, and they count in the base."""
    liar = net.add(LuxosEmulator)
    liar.breaks(Fault.DEAF)
    with Site(net, tmp_path, pdus=Outlets(rules=HASTY)) as site:
        wait_for(lambda: "obeys" in "".join(site.miners.alarms()), timeout_s=60, what="an alarm")

        (alarm,) = site.miners.alarms()
        assert address(liar) in alarm
        assert "3400 W" in alarm
        assert site.watts.base_w == NAMEPLATE_W
        assert site.detail(address(liar)).in_doubt_w == pytest.approx(NAMEPLATE_W - REST_W)  # type: ignore[union-attr]


def test_another_machine_at_a_known_address_is_noticed(net: Lan, tmp_path: Path) -> None:
    """It is who it says it is, and is told what holds for its place."""
    with Site(net, tmp_path, addresses=(address(net.add(LuxosEmulator)),), count=1, retry_s=1.0) as site:
        site.wait_for_sleep()
        place = net.remove(net.machines[0])
        net.move_in(WhatsminerV2Emulator(), place)

        wait_for(
            lambda: site.miners.details()[0].identity.make == "WhatsMiner",
            timeout_s=60,
            what="the other machine is known",
        )
        site.wait_for_sleep()
