"""A simulated node in virtual time: processes, progress, draw, standby and leases."""

from __future__ import annotations

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.orders import NodePower, Observed
from scheduler.core.power import A100_SXM
from tests.simulated import Bench

IDLE_W = 1200.0 + 4 * 55.0


def test_a_job_takes_its_work_at_full_speed() -> None:
    """Uncapped, a second of work takes a second; then its processes end with 0."""
    bench = Bench(work_s=100.0)
    bench.tell()
    bench.wait(99.0)
    assert bench.seen() == ["running"]
    bench.wait(1.0)
    assert bench.seen() == ["ended"]
    assert bench.nodes[0].report().attempts[0].exit_code == 0
    assert bench.run.progress_s == 100.0
    assert bench.nodes[0].draw_w() == IDLE_W


def test_facts_are_the_same_object_until_they_tell_something_else() -> None:
    """Of one who was suspended, too: that he is is told anew, and then nothing is."""
    bench = Bench(work_s=100.0)
    bench.tell()
    bench.wait(10.0)
    ran = bench.nodes[0].report().attempts[0]
    assert bench.nodes[0].report().attempts[0] is ran

    bench.tell(Phase.SUSPEND)
    bench.wait(10.0)
    held = bench.nodes[0].report().attempts[0]
    assert (ran.observed, held.observed) == (Observed.RUNNING, Observed.SUSPENDED)
    bench.wait(10.0)
    assert bench.nodes[0].report().attempts[0] is held


def test_a_gang_goes_at_the_speed_of_its_lowest_cap() -> None:
    """One capped member slows both."""
    bench = Bench(2)
    bench.order(0, bench.attempt(cap_w=400.0))
    bench.order(1, bench.attempt(cap_w=200.0, node_rank=1))
    bench.wait(100.0)
    assert bench.run.progress_s == pytest.approx(100.0 * A100_SXM.speed(200.0))


def test_caps_that_come_and_go_put_the_end_off_and_bring_it_back() -> None:
    """It is done when its work is, however often that was foreseen for another instant."""
    bench = Bench(work_s=1000.0)
    bench.tell(cap_w=400.0)
    bench.wait(100.0)
    bench.tell(cap_w=200.0)
    bench.wait(100.0)
    bench.tell(Phase.SUSPEND)
    bench.wait(5000.0)
    bench.tell(cap_w=400.0)
    left_s = 1000.0 - 100.0 - 100.0 * A100_SXM.speed(200.0) - 1.0 * A100_SXM.speed(100.0)
    bench.wait(left_s - 0.001)
    assert bench.seen() == ["running"]
    bench.wait(0.002)
    assert bench.seen() == ["ended"]
    assert bench.run.progress_s == 1000.0


def test_a_gang_waits_for_all_its_members() -> None:
    """Until the last one is there nothing computes, and the others hold their GPUs."""
    bench = Bench(2)
    bench.order(0, bench.attempt())
    bench.wait(50.0)
    assert bench.run.progress_s == 0.0
    assert bench.nodes[0].draw_w() == 1200.0 + 4 * 95.0
    bench.order(1, bench.attempt(node_rank=1))
    bench.wait(10.0)
    assert bench.run.progress_s == pytest.approx(10.0)


def test_energy_is_that_of_computing_gpus_with_their_overhead() -> None:
    """Watt-seconds at the site meter, under each cap for as long as it held."""
    bench = Bench()
    bench.tell(cap_w=400.0)
    bench.wait(100.0)
    bench.tell(cap_w=300.0)
    bench.wait(50.0)
    assert bench.run.energy_j == pytest.approx(1.25 * 4 * (100.0 * 382.0 + 50.0 * 291.0))


def test_a_suspended_job_keeps_its_gpus_and_loses_nothing() -> None:
    """It holds at the step boundary, draws its contexts, and goes on where it was."""
    bench = Bench(suspend_s=1.0)
    bench.tell()
    bench.wait(100.0)
    bench.tell(Phase.SUSPEND)
    bench.wait(1.0)
    assert bench.seen() == ["suspended"]
    held_s = bench.run.progress_s
    bench.wait(500.0)
    assert bench.nodes[0].draw_w() == 1200.0 + 4 * 95.0
    assert bench.run.progress_s == held_s
    bench.tell()
    bench.wait(10.0)
    assert bench.run.progress_s == pytest.approx(held_s + 10.0)
    assert (bench.run.lost_gpu_s, bench.run.pauses, bench.run.kills) == (0.0, 1, 0)


