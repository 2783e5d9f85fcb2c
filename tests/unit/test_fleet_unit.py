"""One machine of a LAN, by what it is told, what it says, and what its outlet says."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from scheduler.core.obedience import OutletSaid
from workers.clock import boottime_s
from workers.fleet.config import Firmware, LanConfig
from workers.fleet.firmware import Found
from workers.fleet.known import Known
from workers.fleet.unit import DEAF_S, TRIM_S, Unit
from workers.miners.port import (
    Capabilities,
    Identity,
    MachineReading,
    Miner,
    MinerState,
    PercentTrim,
    WattTargets,
)
from workers.outlets.port import Outlet

NAMEPLATE_W, REST_W = 3400.0, 25.0
CONFIG = LanConfig(addresses=("10.1.0.7",), count=1, max_w=NAMEPLATE_W, rest_w=REST_W)
IDENTITY = Identity(
    make="Bitmain",
    model="S19",
    firmware="luxos",
    firmware_version="1",
    serial="s-7",
    capabilities=Capabilities(pause=True, watts=WattTargets(min_w=1500.0, max_w=NAMEPLATE_W)),
)


class Silent:
    """What a unit needs of a driver and of an outlet: a name."""

    address = "10.1.0.7:4028"


def unit(*, has_outlet: bool = False) -> Unit:
    """A machine that was just recognised."""
    known = Known(firmware=Firmware.LUXOS, identity=IDENTITY, nameplate_w=NAMEPLATE_W)
    outlet = cast("Outlet", Silent()) if has_outlet else None
    return Unit("m7", known, cast("Miner", Silent()), CONFIG, outlet=outlet)


def works(draw_w: float = NAMEPLATE_W, target_w: float = NAMEPLATE_W) -> MachineReading:
    """It says that it hashes."""
    return MachineReading(state=MinerState.RUNNING, draw_w=draw_w, target_w=target_w)


def sleeps(draw_w: float = 20.0) -> MachineReading:
    """It says that it sleeps."""
    return MachineReading(state=MinerState.ASLEEP, draw_w=draw_w)


def test_an_outlet_that_was_read_long_ago_says_nothing_of_now() -> None:
    """It is read while its machine is in doubt. Later the machine's own word is the newer one."""
    now_s = boottime_s()
    machine = unit(has_outlet=True)
    machine.hears(sleeps(), now_s - 100.0)
    machine.outlet_said = OutletSaid(at_s=now_s - 100.0, is_on=True, draw_w=18.0)
    machine.judge(now_s - 100.0)
    machine.want(machine.max_w, now_s - 90.0)
    machine.hears(works(3350.0), now_s)
    machine.judge(now_s)

    assert machine.draw_w == 3350.0
    assert machine.miner_reading.draw_w == 3350.0 - REST_W


def test_a_machine_that_wakes_by_itself_counts_whatever_its_outlet_said_before() -> None:
    """The meter showed that it slept; what the machine says since is newer."""
    now_s = boottime_s()
    machine = unit(has_outlet=True)
    machine.want(machine.max_w, now_s - 100.0)
    machine.want(0.0, now_s - 60.0)
    machine.hears(sleeps(), now_s - 20.0)
    machine.outlet_said = OutletSaid(at_s=now_s - 20.0, is_on=True, draw_w=20.0)
    machine.judge(now_s - 20.0)
    assert machine.in_doubt_w == 0.0

    machine.hears(works(3300.0), now_s)
    machine.judge(now_s)

    assert machine.in_doubt_w == 3300.0 - REST_W


def test_a_trimmed_machine_that_is_recognised_anew_has_the_nameplate_that_it_had() -> None:
    """What it is set to is then our own trim, not what its owner allows it."""
    now_s = boottime_s()
    machine = unit()
    machine.want(2000.0 - REST_W, now_s - 60.0)
    machine.hears(works(2000.0, target_w=2000.0), now_s)
    found = Found(firmware=Firmware.LUXOS, identity=IDENTITY, miner=cast("Miner", Silent()))
    machine.found_again(found, Known(firmware=Firmware.LUXOS, identity=IDENTITY, nameplate_w=2000.0))

    assert machine.nameplate_w == NAMEPLATE_W


