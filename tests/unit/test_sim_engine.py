"""Whole simulated runs: the real loop over a small site."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from bisect import bisect
from dataclasses import replace
from typing import Any

import pytest

from scheduler.core.decide import PowerAware
from scheduler.sim.engine import Case, Engine
from scheduler.sim.metrics import summary
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import Timing
from scheduler.store.testing import InMemoryStore
from tests.simulated import AMPLE_W, SITE, busy_day, energy_wh, job, power, simulated


@pytest.fixture(scope="module")
def day() -> RunOutcome:
    """Some hours of work under a limit that never rests."""
    jobs, trace = busy_day(7, hours=6.0, jobs_per_hour=20.0)
    return simulated(jobs, trace, hours=6.0, keep_spans=True)


def test_a_lone_job_with_ample_power_runs_at_once_and_at_full_speed() -> None:
    """But for the moment in which events gather."""
    outcome = simulated([job("a", gpus=4, work_s=1000.0, arrives_s=100.0)], power((0.0, AMPLE_W)))
    (done,) = outcome.jobs
    assert done.started_s == pytest.approx(100.0, abs=1.0)
    assert done.finished_s == pytest.approx(1100.0, abs=1.0)
    assert (done.kept_gpu_s, done.lost_gpu_s, done.pauses) == (4000.0, 0.0, 0)
    assert done.energy_wh == pytest.approx(1.25 * 4 * 382.0 * 1000.0 / 3600.0)


def test_a_gang_larger_than_a_node_runs_on_several() -> None:
    """The last of them gives only what is left to give."""
    outcome = simulated([job("a", gpus=14, work_s=600.0)], power((0.0, AMPLE_W)))
    assert outcome.jobs[0].finished_s == pytest.approx(600.0, abs=1.0)
    assert max(i.running_gpus for i in outcome.intervals) == 14


def test_all_watts_are_those_of_work_of_miners_or_of_the_rest(day: RunOutcome) -> None:
    """At every instant; and the energy of work is that of the jobs."""
    for i in day.intervals:
        assert i.site_w == pytest.approx(i.ai_w + i.idle_w + sum(i.miners_w.values()))
        assert 0 <= i.running_gpus <= SITE.total_gpus
        assert i.idle_w >= 1.25 * 4 * 30.0
    assert energy_wh(day, "ai_w") == pytest.approx(sum(j.energy_wh for j in day.jobs))


def test_work_is_kept_or_was_not_done(day: RunOutcome) -> None:
    """Nobody gets more than he asked for, and who finished got all of it."""
    for j in day.jobs:
        total_gpu_s = j.job.gpus * j.job.work_s
        assert 0.0 <= j.kept_gpu_s <= total_gpu_s * (1 + 1e-9)
        assert (j.finished_s is not None) == (j.kept_gpu_s == total_gpu_s)
    assert sum(j.finished_s is not None for j in day.jobs) > 20
    assert sum(j.pauses for j in day.jobs) > 0


def test_spans_tell_the_same_story(day: RunOutcome) -> None:
    """GPU-seconds of running spans are those of the intervals."""
    ran = sum(s.gpus * (s.ends_s - s.starts_s) for s in day.spans if s.what == "run")
    assert ran / 3600.0 == pytest.approx(energy_wh(day, "running_gpus"))
    for j in day.jobs:
        mine = [s for s in day.spans if s.job_id == j.job.id]
        held = sum(s.gpus * (s.ends_s - s.starts_s) for s in mine if s.what in ("save", "restore"))
        assert j.lost_gpu_s >= held - 1e-6
        assert j.kills or j.lost_gpu_s == pytest.approx(held)


def test_the_limit_is_kept_outside_the_reaction_time(day: RunOutcome) -> None:
    """Whatever it does."""
    limits = [(i.starts_s, i.limit_w) for i in day.intervals]
    for index, i in enumerate(day.intervals):
        since_s = i.starts_s - day.reaction_s
        lately_w = [
            w for n, (s, w) in enumerate(limits[: index + 1]) if s >= since_s or limits[n + 1][0] > since_s
        ]
        assert i.site_w <= max(lately_w) + 1e-6


def test_a_change_of_the_limit_is_seen_at_its_instant() -> None:
    """With no notice it is an event of its own; caps fall in that very instant."""
    outcome = simulated(
        [job("a", gpus=16, work_s=9000.0)], power((0.0, AMPLE_W), (1000.5, 10_000.0)), hours=1.0
    )
    at = next(i for i in outcome.intervals if i.starts_s == 1000.5)
    assert at.limit_w == 10_000.0
    assert at.ai_w + at.idle_w <= 10_000.0


def test_a_change_that_is_known_ahead_is_met_before_it_binds() -> None:
    """No watt is over the limit, the miners' included."""
    site = replace(SITE, notice_s=300.0, timing=Timing(fall_s=3.0))
    trace = power((0.0, AMPLE_W), (1000.5, 10_000.0))
    outcome = simulated([job("a", gpus=16, work_s=9000.0)], trace, hours=1.0, site=site)
    assert all(i.site_w <= i.limit_w + 1e-6 for i in outcome.intervals)


def test_short_leases_are_renewed_in_the_quiet() -> None:
    """With heartbeats and a period as in the service, a job runs through as it does under long leases."""
    timing = Timing(
        lease_s=15.0, unreachable_after_s=5.0, lost_after_s=60.0, heartbeat_s=1.0, meter_s=1.0, rest_s=1.0
    )
    outcome = simulated(
        [job("a", gpus=4, work_s=300.0)], power((0.0, AMPLE_W)), hours=0.2, site=replace(SITE, timing=timing)
    )
    assert outcome.jobs[0].finished_s == pytest.approx(300.0, abs=1.0)
    assert outcome.jobs[0].pauses == 0


