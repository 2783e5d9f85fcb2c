"""What a site can compute under a limit, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.core.power import CapPoint, GpuModel
from scheduler.sim.bound import upper_bound
from scheduler.sim.capacity import Capacity, capacity_integral
from scheduler.sim.value import value_weights
from scheduler.sim.workload import PowerTrace
from tests.simulated_world import job

GRID = Capacity()


@pytest.mark.parametrize(
    "limit_w, gpus",
    [
        (0.0, 0.0),
        (64 * 1.25 * (1200 + 8 * 245), 64 * 8 * 0.78),  # all nodes at the knee, 250 W
        (32 * 1.25 * (1200 + 8 * 245), 32 * 8 * 0.78),  # below it half of the nodes, the others in standby
        (64 * 1.25 * (1200 + 8 * (245 + 291) / 2), 64 * 8 * (0.78 + 0.87) / 2),  # above it caps in between
        (64 * 1.25 * (1200 + 8 * 382), 512.0),
        (10e6, 512.0),
    ],
)
def test_the_hull_of_the_standard_grid(limit_w: float, gpus: float) -> None:
    """Below the knee fewer nodes, above it higher caps."""
    assert float(GRID.capacity_gpus(limit_w)) == pytest.approx(gpus)


def test_true_draw_counts_not_the_charge() -> None:
    """A limit that holds all GPUs at the 382 W that they draw is enough, though 400 W each are charged."""
    assert float(GRID.capacity_gpus(64 * 1.25 * (1200 + 8 * 382))) == pytest.approx(512.0)
    assert float(GRID.capacity_gpus(64 * 1.25 * (1200 + 8 * 381))) < 512.0


def test_standby_and_auxiliary_come_first() -> None:
    """What nodes draw in standby and what the site draws by itself is not there for work."""
    site = Capacity(nodes=10, standby_w=50.0, auxiliary_w=1000.0)

    assert float(site.capacity_gpus(1000.0 + 1.25 * 500.0)) == 0.0
    assert float(site.capacity_gpus(1000.0 + 1.25 * 10 * (1200 + 8 * 382))) == pytest.approx(80.0)


def test_capacity_is_taken_of_every_step_not_of_their_mean() -> None:
    """Half an hour of plenty and half an hour of nothing is worth less than an hour of half."""
    edges_s = np.array([0.0, 3600.0, 7200.0])
    flickers = tuple((900.0 * i, 700e3 if i % 2 == 0 else 0.0) for i in range(8))

    found = capacity_integral(GRID, flickers, edges_s)

    assert found == pytest.approx([512 * 1800.0, 512 * 1800.0])
    assert found[0] < float(GRID.capacity_gpus(350e3)) * 3600.0


def test_a_trace_that_begins_late_is_refused() -> None:
    """Nobody knows the limit before its first step."""
    with pytest.raises(ValueError, match=r"let them begin at or before 0\.0 s"):
        upper_bound(GRID, PowerTrace(name="late", steps=((60.0, 1.0),)), [job("a")], window_s=3600.0)


def test_a_length_of_nothing_is_refused() -> None:
    """It would divide by it."""
    with pytest.raises(ValueError, match="let each be above 0"):
        upper_bound(GRID, PowerTrace(name="x", steps=((0.0, 1.0),)), [], window_s=0.0)


def test_ten_more_of_priority_is_worth_twice() -> None:
    """Up to a thousandfold."""
    assert value_weights([0, 10, -10, 5000]).tolist() == [1.0, 2.0, 0.5, 1024.0]


SMALL = GpuModel(
    name="small",
    tdp_w=400.0,
    idle_w=50.0,
    context_w=40.0,
    curve=(
        CapPoint(cap_w=200.0, speed=0.6, draw_w=200.0),
        CapPoint(cap_w=400.0, speed=1.0, draw_w=380.0),
    ),
)


@pytest.mark.parametrize(
    "limit_w, gpu_h, caps_gpu_h",
    [
        (200.0, 0.6, 0.6),  # one GPU at the thriftier cap
        (300.0, 0.9, 0.6 + 0.4 * 100 / 200),  # 1.5 GPUs at that cap, were the job not on one
        (380.0, 1.0, 0.6 + 0.4 * 180 / 200),  # all of its speed is drawn, and 400 W are charged
        (400.0, 1.0, 1.0),
    ],
)
def test_by_caps_a_job_has_the_curve_of_its_own_gpus(limit_w: float, gpu_h: float, caps_gpu_h: float) -> None:
    """One GPU for an hour, on a node of two that costs nothing."""
    site = Capacity(nodes=1, gpus_per_node=2, node_base_w=0.0, gpu=SMALL, overhead=1.0)
    power = PowerTrace(name="level", steps=((0.0, limit_w),))

    found = upper_bound(site, power, [job("a", gpus=1, work_s=7200.0)], window_s=3600.0)

    assert found.gpu_h == pytest.approx(gpu_h)
    assert found.caps_gpu_h == pytest.approx(caps_gpu_h)


def test_by_caps_a_node_in_standby_draws_what_it_draws() -> None:
    """And leaves less for the others."""
    site = Capacity(nodes=2, gpus_per_node=1, node_base_w=100.0, gpu=SMALL, overhead=1.0)
    power = PowerTrace(name="level", steps=((0.0, 340.0),))
    jobs = [job("a", gpus=1, work_s=7200.0)]

    off = upper_bound(site, power, jobs, window_s=3600.0)
    resting = upper_bound(site, power, jobs, window_s=3600.0, standby_w=40.0)

    assert off.caps_gpu_h == pytest.approx(0.6 + 0.4 * 40 / 200)
    assert resting.caps_gpu_h == pytest.approx(0.6)
    assert resting.gpu_h == off.gpu_h


def test_the_bound_says_what_was_offered(capfd: pytest.CaptureFixture[str]) -> None:
    """Work that arrives, what of it fits before the end, what the site could do; and the solver prints nothing."""
    jobs = [
        job("fits", gpus=2, work_s=1800.0),
        job("cut", arrives_s=5400.0, gpus=8, work_s=7200.0),
        job("late", arrives_s=7200.0),
    ]
    power = PowerTrace(name="plenty", steps=((0.0, 700e3),))

    found = upper_bound(GRID, power, jobs, window_s=7200.0)

    assert found.offered_gpu_h == pytest.approx(1.0 + 16.0)
    assert found.reachable_gpu_h == pytest.approx(1.0 + 4.0)
    assert found.gpu_h == pytest.approx(5.0)
    assert found.value == found.gpu_h
    assert found.capacity_gpu_h == pytest.approx(1024.0)
    assert capfd.readouterr() == ("", "")
