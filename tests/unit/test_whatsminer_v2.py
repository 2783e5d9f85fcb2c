"""The driver for WhatsMiner's API 2 against an emulated machine on a real socket."""

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
from tests.miners.whatsminer_v2 import PASSWORD, RESTART_S, TOKEN_S, WhatsminerV2Emulator
from workers.miners.port import (
    Credentials,
    MinerError,
    MinerState,
    PercentTrim,
    Refused,
    Unreachable,
    WattTargets,
    Wrong,
)
from workers.miners.whatsminer_v2 import WhatsminerV2

OWNER = Credentials(password=PASSWORD)


@pytest.fixture
def clock() -> Clock:
    """The clock of the machine."""
    return Clock()


@pytest.fixture
async def machine(clock: Clock) -> AsyncIterator[WhatsminerV2Emulator]:
    """One machine that hashes."""
    emulator = WhatsminerV2Emulator(Plant(clock=clock))
    await emulator.start()
    yield emulator
    await emulator.stop()


def driver_of(machine: WhatsminerV2Emulator, password: str = PASSWORD, **how: Any) -> WhatsminerV2:
    """A driver for the machine, with patience: this host may be slow."""
    credentials = Credentials(password=password)
    return WhatsminerV2(machine.host, port=machine.port, credentials=credentials, deadline_s=30.0, **how)


def told(machine: WhatsminerV2Emulator) -> list[dict]:
    """The orders that the machine could read."""
    return [request for request in map(json.loads, machine.requests) if "token" in request]


async def test_it_says_which_machine_it_is(machine: WhatsminerV2Emulator) -> None:
    """Model, firmware and serial number, and what its limit allows."""
    identity = await driver_of(machine).identify()

    assert (identity.make, identity.model, identity.firmware_version) == (
        "WhatsMiner",
        "M50SVH50",
        "20230803.11.REL",
    )
    assert (identity.serial, identity.mac) == ("WM-0001", "c4:08:28:00:00:01")
    assert identity.capabilities.pause
    assert identity.capabilities.watts == WattTargets(min_w=1700, max_w=3400, restarts=True)
    assert identity.capabilities.percent == PercentTrim(min_pct=50)


async def test_without_a_password_it_is_read_only(machine: WhatsminerV2Emulator) -> None:
    """It is read, no token is taken, and an order says what is missing."""
    driver = driver_of(machine, password="")

    assert (await driver.identify()).capabilities.read_only
    assert (await driver.read()).draw_w == 3400
    with pytest.raises(Refused, match="give its admin password"):
        await driver.sleep()
    assert machine.lent == 0


async def test_with_api_1_it_is_read_only(machine: WhatsminerV2Emulator) -> None:
    """That one knows no sealed orders; its own word for being off is understood."""
    machine.api_ver = "whatsminer v1.4.0"
    driver = driver_of(machine)
    machine.plant.sleep()

    assert (await driver.identify()).capabilities.read_only
    assert (await driver.read()).state is MinerState.ASLEEP


async def test_it_reads_watts_hashes_and_pools(machine: WhatsminerV2Emulator) -> None:
    """All in one reading; the efficiency follows."""
    seen = await driver_of(machine).read()

    assert (seen.state, seen.draw_w, seen.target_w, seen.is_metered) == (
        MinerState.RUNNING,
        3400,
        3400,
        False,
    )
    assert seen.hashrate_th == pytest.approx(200)
    assert seen.joule_per_th == pytest.approx(17)
    assert [pool.url for pool in seen.pools] == ["stratum+tcp://pool.example:3333"]


