"""Tokens, limits and states of a Braiins OS machine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.miners.braiins import MAX_W, MIN_W, PASSWORD, TOKEN_S, VERSION, BraiinsEmulator
from tests.miners.effect import Wake, carry_out
from workers.miners.braiins import Braiins
from workers.miners.port import Credentials, MinerState, NotUnderstood, Refused, WattTargets


@pytest.fixture
async def machine() -> AsyncIterator[BraiinsEmulator]:
    """A machine that runs."""
    machine = BraiinsEmulator()
    await machine.start()
    yield machine
    await machine.stop()


@pytest.fixture
async def miner(machine: BraiinsEmulator) -> AsyncIterator[Braiins]:
    """Its driver."""
    credentials = Credentials(user="root", password=PASSWORD)
    miner = Braiins(machine.host, port=machine.port, credentials=credentials, deadline_s=30.0)
    yield miner
    await miner.close()


async def test_it_is_known_by_name_number_and_limits(miner: Braiins) -> None:
    """What a registry of machines needs."""
    identity = await miner.identify()

    assert (identity.model, identity.firmware, identity.firmware_version) == (
        "Antminer S21",
        "Braiins OS",
        VERSION,
    )
    assert (identity.serial, identity.mac) == ("BOS-0001", "02:42:4f:53:00:01")
    assert identity.capabilities.watts == WattTargets(min_w=MIN_W, max_w=MAX_W)
    assert identity.capabilities.percent is None


async def test_one_login_serves_many_calls(miner: Braiins, machine: BraiinsEmulator) -> None:
    """Each use refreshes it."""
    for _ in range(3):
        machine.later_s += TOKEN_S - 1
        await miner.read()

    assert machine.logins == 1


async def test_a_forgotten_token_is_replaced_within_the_call(
    miner: Braiins, machine: BraiinsEmulator
) -> None:
    """A machine that restarted is put to sleep all the same."""
    await miner.read()
    machine.forgets_tokens()
    await miner.sleep()

    assert machine.plant.asleep
    assert machine.logins == 2


async def test_a_changed_password_is_refused_once(miner: Braiins, machine: BraiinsEmulator) -> None:
    """It is not tried again and again: that locks accounts."""
    await miner.read()
    machine.password = "another"  # noqa: S105 (of an emulated machine)
    machine.forgets_tokens()
    asked = len(machine.requests)

    with pytest.raises(Refused, match="password of 'root'"):
        await miner.sleep()
    assert [request.split()[1] for request in machine.requests[asked:]] == [
        "/api/v1/actions/pause",
        "/api/v1/auth/login",
    ]


async def test_a_tuner_that_does_not_run_by_power_takes_no_watts(
    miner: Braiins, machine: BraiinsEmulator
) -> None:
    """It can sleep and wake, and says so."""
    machine.by_power = False
    assert (await miner.identify()).capabilities.watts is None

    with pytest.raises(Refused, match="power target"):
        await miner.set_target_w(2500.0)


async def test_a_waking_machine_ramps(miner: Braiins, machine: BraiinsEmulator) -> None:
    """Awake at once by its status, it runs only when its tuner is steady and it hashes."""
    await miner.sleep()
    machine.plant.restart(boot_s=1e6)
    await miner.wake()

    assert (await miner.read()).state is MinerState.RAMPING
    effect = await carry_out(miner, Wake(), nameplate_w=3400.0, deadline_s=0.05, poll_s=0.01)
    assert not effect.is_confirmed


async def test_a_machine_that_stops_by_itself_is_faulted(miner: Braiins, machine: BraiinsEmulator) -> None:
    """Suspended is not paused: nobody told it to."""
    machine.plant.is_dead = True
    reading = await miner.read()

    assert (reading.state, reading.fault) == (MinerState.FAULTED, "suspended by its firmware")


async def test_pools_and_temperatures_are_observed(miner: Braiins, machine: BraiinsEmulator) -> None:
    """For the record; they change slowly, so the next readings do not ask for them again."""
    reading = await miner.read()
    assert [(pool.url, pool.user) for pool in reading.pools] == [
        ("stratum+tcp://pool.example:3333", "site.emulated")
    ]
    assert reading.temperatures_c == (58.0, 58.0, 58.0)

    asked = len(machine.requests)
    assert (await miner.read()).pools == reading.pools
    assert len(machine.requests) == asked + 3


async def test_a_kept_connection_that_the_machine_closed_is_replaced(
    miner: Braiins, machine: BraiinsEmulator
) -> None:
    """Nobody notices: the question goes over a new one."""
    await miner.read()
    host, port = machine.host, machine.port
    await machine.stop()
    await machine.start(host=host, port=port)

    assert (await miner.read()).state is MinerState.RUNNING


async def test_a_status_without_meaning_is_not_understood(miner: Braiins, machine: BraiinsEmulator) -> None:
    """Better no state than a guess."""
    machine.status = 9

    with pytest.raises(NotUnderstood, match="status is 9"):
        await miner.read()


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), 10**400])
async def test_figures_that_are_none_are_not_told(
    machine: BraiinsEmulator, miner: Braiins, figure: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON lets a machine say what no site can reckon with."""
    stats = machine._stats()
    stats["power_stats"]["approximated_consumption"]["watt"] = figure
    monkeypatch.setattr(machine, "_stats", lambda: stats)

    assert (await miner.read()).draw_w is None