def test_a_saved_job_goes_on_elsewhere_and_loses_the_time_of_save_and_restore() -> None:
    """Its GPUs are held for nothing while it saves, and while it loads once more."""
    bench = Bench(save_s=30.0, restore_s=90.0)
    bench.tell()
    bench.wait(100.0)
    bench.tell(Phase.SAVE_EXIT)
    assert bench.seen() == ["saving"]
    bench.wait(30.0)
    facts = bench.nodes[0].report().attempts[0]
    assert (facts.exit_code, facts.asked_to_exit, facts.committed_step) == (85, True, 100)
    bench.tell(number=2)
    bench.wait(89.0)
    assert bench.seen() == ["starting"]
    bench.wait(11.0)
    assert bench.run.progress_s == pytest.approx(110.0)
    assert bench.run.lost_gpu_s == pytest.approx(4 * (30.0 + 90.0))
    assert (bench.run.pauses, bench.run.kills) == (1, 0)


def test_a_killed_job_rolls_back_to_its_last_periodic_commit() -> None:
    """Commits are made while it computes, by its own clock."""
    bench = Bench(checkpoint_interval_s=60.0)
    bench.tell(cap_w=200.0)
    bench.wait(150.0)
    bench.tell(Phase.KILL)
    speed = A100_SXM.speed(200.0)
    assert bench.run.committed_s == pytest.approx(120.0 * speed)
    assert bench.run.lost_gpu_s == pytest.approx(4 * 30.0 * speed)
    assert bench.run.kills == 1
    assert bench.nodes[0].report().attempts[0].killed


def test_a_save_that_takes_longer_than_its_grace_is_killed() -> None:
    """What it did since its last commit is lost."""
    bench = Bench(save_s=61.0)
    bench.tell()
    bench.wait(10.0)
    bench.tell(Phase.SAVE_EXIT)
    bench.wait(60.0)
    assert bench.nodes[0].report().attempts[0].killed
    assert bench.run.lost_gpu_s == pytest.approx(4 * (60.0 + 10.0))


def test_who_was_told_to_leave_is_never_called_back() -> None:
    """A later order to run changes nothing."""
    bench = Bench()
    bench.tell()
    bench.wait(10.0)
    bench.tell(Phase.SAVE_EXIT)
    bench.tell()
    bench.wait(30.0)
    assert bench.seen() == ["ended"]


def test_an_idle_node_goes_to_standby_and_comes_back() -> None:
    """It takes its time to go down and to boot; work that is sent meanwhile waits."""
    bench = Bench()
    node = bench.nodes[0]
    bench.order(0, standby=True)
    bench.wait(29.0)
    assert node.draw_w() == IDLE_W
    bench.wait(1.0)
    assert (node.report().power, node.draw_w()) == (NodePower.STANDBY, 30.0)
    bench.tell()
    assert node.report().power is NodePower.BOOTING
    assert bench.seen() == ["absent"]
    bench.wait(180.0)
    assert node.report().power is NodePower.ON
    assert bench.seen() == ["running"]


def test_a_node_in_standby_sleeps_on_when_its_lease_lapses() -> None:
    """So does one on its way there: a machine that is off is switched on by who takes over, and by nobody else."""
    bench = Bench(2)
    bench.order(0, standby=True, lease_s=60.0)
    bench.wait(50.0)
    bench.order(1, standby=True, lease_s=20.0)
    bench.wait(600.0)
    assert [n.power for n in bench.nodes] == [NodePower.STANDBY] * 2
    bench.order(0)
    assert bench.nodes[0].power is NodePower.BOOTING


def test_a_node_with_work_does_not_go_to_standby_before_that_has_ended() -> None:
    """What is on it goes on."""
    bench = Bench(work_s=100.0)
    bench.tell(standby=True)
    bench.wait(99.0)
    assert bench.nodes[0].report().power is NodePower.ON
    bench.wait(31.0)
    assert bench.nodes[0].report().power is NodePower.STANDBY


def test_a_guard_whose_lease_lapses_suspends_and_then_saves() -> None:
    """Nobody has to tell it."""
    bench = Bench(save_s=30.0)
    bench.tell(lease_s=15.0)
    bench.wait(17.0)
    report = bench.nodes[0].report()
    assert report.in_fallback
    assert bench.seen() == ["suspended"]
    bench.wait(4.0)
    assert bench.seen() == ["saving"]
    bench.wait(30.0)
    assert bench.nodes[0].report().attempts[0].committed_step == 15


def test_a_node_without_power_loses_what_was_not_committed() -> None:
    """Its processes are gone; back again, it knows that they were."""
    bench = Bench(checkpoint_interval_s=60.0)
    bench.tell()
    bench.wait(100.0)
    node = bench.nodes[0]
    node.go_dark()
    assert node.draw_w() == 0.0
    assert bench.run.progress_s == pytest.approx(60.0)
    node.wake()
    report = node.report()
    assert report.power is NodePower.BOOTING
    assert (report.attempts[0].observed, report.attempts[0].exit_code) == ("ended", None)
    bench.wait(180.0)
    assert node.report().power is NodePower.ON
