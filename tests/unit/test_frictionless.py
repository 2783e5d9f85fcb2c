"""A site that nothing gets in the way of, by hand: what is kept by who goes first, and by what moving takes."""

from __future__ import annotations

import pytest

from benchmarks.frictionless import WAYS, played
from scheduler.sim.inputs import Inputs
from scheduler.sim.site import SimSite
from scheduler.sim.windows import Workload
from scheduler.sim.workload import PowerTrace, SimJob
from tests.simulated_world import job

AMPLE_W = 700e3
HOUR_S = 3600.0


def inputs(
    *jobs: SimJob, hours: int = 2, steps: tuple[tuple[float, float], ...] = ((0.0, AMPLE_W),)
) -> Inputs:
    """These jobs in so many hours."""
    window_s = hours * HOUR_S
    workload = Workload(name="made", jobs=jobs, window_s=window_s, notes=())
    return Inputs(workload=workload, power=PowerTrace(name="made", steps=steps), window_s=window_s, notes=())


def done(given: Inputs, **way: bool) -> float:
    """GPU-hours on the standard grid's site."""
    return played(given, SimSite(), **way)


def test_with_ample_power_all_is_done_at_full_speed() -> None:
    """Whoever goes first, and without a change of the limit moving takes nothing."""
    given = inputs(job("a", gpus=8), job("b", gpus=100, work_s=7200.0, arrives_s=1800.0))

    for way in WAYS.values():
        assert done(given, **way) == pytest.approx(8.0 + 150.0)


def test_who_lasts_longest_goes_first_where_that_is_known() -> None:
    """Who is short fits in at the end, and the other way round GPUs are left idle there."""
    given = inputs(*(job(f"{i}", gpus=256) for i in range(2)), job("long", gpus=256, work_s=7200.0))

    assert done(given) == pytest.approx(256.0 * 3)
    assert done(given, longest=True) == pytest.approx(256.0 * 4, rel=0.01)


def test_moving_costs_a_boot_and_a_restore_after_a_rise_and_a_save_after_a_fall() -> None:
    """All that the rise brings is late; while nodes are cleared nobody works."""
    rise = inputs(job("a", gpus=512, work_s=1e6), steps=((0.0, 160e3), (HOUR_S, AMPLE_W)))
    fall = inputs(job("a", gpus=512, work_s=1e6), steps=((0.0, AMPLE_W), (HOUR_S, 160e3)))

    assert 0.0 < done(rise) - done(rise, moving=True) <= 512 * 300.0 / HOUR_S
    assert done(fall) - done(fall, moving=True) == pytest.approx(248.2 * 65.0 / HOUR_S, rel=0.01)


def test_what_is_drawn_under_caps_leaves_watts_for_others() -> None:
    """Where watts are short more is done if GPUs count with their draw, where they are not as much."""
    short = inputs(job("a", gpus=512, work_s=1e6), steps=((0.0, 160e3),))
    ample = inputs(job("a", gpus=512, work_s=1e6))
    model = SimSite().model

    assert 1.0 < done(short, drawn=True) / done(short) < 250.0 / model.busy_w(250.0)
    assert done(ample, drawn=True) == pytest.approx(done(ample))
