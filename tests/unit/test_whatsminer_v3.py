"""The driver for WhatsMiner's API 3 against an emulated machine on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from tests.miners.by_hand import Clock, done
from tests.miners.effect import Sleep, TargetWatts, TrimPercent, Wake
from tests.miners.emulator import Fault
from tests.miners.nonsense import NONSENSE
from tests.miners.plant import Plant
from tests.miners.whatsminer_v2 import WhatsminerV2Emulator
from tests.miners.whatsminer_v3 import PASSWORD, RESTART_S, WhatsminerV3Emulator
from workers.miners.port import (
    Credentials,
    MinerError,
    MinerState,
    PercentTrim,
    Refused,
    WattTargets,
    Wrong,
)
from workers.miners.whatsminer_v3 import WhatsminerV3


@pytest.fixture
def clock() -> Clock:
    """The clock of the machine."""
    return Clock()


@pytest.fixture
async def machine(clock: Clock) -> AsyncIterator[WhatsminerV3Emulator]:
    """One machine that hashes."""
    emulator = WhatsminerV3Emulator(Plant(clock=clock))
    await emulator.start()
    yield emulator
    await emulator.stop()


def driver_of(machine: WhatsminerV3Emulator, password: str = PASSWORD, **how: Any) -> WhatsminerV3:
    """A driver for the machine, with patience: this host may be slow."""
    credentials = Credentials(password=password)
    return WhatsminerV3(machine.host, port=machine.port, credentials=credentials, deadline_s=30.0, **how)


def told(machine: WhatsminerV3Emulator) -> list[dict]:
    """The orders that the machine got."""
    return [request for request in map(json.loads, machine.requests) if request["cmd"].startswith("set.")]


async def test_it_says_which_machine_it_is(machine: WhatsminerV3Emulator) -> None:
    """Model, firmware and serial number, and what its limit allows."""
    identity = await driver_of(machine).identify()

    assert (identity.make, identity.model, identity.firmware_version) == (
        "WhatsMiner",
        "M60S_VK30",
        "20250214.16.1",
    )
    assert (identity.serial, identity.mac) == ("WM-0002", "c4:08:28:00:00:02")
    assert identity.capabilities.pause
    assert identity.capabilities.watts == WattTargets(min_w=1700, max_w=3400, restarts=True)
    assert identity.capabilities.percent == PercentTrim(min_pct=50)


async def test_it_reads_the_watts_of_this_moment(machine: WhatsminerV3Emulator) -> None:
    """Not those of the last five minutes; pools and boards too."""
    machine.plant.aim(2000)
    machine.plant.clock.now_s += 60  # type: ignore[attr-defined]
    seen = await driver_of(machine).read()

    assert (seen.state, seen.draw_w) == (MinerState.RUNNING, 2000)
    assert seen.hashrate_th == pytest.approx(machine.plant.hashrate_th())
    assert seen.temperatures_c == (62.0, 63.0, 62.5)
    assert [(pool.url, pool.user) for pool in seen.pools] == [
        ("stratum+tcp://pool.example:3333", "site.emulated")
    ]


async def test_without_a_limit_it_takes_no_watts(machine: WhatsminerV3Emulator) -> None:
    """The largest number of 31 bits is no limit; a nameplate stands in for it."""
    machine.tells_limit = False

    assert (await driver_of(machine).identify()).capabilities.watts is None
    with pytest.raises(Refused, match="give its nameplate"):
        await driver_of(machine).set_target_w(2000)
    assert await driver_of(machine, nameplate_w=3400).set_target_w(2000) == 2000


async def test_asleep_and_awake_again(machine: WhatsminerV3Emulator, clock: Clock) -> None:
    """Both verified, along its ramp; an order in a hurry is one exchange."""
    driver = driver_of(machine)
    await driver.read()
    before = len(machine.requests)
    await driver.sleep()
    assert len(machine.requests) == before + 1

    assert (await done(driver, Sleep(), clock)).is_confirmed
    assert machine.plant.draw_w() == machine.plant.rest_w
    assert (await done(driver, Wake(), clock)).is_confirmed


async def test_a_percentage_is_text_and_fast(machine: WhatsminerV3Emulator, clock: Clock) -> None:
    """As the firmware reads it; it ends with sleep."""
    driver = driver_of(machine)

    assert await driver.set_percent(80.5) == 80
    assert told(machine)[-1]["param"] == {"percent": "80", "mode": "fast"}
    assert (await done(driver, TrimPercent(percent=80, full_w=3400), clock)).is_confirmed
    assert (await driver.read()).target_w == 2720
    with pytest.raises(Refused, match="50% or more"):
        await driver.set_percent(10)
    await done(driver, Sleep(), clock)
    assert (await driver.read()).target_w == 3400


async def test_a_limit_restarts_it_once(machine: WhatsminerV3Emulator, clock: Clock) -> None:
    """It falls to rest and comes back; a limit that it has already is not told again, one too low not at all."""
    driver = driver_of(machine)

    assert await driver.set_target_w(2500.7) == 2500
    clock.now_s += RESTART_S / 2
    assert (await driver.read()).draw_w == machine.plant.rest_w
    assert (await driver.read()).state is MinerState.RAMPING
    assert (await done(driver, TargetWatts(target_w=2500), clock)).is_confirmed
    clock.now_s += 120
    assert (await driver.read()).draw_w == 2500
    with pytest.raises(Refused, match="1700 to 3400 W"):
        await driver_of(machine, nameplate_w=3400).set_target_w(100)
    assert [order["cmd"] for order in told(machine)] == ["set.miner.power_limit"]


async def test_a_salt_that_changed_is_fetched_within_the_order(machine: WhatsminerV3Emulator) -> None:
    """As when its owner gave it another password and told us."""
    driver = driver_of(machine)
    await driver.set_percent(80)
    machine.salt = "another1"
    await driver.set_percent(90)

    assert machine.plant.target_w == 0.9 * 3400


async def test_a_wrong_password_is_refused_once(machine: WhatsminerV3Emulator, clock: Clock) -> None:
    """With the same salt there is no second try; it counts as it draws."""
    effect = await done(driver_of(machine, "super"), Sleep(), clock)

    assert isinstance(effect.error, Refused)
    assert "password" in str(effect.error)
    assert effect.in_doubt_w == 3400
    assert len(told(machine)) == 1


async def test_while_its_switch_is_off_it_is_read_only(machine: WhatsminerV3Emulator) -> None:
    """It says so by itself; an order all the same is refused with what its owner has to do."""
    machine.breaks(Fault.LOCKED)
    driver = driver_of(machine)

    assert (await driver.identify()).capabilities.read_only
    assert (await driver.read()).draw_w == 3400
    with pytest.raises(Refused, match="Miner API Switch"):
        await driver.sleep()
    assert [order["cmd"] for order in told(machine)] == ["set.miner.service"]


async def test_without_a_password_it_is_read_only(machine: WhatsminerV3Emulator) -> None:
    """Nobody tries the one that machines come with."""
    driver = driver_of(machine, password="")

    assert (await driver.identify()).capabilities.read_only
    with pytest.raises(Refused, match="no password is given"):
        await driver.sleep()
    assert not told(machine)


async def test_after_a_reboot_it_mines_again(machine: WhatsminerV3Emulator, clock: Clock) -> None:
    """Sleep does not survive it: who watches sees that it runs, and can tell it again."""
    driver = driver_of(machine)
    await done(driver, Sleep(), clock)
    machine.reboots()
    clock.now_s += 300

    assert (await driver.read()).state is MinerState.RUNNING
    assert (await done(driver, Sleep(), clock)).is_confirmed


async def test_a_percentage_does_not_outlive_a_start(machine: WhatsminerV3Emulator, clock: Clock) -> None:
    """Whoever started it anew, it is known to run at its limit again."""
    driver = driver_of(machine)
    await driver.set_percent(75)
    assert (await driver.read()).target_w == 2550
    machine.reboots()
    clock.now_s += 120

    seen = await driver.read()
    assert (seen.target_w, seen.draw_w) == (3400, 3400)


async def test_dead_boards_are_a_fault(machine: WhatsminerV3Emulator) -> None:
    """With its error codes."""
    machine.plant.is_dead = True
    seen = await driver_of(machine).read()

    assert seen.state is MinerState.FAULTED
    assert "540" in seen.fault


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_an_error_that_drivers_know(machine: WhatsminerV3Emulator, text: str) -> None:
    """Or it is read as far as it goes: no other error ever comes out, and no watts are made up."""
    machine._spoilt = lambda _: text  # type: ignore[method-assign, assignment]
    driver = driver_of(machine)
    for call in (driver.identify, driver.read, driver.sleep, lambda: driver.set_target_w(2000)):
        with suppress(MinerError):
            assert getattr(await call(), "draw_w", None) is None


async def test_another_protocol_is_not_taken_for_one(clock: Clock) -> None:
    """API 2 answers with JSON that begins with no length."""
    other = WhatsminerV2Emulator(Plant(clock=clock))
    other.answers = _says_who_it_is  # type: ignore[method-assign]
    await other.start()

    with pytest.raises(Wrong, match="API 3"):
        await WhatsminerV3(other.host, port=other.port, credentials=Credentials(), deadline_s=30.0).identify()
    await other.stop()


async def _says_who_it_is(reader: Any, writer: Any) -> None:
    await reader.read(4096)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def test_all_that_it_ever_tells_a_machine_is_in_the_closed_set(
    machine: WhatsminerV3Emulator, clock: Clock
) -> None:
    """No pool, no wallet, no password, no account."""
    driver = driver_of(machine)
    await driver.identify()
    for order in (Sleep(), Wake(), TrimPercent(percent=80, full_w=3400), TargetWatts(target_w=2000)):
        await done(driver, order, clock)
    await driver.close()

    assert {json.loads(request)["cmd"] for request in machine.requests} == {
        "get.device.info",
        "get.miner.status",
        "set.miner.service",
        "set.miner.power_percent",
        "set.miner.power_limit",
    }