def test_a_meter_that_is_read_takes_nothing_from_the_record() -> None:
    """At each instant the intervals say what the site drew, whether its meter was read just then or not."""
    timing = Timing(lease_s=15.0, heartbeat_s=1.0, meter_s=1.0, rest_s=1.0)
    jobs, trace = busy_day(5, hours=1.0, jobs_per_hour=40.0)
    drawn_w: dict[float, float] = {}

    class Watched(Engine):
        def _look(self) -> None:
            super()._look()
            drawn_w[self.timeline.monotonic_s()] = self.notes.site_w()

    case = Case(
        jobs=jobs, power=trace, site=replace(SITE, timing=timing), policy=PowerAware(), window_s=3600.0
    )
    intervals = asyncio.run(Watched(case).run()).intervals

    starts_s = [i.starts_s for i in intervals]
    assert len({i.site_w for i in intervals}) > 10
    for at_s, site_w in drawn_w.items():
        assert intervals[bisect(starts_s, at_s) - 1].site_w == site_w


_SCRIPT = """
from tests.simulated import busy_day, simulated
jobs, trace = busy_day(3, hours=1.5, jobs_per_hour=40.0)
run = simulated(jobs, trace, hours=1.5, keep_spans=True)
print(run.intervals, run.jobs, run.spans)
"""


def test_the_same_run_is_the_same_to_the_byte() -> None:
    """In another process with other hashes, too."""
    found = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert "finished_s" in found.pop()


@pytest.mark.parametrize("notice_s", [0.0, 300.0])
def test_without_power_hosts_go_dark_and_come_back(notice_s: float) -> None:
    """Nothing is drawn; with no notice, what was not committed is lost, and the work is done all the same."""
    site = replace(SITE, notice_s=notice_s)
    trace = power((0.0, AMPLE_W), (2500.0, 0.0), (5000.0, AMPLE_W))
    outcome = simulated([job("a", gpus=8, work_s=4000.0)], trace, site=site)
    dark = [i for i in outcome.intervals if 2500.0 <= i.starts_s < 5000.0]
    assert {(i.site_w, i.powered_nodes) for i in dark} == {(0.0, 0)}
    (done,) = outcome.jobs
    assert done.finished_s is not None
    assert done.finished_s > 5000.0 + 180.0
    if notice_s == 0.0:
        assert (done.pauses, done.kills) == (1, 1)
        assert done.lost_gpu_s == pytest.approx(8 * (2500.0 - 1800.0 + 90.0), abs=40.0)


def test_the_cheap_store_of_simulations_changes_nothing() -> None:
    """A run over the store that the contract suite judges comes to the same."""
    jobs, trace = busy_day(5, hours=1.5, jobs_per_hour=30.0)
    case = Case(jobs=jobs, power=trace, site=SITE, policy=PowerAware(), window_s=5400.0)
    cheap, full = Engine(case), Engine(case)
    full.store = InMemoryStore()
    first, second = (replace(asyncio.run(engine.run()), wall_s=0.0) for engine in (cheap, full))
    assert first == second


@pytest.mark.parametrize("wrong", [{"gpus": 0}, {"work_s": 0.0}, {"arrives_s": -1.0}])
def test_a_job_that_makes_no_sense_is_named(wrong: dict[str, Any]) -> None:
    """Before anything is run."""
    with pytest.raises(ValueError, match="jobs: odd asks for"):
        simulated([job("odd", **wrong)], power((0.0, AMPLE_W)))


def test_two_jobs_of_one_name_are_refused() -> None:
    """They would be taken for one."""
    with pytest.raises(ValueError, match="jobs: a is there twice"):
        simulated([job("a"), job("a")], power((0.0, AMPLE_W)))


@pytest.mark.parametrize("steps", [[], [(5.0, 1.0)], [(0.0, 1.0), (9.0, 2.0), (9.0, 3.0)]])
def test_a_limit_that_does_not_begin_or_goes_back_is_refused(steps: list[tuple[float, float]]) -> None:
    """The trace is named."""
    with pytest.raises(ValueError, match=r"^steps: "):
        simulated([job("a")], power(*steps))


def test_a_deadline_that_can_be_met_is_met() -> None:
    """One job is in the way of two; the younger of these could not wait for the other."""
    jobs = [job("first", gpus=16, work_s=1000.0), job("long", gpus=16, work_s=3000.0, arrives_s=10.0)]
    due = {"estimate_s": 1000.0, "deadline_s": 2200.0}
    for more, order, met in (({}, ["first", "long", "due"], 0), (due, ["first", "due", "long"], 1)):
        outcome = simulated(
            [*jobs, job("due", gpus=16, work_s=1000.0, arrives_s=20.0, **more)], power((0.0, AMPLE_W))
        )
        ended = {j.job.id: j.finished_s for j in outcome.jobs}
        assert sorted(ended, key=lambda name: ended[name] or 0.0) == order
        figures = summary(outcome, None)
        assert (figures["deadlines"], figures["deadlines_met"]) == (met, met)


def test_a_node_where_nothing_else_happens_tells_of_the_first_commit() -> None:
    """So that who computes there makes room for someone more important as soon as it can go on where it was."""
    jobs = [
        job("alone", gpus=1, work_s=20_000.0),
        job("important", gpus=16, work_s=600.0, arrives_s=100.0, priority=1),
    ]
    outcome = simulated(jobs, power((0.0, AMPLE_W)), hours=8.0)
    by_id = {j.job.id: j for j in outcome.jobs}

    assert by_id["alone"].pauses == 1
    assert 1800.0 < (by_id["important"].started_s or 0.0) < 3600.0
