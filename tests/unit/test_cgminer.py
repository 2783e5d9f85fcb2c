"""The driver that reads whatever has the CGMiner API, against an emulated machine on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.miners.by_hand import Clock, done
from tests.miners.cgminer import CgminerEmulator
from tests.miners.effect import Order, Sleep, TargetWatts, TrimPercent, Wake
from tests.miners.emulator import Fault
from tests.miners.plant import Plant
from tests.miners.whatsminer_v2 import WhatsminerV2Emulator
from workers.miners.cgminer import Cgminer
from workers.miners.port import MinerState, NotUnderstood, Refused, Unreachable, Wrong


@pytest.fixture
def clock() -> Clock:
    """The clock of the machine."""
    return Clock()


@pytest.fixture
async def machine(clock: Clock) -> AsyncIterator[CgminerEmulator]:
    """One machine that hashes."""
    emulator = CgminerEmulator(Plant(clock=clock))
    await emulator.start()
    yield emulator
    await emulator.stop()


def driver_of(machine: CgminerEmulator, deadline_s: float = 30.0) -> Cgminer:
    """A driver for the machine."""
    return Cgminer(machine.host, port=machine.port, deadline_s=deadline_s)


async def test_it_says_which_machine_it_is(machine: CgminerEmulator) -> None:
    """As far as its version tells; there is nothing that it can be told."""
    identity = await driver_of(machine).identify()

    assert (identity.model, identity.firmware, identity.firmware_version) == (
        "Antminer S19j Pro",
        "BMMiner",
        "1.0.0",
    )
    assert identity.capabilities.read_only


async def test_a_machine_of_another_maker_tells_more(machine: CgminerEmulator) -> None:
    """Serial number and MAC, where there are any."""
    machine.version = {
        "CGMiner": "4.11.1",
        "API": "3.7",
        "PROD": "AvalonMiner 1246",
        "DNA": "a1",
        "MAC": "B4:A2",
    }
    identity = await driver_of(machine).identify()

    assert (identity.model, identity.firmware) == ("AvalonMiner 1246", "CGMiner")
    assert (identity.serial, identity.mac) == ("a1", "b4:a2")


@pytest.mark.parametrize("unit", ["GHS", "MHS"])
async def test_it_reads_hashes_and_pools_but_no_watts(machine: CgminerEmulator, unit: str) -> None:
    """Whatever unit it counts in."""
    machine.unit = unit
    seen = await driver_of(machine).read()

    assert (seen.state, seen.draw_w, seen.joule_per_th) == (MinerState.RUNNING, None, None)
    assert seen.hashrate_th == pytest.approx(200)
    assert [pool.user for pool in seen.pools] == ["site.emulated"]


async def test_one_that_hashes_nothing_is_starting_or_faulted(machine: CgminerEmulator) -> None:
    """By how long ago it started."""
    machine.plant.is_dead = True
    assert (await driver_of(machine).read()).state is MinerState.FAULTED

    machine.plant.booted_at_s = machine.plant.clock()
    assert (await driver_of(machine).read()).state is MinerState.RAMPING


@pytest.mark.parametrize(
    "order", [Sleep(), Wake(), TargetWatts(target_w=1000), TrimPercent(percent=80, full_w=3400)], ids=repr
)
async def test_every_order_is_refused_and_none_is_sent(
    machine: CgminerEmulator, clock: Clock, order: Order
) -> None:
    """With what to do instead; its draw stays in doubt in full."""
    effect = await done(driver_of(machine), order, clock, deadline_s=1)

    assert isinstance(effect.error, Refused)
    assert "outlet" in str(effect.error)
    if not isinstance(order, Wake):
        assert effect.in_doubt_w == 3400
    assert {json.loads(request)["command"] for request in machine.requests} <= {"version", "summary", "pools"}


@pytest.mark.parametrize(
    "fault, error",
    [
        (Fault.HANGS, Unreachable),
        (Fault.DROPS, Unreachable),
        (Fault.BREAKS_OFF, NotUnderstood),
        (Fault.MALFORMED, NotUnderstood),
    ],
    ids=lambda value: value.value if isinstance(value, Fault) else "",
)
async def test_a_broken_wire_has_its_error(
    machine: CgminerEmulator, fault: Fault, error: type[Exception]
) -> None:
    """Each names the address."""
    machine.breaks(fault)

    with pytest.raises(error, match=machine.host):
        await driver_of(machine, deadline_s=0.2 if fault is Fault.HANGS else 30.0).read()


async def test_what_refuses_to_tell_its_version_is_another(clock: Clock) -> None:
    """A WhatsMiner does."""
    other = WhatsminerV2Emulator(Plant(clock=clock))
    await other.start()

    with pytest.raises(Wrong, match="invalid cmd"):
        await Cgminer(other.host, port=other.port, deadline_s=30.0).identify()
    await other.stop()
