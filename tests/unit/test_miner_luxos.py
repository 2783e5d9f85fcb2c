"""The one session of a LuxOS machine, its profiles and its sleep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.miners.emulator import Fault
from tests.miners.luxos import PROFILES, SESSION_IDLE_S, LuxosEmulator
from tests.waiting import wait_until
from workers.miners.luxos import Luxos
from workers.miners.port import MinerState, Refused, Wrong


@pytest.fixture
async def machine() -> AsyncIterator[LuxosEmulator]:
    """A machine that runs."""
    machine = LuxosEmulator()
    await machine.start()
    yield machine
    await machine.stop()


def driver(machine: LuxosEmulator, *, deadline_s: float = 30.0) -> Luxos:
    """Its driver."""
    return Luxos(machine.host, port=machine.port, deadline_s=deadline_s)


async def test_a_session_of_somebody_else_is_left_alone(machine: LuxosEmulator) -> None:
    """Refused, with whose it is and when to ask again; idle for long enough, it ends by itself."""
    theirs = machine.holds_session()

    with pytest.raises(Refused, match=f"session {theirs[:3]}") as caught:
        await driver(machine).sleep()
    assert caught.value.retry_after_s == SESSION_IDLE_S
    assert machine.session == theirs
    assert not machine.plant.asleep

    machine.later_s += SESSION_IDLE_S
    await driver(machine).sleep()
    assert machine.plant.asleep


async def test_a_session_of_somebody_else_does_not_keep_us_from_reading(machine: LuxosEmulator) -> None:
    """Questions need none."""
    machine.holds_session()

    assert (await driver(machine).read()).state is MinerState.RUNNING


@pytest.mark.parametrize("fault", [None, Fault.LOCKED, Fault.DEAF])
async def test_our_session_is_given_back(machine: LuxosEmulator, fault: Fault | None) -> None:
    """After an order, and after one that was refused."""
    machine.breaks(*([] if fault is None else [fault]))
    if fault is Fault.LOCKED:
        with pytest.raises(Refused, match="locked"):
            await driver(machine).sleep()
    else:
        await driver(machine).sleep()

    assert (machine.opened, machine.session) == (1, "")


async def test_our_session_is_given_back_when_an_order_is_cut_off(machine: LuxosEmulator) -> None:
    """By its deadline, or by the end of the guard."""
    machine.hangs_on = "curtail"
    order = asyncio.create_task(driver(machine).sleep())
    await wait_until(
        lambda: any("curtail" in request for request in machine.requests),
        timeout_s=60,
        what="the order is out",
    )
    order.cancel()

    with pytest.raises(asyncio.CancelledError):
        await order
    assert (machine.opened, machine.session) == (1, "")


async def test_sleep_survives_a_restart(machine: LuxosEmulator) -> None:
    """Only wakeup ends it."""
    await driver(machine).sleep()
    machine.reboot()
    assert (await driver(machine).read()).state is MinerState.ASLEEP

    await driver(machine).wake()
    assert (await driver(machine).read()).state is not MinerState.ASLEEP


async def test_a_profile_under_thermal_control_is_refused(machine: LuxosEmulator) -> None:
    """ATM would change it again, and is its owner's to turn off."""
    machine.atm = True

    with pytest.raises(Refused, match="ATM"):
        await driver(machine).set_target_w(2500.0)
    assert (machine.atm, machine.opened) == (True, 0)


async def test_its_profiles_are_its_targets(machine: LuxosEmulator) -> None:
    """The greatest that is not above what was asked."""
    targets = (await driver(machine).identify()).capabilities.watts
    assert targets is not None
    assert targets.choices_w == tuple(sorted(PROFILES.values()))

    assert await driver(machine).set_target_w(2500.0) == 2190.0
    assert machine.profile == "465MHz"


@pytest.mark.parametrize("together", [True, False])
async def test_it_is_read_in_one_question_or_in_many(machine: LuxosEmulator, together: bool) -> None:
    """A firmware that takes no `a+b` is asked one by one, with the same outcome."""
    machine.takes_many = together
    machine.breaks(Fault.QUIRKY)
    reading = await driver(machine).read()

    assert (reading.state, reading.draw_w, reading.target_w) == (MinerState.RUNNING, 3400.0, 3400.0)
    assert [pool.url for pool in reading.pools] == ["stratum+tcp://pool.example:3333"]
    assert set(reading.temperatures_c) == {58.0}
    assert (len(machine.requests) < 4) is together


async def test_dead_boards_are_a_fault(machine: LuxosEmulator) -> None:
    """It should run and does not."""
    machine.plant.is_dead = True
    reading = await driver(machine).read()

    assert (reading.state, reading.fault) == (MinerState.FAULTED, "all of its boards are dead")


async def test_another_firmware_on_its_port_is_named(machine: LuxosEmulator) -> None:
    """The error says what it is instead."""
    machine.version = {"API": "3.1", "BMMiner": "2.0.0", "Type": "Antminer S19"}

    with pytest.raises(Wrong, match="BMMiner"):
        await driver(machine).identify()