def test_a_machine_that_is_recognised_again_is_shut_no_more() -> None:
    """A password that was wrong for a while is none for ever; a refused order is a trouble until one is taken."""
    found = Found(firmware=Firmware.LUXOS, identity=IDENTITY, miner=cast("Miner", Silent()))
    for is_shut, trouble in ((True, ""), (False, "does not take the password")):
        machine = unit()
        machine.trouble, machine.is_shut = "does not take the password", is_shut
        machine.found_again(found, machine.known)
        assert machine.trouble == trouble


def test_another_machine_at_the_same_place_brings_its_own_nameplate_and_word() -> None:
    """What the one before said is not held for its own."""
    now_s = boottime_s()
    machine = unit()
    machine.hears(sleeps(), now_s)
    other = replace(IDENTITY, serial="s-8")
    found = Found(firmware=Firmware.LUXOS, identity=other, miner=cast("Miner", Silent()))
    machine.found_again(found, Known(firmware=Firmware.LUXOS, identity=other, nameplate_w=2000.0))
    machine.judge(now_s)

    assert machine.counts_w == machine.nameplate_w == 2000.0


def test_a_machine_that_cannot_be_trimmed_is_never_raised_by_a_lower_target() -> None:
    """It sleeps, which is the nearest that is not more than it was told."""
    now_s = boottime_s()
    machine = unit()
    machine.spoil(now_s)

    machine.want(2000.0, now_s)

    assert machine.told.wanted_w == 0.0


BY_PERCENT = Capabilities(pause=True, percent=PercentTrim(min_pct=50.0))


def trimmed(seconds: float, reading: MachineReading, can: Capabilities = IDENTITY.capabilities) -> Unit:
    """A machine at full work that was told 2,000 W so long ago, and has said the same ever since."""
    now_s = boottime_s()
    machine = unit()
    machine.known = replace(machine.known, identity=replace(IDENTITY, capabilities=can))
    machine.want(machine.max_w, now_s - 100.0)
    machine.hears(works(), now_s - 90.0)
    machine.judge(now_s - 90.0)
    machine.want(2000.0 - REST_W, now_s - seconds)
    machine.hears(reading, now_s - 0.5)
    machine.judge(now_s)
    assert machine.counts_w >= NAMEPLATE_W or not machine.is_trimmed_in_vain
    return machine


def test_a_machine_that_is_deaf_to_its_trim_is_given_up_as_soon_as_one_that_is_to_sleep() -> None:
    """It tells its old target back, or, where that is not told back, draws as before. Then it runs whole or sleeps."""
    for can in (IDENTITY.capabilities, BY_PERCENT):
        target_w = NAMEPLATE_W if can.percent is None else 2000.0
        assert trimmed(DEAF_S - 1.0, works(3380.0, target_w), can).least_w() is not None
        assert trimmed(DEAF_S + 1.0, works(3380.0, target_w), can).least_w() is None


def test_a_machine_that_is_slow_at_its_trim_is_given_its_time() -> None:
    """It took the target and falls to it as its firmware likes; or its draw is on the way."""
    for can, reading in ((IDENTITY.capabilities, works(3380.0, 2000.0)), (BY_PERCENT, works(3000.0, 2000.0))):
        assert trimmed(TRIM_S - 1.0, reading, can).least_w() is not None
        assert trimmed(TRIM_S + 1.0, reading, can).least_w() is None


def test_a_machine_that_wakes_to_a_trim_is_not_deaf_for_that() -> None:
    """Some take a target only once they run: nothing is held against them before."""
    now_s = boottime_s()
    machine = unit()
    machine.hears(sleeps(), now_s - 60.0)
    machine.want(2000.0 - REST_W, now_s - 20.0)
    machine.hears(works(3000.0, NAMEPLATE_W), now_s)
    machine.judge(now_s)
    assert machine.is_trimmed_in_vain
    assert machine.least_w() is not None
