"""A small Phoenix through the decision core: limits are kept, caps come before pauses, pauses lose no work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.sim.phoenix.closed_loop import ClosedLoop
from scheduler.sim.phoenix.event import (
    ONE_STEP,
    TWO_STEP,
    Event,
    Stage,
    event_jobs,
    event_limit,
    flat_limit,
    phoenix_site,
)
from scheduler.sim.phoenix.figures import keeping, restarts, site_minutes_w
from scheduler.sim.phoenix.replay import as_deep, own_loop, replayed
from scheduler.sim.workload import SimJob
from tests.phoenix_data import SITE, mix

EVENT = Event(
    name="short",
    title="short",
    stages=(Stage(starts_s=2400.0, cut=0.2, ramp_s=300.0),),
    release_s=3600.0,
    window_s=4800.0,
)
FULL_W = 2 * 500.0 + 8 * 380.0 + 8 * 340.0
RUN = own_loop(mix())


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_limit_falls_in_even_steps_and_comes_back() -> None:
    """The ramp ends at the asked level, to the minute."""
    steps = event_limit(EVENT, SITE, baseline_w=1000.0).steps

    assert [s for s, _ in steps] == [0.0, 2400.0, 2460.0, 2520.0, 2580.0, 2640.0, 3600.0]
    assert [w for _, w in steps] == pytest.approx(
        [SITE.contract_w, 960.0, 920.0, 880.0, 840.0, 800.0, SITE.contract_w]
    )


def test_a_second_stage_goes_on_from_the_first() -> None:
    """And each is held to the next."""
    steps = dict(event_limit(TWO_STEP, SITE, baseline_w=100.0).steps)
    first, second = TWO_STEP.stages

    assert steps[first.holds_s - 60.0] == pytest.approx(85.0)
    assert steps[second.holds_s - 60.0] == pytest.approx(75.0)
    assert TWO_STEP.held_s(first) == (4500.0, 13_500.0)
    assert TWO_STEP.held_s(second) == (14_400.0, 21_720.0)
    assert ONE_STEP.held_s(ONE_STEP.stages[0]) == (4500.0, 4500.0 + 3 * 3600.0)


def test_the_jobs_must_fill_the_cluster() -> None:
    """Else it is another event; and a share of more than all is none."""
    jobs = mix()
    full = tuple(replace(job, gpus=128) for job in jobs)
    with pytest.raises(ValueError, match="16 GPUs of 256"):
        phoenix_site(jobs, gpu_share=0.8)
    with pytest.raises(ValueError, match=r"gpu_share: 1\.2 is no share"):
        phoenix_site(full, gpu_share=1.2)
    assert phoenix_site(full, gpu_share=0.8).node_base_w == pytest.approx(128 * (380 + 340) * 0.25 / 32)


# -- the loop --------------------------------------------------------------------------------------------------------


def test_without_an_event_all_runs_at_full_speed() -> None:
    """Each job draws and comes as far as its own curve says, once it has started."""
    run = RUN(event_jobs(mix()), flat_limit(SITE), SITE, window_s=1800.0)

    assert site_minutes_w(run)[-1] == pytest.approx(FULL_W)
    assert [o.kept_gpu_s for o in run.jobs] == pytest.approx([8 * (1800.0 - SITE.restart_s)] * 2)
    assert (run.intervals[-1].running_gpus, run.intervals[-1].waiting_gpus) == (16, 0)


def test_an_event_is_kept_by_caps() -> None:
    """Never over the limit, nothing paused, back to full power after it; firmer work is slowed less."""
    found = replayed(EVENT, mix(), SITE, RUN)

    assert found.keeping.over_limit_s == 0.0
    assert found.site.held_cuts[0] >= 0.2
    assert found.site.rebound == pytest.approx(1.0)
    assert (found.restarts.pauses, found.restarts.dead_s) == (0, None)
    flexible, firm = found.speeds
    assert 0.5 < flexible.speed < firm.speed <= 1.0


def test_a_cut_below_the_floors_pauses_and_loses_no_work() -> None:
    """Who is flexible saves, leaves, and comes back; what saving and restoring cost is counted."""
    deep = replace(EVENT, stages=(Stage(starts_s=2400.0, cut=0.28, ramp_s=60.0),))
    limit = event_limit(deep, SITE, baseline_w=FULL_W)
    run = RUN(event_jobs(mix()), limit, SITE, window_s=4800.0)
    flexible, firm = run.jobs

    assert keeping(run, deep).over_limit_s == 0.0
    assert (flexible.pauses, flexible.kills, firm.pauses) == (1, 0, 0)
    assert restarts(run).dead_s == pytest.approx(SITE.save_s + SITE.restart_s)
    assert run.intervals[-1].running_gpus == 16


def test_the_same_input_gives_the_same_outcome() -> None:
    """But for the time that it took."""
    limit = event_limit(EVENT, SITE, baseline_w=FULL_W)
    first, second = (RUN(event_jobs(mix()), limit, SITE, window_s=3000.0) for _ in range(2))

    assert replace(first, wall_s=0.0) == replace(second, wall_s=0.0)


def test_an_event_needs_a_baseline() -> None:
    """Half an hour of work before it."""
    early = replace(EVENT, stages=(replace(EVENT.stages[0], starts_s=1800.0),))

    with pytest.raises(ValueError, match=r"short: it begins after 1800 s; let it begin after 2400 s"):
        replayed(early, mix(), SITE, RUN)


def test_an_event_can_be_made_as_deep_as_another() -> None:
    """To the step of a cap."""
    event = as_deep(EVENT, 0.2, mix(), SITE, RUN)

    assert replayed(event, mix(), SITE, RUN).gpus.held_cuts[0] == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"work_s": 60.0}, "work_s 60 ends within 600 s; give it more work"),
        ({"gpus": 12}, "only jobs on whole nodes"),
        ({"arrives_s": 5.0}, "only jobs on whole nodes that are there from the start"),
    ],
)
def test_a_job_that_cannot_be_played_is_refused(changes: dict[str, float], error: str) -> None:
    """The loop is for events that full, endless jobs run into."""
    job = replace(SimJob(id="j", arrives_s=0.0, gpus=8, work_s=1e6), **changes)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=error):
        ClosedLoop()((job,), flat_limit(SITE), SITE, window_s=600.0)