async def test_asleep_and_awake_again(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """Both verified, after delays of its own and along its ramp."""
    driver = driver_of(machine)

    asleep = await done(driver, Sleep(), clock)
    assert asleep.is_confirmed, asleep
    assert machine.draw_w() == machine.plant.rest_w
    awake = await done(driver, Wake(), clock)
    assert awake.is_confirmed, awake
    assert machine.draw_w() > 3000


async def test_it_is_asleep_only_when_the_watts_are_gone(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """It answers OK at once and begins later: until then it counts as it draws."""
    machine.delays_s = (40.0,)
    driver = driver_of(machine)
    await driver.sleep()

    first = await driver.read()
    slept = await done(driver, Sleep(), clock)

    assert (first.state, first.draw_w) == (MinerState.RUNNING, 3400)
    assert slept.is_confirmed
    assert slept.after_s >= 40


async def test_one_that_has_no_summary_while_it_is_off_is_asleep(
    machine: WhatsminerV2Emulator, clock: Clock
) -> None:
    """Some firmwares stop all of the mining program; its status still answers."""
    machine.is_mute_asleep = True
    driver = driver_of(machine)

    assert (await done(driver, Sleep(), clock)).is_confirmed
    assert (await driver.read()).draw_w is None


async def test_a_percentage_is_taken_at_once_and_ends_with_sleep(
    machine: WhatsminerV2Emulator, clock: Clock
) -> None:
    """It goes by the limit; whole percent, downwards."""
    driver = driver_of(machine)

    assert await driver.set_percent(75.9) == 75
    assert (await done(driver, TrimPercent(percent=75, full_w=3400), clock)).is_confirmed
    assert (await driver.read()).target_w == 2550
    await done(driver, Sleep(), clock)
    await done(driver, Wake(), clock)
    assert (await driver.read()).target_w == 3400


async def test_a_percentage_that_is_too_low_is_refused_before_it_is_told(
    machine: WhatsminerV2Emulator,
) -> None:
    """It might start anew."""
    with pytest.raises(Refused, match="50% or more"):
        await driver_of(machine).set_percent(20)
    assert not told(machine)


async def test_a_limit_restarts_it_once(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """Its program is gone meanwhile; a limit that it has already is not told again."""
    driver = driver_of(machine)

    assert await driver.set_target_w(2500.7) == 2500
    with pytest.raises(Unreachable, match="restarting"):
        await driver.read()
    clock.now_s += RESTART_S
    assert (await driver.read()).state is MinerState.RAMPING
    assert (await done(driver, TargetWatts(target_w=2500), clock)).is_confirmed
    assert (await done(driver, Wake(), clock)).is_confirmed
    assert (await driver.read()).draw_w == 2500
    assert [order["cmd"] for order in told(machine)] == ["adjust_power_limit", "power_on"]


async def test_a_limit_out_of_range(machine: WhatsminerV2Emulator) -> None:
    """Above becomes the most; below is refused, with the range."""
    driver = driver_of(machine)

    assert await driver.set_target_w(9000) == 3400
    with pytest.raises(Refused, match="1700 to 3400 W"):
        await driver.set_target_w(1000)
    assert not told(machine)


async def test_a_nameplate_says_more_than_the_limit_it_was_found_with(machine: WhatsminerV2Emulator) -> None:
    """A machine that was limited before it was found can be given back its watts."""
    machine.limit_w = 2000

    assert await driver_of(machine).set_target_w(3000) == 2000
    assert await driver_of(machine, nameplate_w=3400).set_target_w(3000) == 3000


async def test_a_token_is_used_until_it_ends(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """One token does for many orders, and reading fetches the next ahead: no order waits for one."""
    driver = driver_of(machine, clock=clock)
    await driver.read()
    await driver.set_percent(80)
    await driver.set_percent(90)
    assert machine.lent == 1

    clock.now_s += 25 * 60
    machine.later_s += 25 * 60
    await driver.read()
    assert machine.lent == 2
    before = len(machine.requests)
    await driver.set_percent(70)
    assert len(machine.requests) == before + 2  # as it came, and opened
    assert machine.lent == 2


async def test_a_token_that_ended_is_replaced_within_the_order(
    machine: WhatsminerV2Emulator, clock: Clock
) -> None:
    """By its age, and where the machine forgot it."""
    driver = driver_of(machine, clock=clock)
    await driver.set_percent(80)
    clock.now_s += TOKEN_S + 1
    machine.later_s += TOKEN_S + 1
    await driver.set_percent(90)
    machine.forgets_tokens()
    await driver.set_percent(70)

    assert machine.plant.target_w == 0.7 * 3400
    assert machine.lent == 3


async def test_when_all_tokens_are_lent_it_says_so(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """Reading goes on; the order is refused, and may be tried later."""
    machine.lends_all_tokens()
    driver = driver_of(machine)

    assert (await driver.read()).draw_w == 3400
    with pytest.raises(Refused, match="hold all of its tokens") as refused:
        await driver.sleep()
    assert refused.value.retry_after_s == TOKEN_S
    machine.later_s += TOKEN_S
    assert (await done(driver, Sleep(), clock)).is_confirmed


async def test_a_wrong_password_is_refused(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """It is told what to give, and counts as it draws."""
    effect = await done(driver_of(machine, "admin"), Sleep(), clock)

    assert isinstance(effect.error, Refused)
    assert "password" in str(effect.error)
    assert effect.in_doubt_w == 3400


async def test_a_write_lock_is_its_owners_to_open(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """It is refused with what the owner has to do, and nothing else is tried."""
    machine.breaks(Fault.LOCKED)
    effect = await done(driver_of(machine), Sleep(), clock)

    assert isinstance(effect.error, Refused)
    assert "Miner API Switch" in str(effect.error)
    assert [order["cmd"] for order in told(machine)] == ["power_off"]
    assert effect.in_doubt_w == 3400


async def test_json_as_old_firmwares_write_it_is_read(machine: WhatsminerV2Emulator) -> None:
    """Commas too many, brackets without: the figures stand."""
    machine.breaks(Fault.QUIRKY)

    assert (await driver_of(machine).read()).draw_w == 3400


async def test_after_a_reboot_it_mines_again(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """Sleep does not survive it: who watches sees that it runs, and can tell it again."""
    driver = driver_of(machine)
    await done(driver, Sleep(), clock)
    machine.reboots()

    woken = await done(driver, Wake(), clock)
    assert woken.is_confirmed
    assert (await done(driver, Sleep(), clock)).is_confirmed


async def test_a_percentage_does_not_outlive_a_start(machine: WhatsminerV2Emulator, clock: Clock) -> None:
    """Whoever started it anew, it is known to run at its limit again."""
    driver = driver_of(machine)
    await driver.set_percent(75)
    assert (await driver.read()).target_w == 2550
    machine.reboots()
    clock.now_s += 120

    seen = await driver.read()
    assert (seen.target_w, seen.draw_w) == (3400, 3400)


async def test_dead_boards_are_a_fault(machine: WhatsminerV2Emulator) -> None:
    """With its error codes."""
    machine.plant.is_dead = True
    seen = await driver_of(machine).read()

    assert seen.state is MinerState.FAULTED
    assert "540" in seen.fault


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_an_error_that_drivers_know(machine: WhatsminerV2Emulator, text: str) -> None:
    """Or it is read as far as it goes: no other error ever comes out, and no watts are made up."""
    machine._spoilt = lambda _: text  # type: ignore[method-assign, assignment]
    driver = driver_of(machine)
    for call in (driver.identify, driver.read, driver.sleep, lambda: driver.set_target_w(2000)):
        with suppress(MinerError):
            assert getattr(await call(), "draw_w", None) is None


async def test_another_firmware_is_not_taken_for_one(machine: WhatsminerV2Emulator) -> None:
    """What knows no get_version is no WhatsMiner."""
    machine.answer = lambda command, parameter: machine._refused(14, "invalid cmd")  # type: ignore[method-assign]

    with pytest.raises(Wrong, match="no WhatsMiner"):
        await driver_of(machine).identify()


async def test_all_that_it_ever_tells_a_machine_is_in_the_closed_set(
    machine: WhatsminerV2Emulator, clock: Clock
) -> None:
    """No pool, no wallet, no password, no lock."""
    driver = driver_of(machine)
    await driver.identify()
    for order in (Sleep(), Wake(), TrimPercent(percent=80, full_w=3400), TargetWatts(target_w=2000)):
        await done(driver, order, clock)
    await driver.close()

    assert {order["cmd"] for order in told(machine)} == {
        "power_off",
        "power_on",
        "set_power_pct",
        "adjust_power_limit",
    }
    plain = [request for request in map(json.loads, machine.requests) if "enc" not in request]
    assert not any("update" in request["cmd"] or "passw" in request["cmd"] for request in plain)
