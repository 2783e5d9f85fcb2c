"""Machines that are switched off while they are not needed: when, how, and what is said for them meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptFacts, AttemptOrder, Fence, NodePower, Observed
from tests.one_sleeper import IDLE_W, SPEC, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A machine that is on, with nothing on it."""
    return Bench(tmp_path)


async def test_a_machine_that_is_not_needed_is_shut_down_and_woken(bench: Bench) -> None:
    """Once it was unneeded for a while; what is said of it is what its controller shows."""
    await bench.passes(3)
    assert bench.heard[-1].spec.standby is not None
    bench.wants(standby=True)
    await bench.passes(25)
    assert (bench.host.told, bench.power) == ([], NodePower.ON)
    await bench.passes(25)
    assert (bench.host.told, bench.power) == (["off"], NodePower.STANDBY)
    said = bench.heard[-1]
    assert (said.draw_w, said.gpus, said.alarms) == (25.0, (), ())
    assert said.accepted == Fence(epoch=1, seq=bench.seq)
    sent = len(bench.guards.orders)
    bench.wants(standby=False)
    await bench.passes(10, speaks=False)
    assert (bench.host.told, bench.power) == (["off", "on"], NodePower.BOOTING)
    assert (bench.heard[-1].draw_w, len(bench.heard[-1].gpus)) == (IDLE_W, 2)
    assert len(bench.guards.orders) == sent
    bench.guards.boot += 1
    await bench.passes(7)
    assert (bench.power, bench.heard[-1].boot_id) == (NodePower.ON, "boot-2")
    assert len(bench.guards.orders) > sent


async def test_time_never_runs_back_in_what_is_said(bench: Bench) -> None:
    """A report that seems older would be taken for late."""
    await bench.sleeps()
    bench.wants(standby=False)
    await bench.passes(5, speaks=False)
    by_boot = [r.boottime_s for r in bench.heard if r.boot_id == "boot-1"]
    assert by_boot == sorted(by_boot)


def leave_attempt(bench: Bench) -> None:
    """Its guard has not ended everything."""
    bench.guards.facts = (AttemptFacts(attempt_id="s-1.1", observed=Observed.SAVING),)


def leave_process(bench: Bench) -> None:
    """Something computes there that belongs to nobody."""
    bench.guards.processes = 1


def ignore_orders(bench: Bench) -> None:
    """Its guard did not agree to the newest order."""
    bench.guards.follows = False


def order_attempt(bench: Bench) -> None:
    """There is work for it."""
    attempt = AttemptOrder(
        attempt_id="s-1.1",
        job_id="s-1",
        number=1,
        phase=Phase.RUN,
        gpu_ids=("0",),
        cap_w=300.0,
        tier=4,
        launch=Launch(
            command=("true",), working_dir="/", checkpoint_dir="/c", output_dir="/o", log_path="/l"
        ),
    )
    bench.wanted["attempts"] = (attempt,)


def be_here(bench: Bench) -> None:
    """It is the machine that the scheduler runs on."""
    bench.guards.spec = replace(SPEC, address="127.0.0.1")


def be_a_stranger(bench: Bench) -> None:
    """It never joined."""
    bench.members.clear()


def be_wanted(bench: Bench) -> None:
    """It is to be on."""
    bench.wanted["standby"] = False


@pytest.mark.parametrize(
    "fault",
    [leave_attempt, leave_process, ignore_orders, order_attempt, be_here, be_a_stranger, be_wanted],
)
async def test_who_may_be_needed_is_never_switched_off(bench: Bench, fault: Any) -> None:
    """However long standby is ordered."""
    bench.wants(standby=True)
    fault(bench)
    await bench.passes(400)
    assert (bench.host.told, bench.power) == ([], NodePower.ON)


async def test_a_system_that_does_not_go_is_cut(bench: Bench) -> None:
    """After its time; until it is off it counts as on, and gets no work."""
    bench.host.ignores_shutdown = True
    await bench.passes(3)
    bench.wants(standby=True)
    await bench.passes(80)
    assert (bench.host.told, bench.power) == (["off"], NodePower.BOOTING)
    assert bench.heard[-1].draw_w == IDLE_W
    await bench.passes(30)
    assert (bench.host.told, bench.power) == (["off", "cut"], NodePower.STANDBY)


