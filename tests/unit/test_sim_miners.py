"""Simulated miners follow their targets after a while each, however often they are told another."""

from __future__ import annotations

import pytest

from scheduler.core.decide import PowerAware
from scheduler.sim.capacity import Capacity
from scheduler.sim.metrics import summary
from scheduler.sim.miners import reached_w
from scheduler.sim.run import run
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.workload import PowerTrace, SimJob


@pytest.mark.parametrize(
    "drawn_w, target_w, newest_w, reached",
    [
        (900.0, 500.0, 500.0, 500.0),  # down
        (900.0, 500.0, 450.0, 500.0),  # down to the first of two steps; the second has its own time
        (900.0, 500.0, 800.0, 500.0),  # down, and up again later
        (100.0, 500.0, 500.0, 500.0),  # up
        (100.0, 500.0, 300.0, 300.0),  # up no further than is still wanted
        (100.0, 500.0, 0.0, 100.0),  # not up any more; down later
    ],
)
def test_a_later_target_puts_off_no_fall_and_takes_back_a_rise(
    drawn_w: float, target_w: float, newest_w: float, reached: float
) -> None:
    """What was told first is reached when that is due."""
    assert reached_w(drawn_w, target_w, newest_w, is_stubborn=False) == reached
    assert reached_w(drawn_w, target_w, newest_w, is_stubborn=True) >= max(drawn_w, reached)


def test_miners_on_a_ramp_fall_when_the_limit_does() -> None:
    """They are told of a step down each second, for a job that waits for their watts, and keep the limit meanwhile."""
    site = SimSite(
        nodes=1,
        gpus=4,
        base_w=300.0,
        overhead=1.0,
        standby=None,
        firm_w=1000.0,
        partners=(Partner(name="m1", max_w=4000.0),),
        owners=(),
        mining_ramp_down_w_per_s=5.0,
    )
    power = PowerTrace(name="a fall", steps=((0.0, 4500.0), (600.0, 2000.0)))
    job = SimJob(id="j", arrives_s=599.0, gpus=4, work_s=300.0)
    outcome = run([job], power, site, PowerAware(), window_s=1800.0)

    found = summary(outcome, None, site=Capacity.of(site))
    assert (found["violation_s"], found["finished"]) == (0.0, 1)
