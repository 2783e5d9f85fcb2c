"""The figures of an event: depth, transients, rebound, speeds, the cost of restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.sim.outcome import Interval, JobOutcome, RunOutcome
from scheduler.sim.phoenix.event import Event, Stage
from scheduler.sim.phoenix.figures import (
    Restarts,
    by_tier,
    gpu_minutes_w,
    job_speeds,
    keeping,
    restarts,
    shape,
    site_minutes_w,
)
from scheduler.sim.workload import SimJob
from tests.phoenix_data import SITE

EVENT = Event(
    name="two",
    title="two",
    stages=(Stage(starts_s=600.0, cut=0.1, ramp_s=300.0), Stage(starts_s=1800.0, cut=0.3, ramp_s=300.0)),
    release_s=3000.0,
    window_s=3600.0,
)


def interval(starts_s: float, site_w: float, limit_w: float = 1000.0) -> Interval:
    """What held from then on."""
    return Interval(
        starts_s=starts_s,
        limit_w=limit_w,
        site_w=site_w,
        ai_w=site_w,
        idle_w=0.0,
        miners_w={},
        waiting_gpus=0,
        running_gpus=8,
        powered_nodes=1,
    )


def outcome(*intervals: Interval, jobs: tuple[JobOutcome, ...] = (), window_s: float = 3600.0) -> RunOutcome:
    """A run of these."""
    return RunOutcome(
        policy="p",
        jobs_name="j",
        power_name="w",
        seed=0,
        window_s=window_s,
        reaction_s=30.0,
        intervals=intervals or (interval(0.0, 1.0),),
        jobs=jobs,
        wall_s=0.0,
    )


def job(name: str, *, kept_gpu_s: float, tier: int = 3, gpus: int = 8, **facts: float) -> JobOutcome:
    """What became of a job."""
    plain = JobOutcome(
        job=SimJob(id=name, arrives_s=0.0, gpus=gpus, work_s=1e6, flex=tier),
        started_s=0.0,
        finished_s=None,
        kept_gpu_s=kept_gpu_s,
        lost_gpu_s=0.0,
        pauses=0,
        kills=0,
        energy_wh=0.0,
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


def test_the_shape_of_an_event() -> None:
    """Each stage's level once its ramp is over, the deepest minute, how far it was below its stage, the rebound."""
    minutes = [100.0] * 10 + [95.0] * 5 + [90.0] * 15 + [80.0] * 5 + [70.0] * 15 + [104.0] * 10
    minutes[40] = 55.0
    found = shape(minutes, EVENT, baseline_w=100.0)

    assert found.held_cuts == pytest.approx((0.1, 0.31))
    assert found.settled_after_s == 5 * 60.0
    assert found.deepest_cut == pytest.approx(0.45)
    assert found.overshoot == pytest.approx(0.14)
    assert found.rebound == pytest.approx(1.04)


def test_a_draw_that_never_settles_is_told() -> None:
    """A single low minute is no level."""
    minutes = [100.0] * 10 + [60.0, 100.0] * 10 + [60.0] * 20 + [100.0] * 10
    assert shape(minutes, EVENT, baseline_w=100.0).settled_after_s is None


def test_a_trace_that_ends_within_the_event_is_refused() -> None:
    """There would be no rebound to look for."""
    with pytest.raises(ValueError, match="50 minutes; more than 50 are needed"):
        shape([1.0] * 50, EVENT, baseline_w=1.0)


def test_minutes_are_means_of_what_held() -> None:
    """Intervals of any length, cut at the minutes; of the GPUs alone without the nodes that hold them."""
    run = outcome(interval(0.0, 2000.0), interval(90.0, 4000.0), interval(100.0, 1000.0), window_s=180.0)

    assert site_minutes_w(run) == pytest.approx([2000.0, (30 * 2000 + 10 * 4000 + 20 * 1000) / 60, 1000.0])
    assert gpu_minutes_w(run, SITE)[0] == 2000.0 - 2 * 500.0


def test_keeping_to_a_limit() -> None:
    """Seconds over it, the longest stretch of them, and what each stage left of it."""
    run = outcome(
        interval(0.0, 900.0), interval(100.0, 1001.0), interval(130.0, 1002.0), interval(150.0, 800.0),
        interval(2000.0, 1001.0), interval(2010.0, 500.0, limit_w=625.0), window_s=3600.0,
    )  # fmt: skip
    found = keeping(run, EVENT)

    assert (found.over_limit_s, found.comply_s) == (60.0, 50.0)
    assert found.under_limit == pytest.approx((0.2, 0.2))


def test_speeds_are_progress_between_two_windows() -> None:
    """Of each job, and by tier weighted by GPUs."""
    before = outcome(jobs=(job("a", kept_gpu_s=100.0), job("b", kept_gpu_s=0.0, gpus=24)), window_s=1000.0)
    after = outcome(
        jobs=(job("a", kept_gpu_s=100.0 + 8 * 600), job("b", kept_gpu_s=24 * 1000.0, gpus=24)),
        window_s=2000.0,
    )
    speeds = job_speeds(before, after)

    assert [(s.job, s.tier, s.speed) for s in speeds] == [("a", 3, 0.6), ("b", 3, 1.0)]
    assert by_tier(speeds, {"a": 8, "b": 24}) == {3: pytest.approx(0.9)}


def test_restarts_cost_what_was_lost_over_what_was_held() -> None:
    """And nothing where nothing was paused."""
    lost = job("a", kept_gpu_s=0.0, lost_gpu_s=8 * 240.0, pauses=2)

    assert restarts(outcome(jobs=(lost, job("b", kept_gpu_s=0.0)))) == Restarts(
        pauses=2, kills=0, dead_s=120.0
    )
    assert restarts(outcome(jobs=(job("b", kept_gpu_s=0.0),))).dead_s is None