async def test_a_controller_that_does_nothing_is_an_alarm_and_the_machine_counts_as_on(bench: Bench) -> None:
    """Nobody gets its watts. Called back, it works again."""
    bench.host.ignores = True
    await bench.passes(3)
    bench.wants(standby=True)
    await bench.passes(200)
    assert {r.power for r in bench.heard} == {NodePower.ON, NodePower.BOOTING}
    assert "was switched off and is not: it counts as on" in bench.heard[-1].alarms[0]
    bench.wants(standby=False)
    await bench.passes(320)
    assert bench.power is NodePower.ON


async def test_a_machine_that_cannot_be_seen_counts_as_on(bench: Bench) -> None:
    """Somebody may have switched it on; once its controller answers again, it is what that shows."""
    await bench.sleeps()
    bench.host.silent = True
    await bench.passes(30)
    assert (bench.power, bench.heard[-1].draw_w) == (NodePower.BOOTING, IDLE_W)
    assert "does not answer: the machine counts as on" in bench.heard[-1].alarms[0]
    bench.host.silent = False
    await bench.passes(10)
    assert (bench.power, bench.heard[-1].alarms) == (NodePower.STANDBY, ())


async def test_a_machine_that_is_switched_on_by_hand_counts_at_once(bench: Bench) -> None:
    """It is not switched off again before its guard was heard."""
    await bench.sleeps()
    bench.host.is_on = True
    await bench.passes(8, speaks=False)
    assert bench.power is NodePower.BOOTING
    await bench.passes(250, speaks=False)
    assert "its guard is not heard" in bench.heard[-1].alarms[0]
    await bench.passes(3)
    assert (bench.power, bench.host.told) == (NodePower.ON, ["off"])


async def test_a_controller_of_another_machine_is_found_out(bench: Bench) -> None:
    """What it switched off is switched on again, and no machine of this name is switched any more."""
    await bench.sleeps()
    await bench.passes(30, speaks=True)
    assert bench.power is NodePower.ON
    assert "url names another machine" in bench.heard[-1].alarms[0]
    assert bench.host.told == ["off", "on"]
    await bench.passes(300)
    assert bench.host.told == ["off", "on"]


async def test_a_new_scheduler_knows_what_sleeps(bench: Bench) -> None:
    """It speaks for it, wakes it when it is needed, and forgets it then."""
    await bench.sleeps()
    bench.begin()
    bench.wants(standby=True)
    await bench.passes(10)
    assert bench.power is NodePower.STANDBY
    bench.wants(standby=False)
    await bench.passes(5, speaks=False)
    await bench.passes(5)
    assert (bench.host.told, bench.power) == (["off", "on"], NodePower.ON)
    assert list((bench.folder / "asleep").iterdir()) == []


async def test_a_machine_that_was_told_to_shut_down_by_an_earlier_scheduler_has_its_time(
    bench: Bench,
) -> None:
    """It may go any moment: no work for it until it went, or did not."""
    bench.host.ignores_shutdown = True
    await bench.passes(3)
    bench.wants(standby=True)
    await bench.passes(40)
    assert bench.host.told == ["off"]
    bench.begin()
    bench.wants(standby=False)
    await bench.passes(50)
    assert bench.power is NodePower.BOOTING
    await bench.passes(20)
    assert (bench.power, bench.host.told) == (NodePower.ON, ["off"])


async def test_what_was_switched_off_by_others_is_left_alone(bench: Bench) -> None:
    """Nothing is said for it, and it is not switched on."""
    await bench.passes(3)
    bench.host.is_on, heard = False, len(bench.heard)
    await bench.passes(300)
    assert bench.host.told == []
    assert {r.power for r in bench.heard[heard:]} == {NodePower.ON}


async def test_a_node_that_left_the_site_stays_as_it_is(bench: Bench) -> None:
    """And nobody speaks for it."""
    await bench.sleeps()
    bench.members.clear()
    running = asyncio.ensure_future(bench.cluster.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.cluster._berths == {}
    assert (bench.host.told, list((bench.folder / "asleep").iterdir())) == (["off"], [])
