"""Windows of a job trace, and fitting what arrives in them to a load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from scheduler.errors import TraceError
from scheduler.sim.asked import TRACE_START
from scheduler.sim.load import fit_load, thin
from scheduler.sim.maps import parse_start
from scheduler.sim.traces.records import JobTrace
from scheduler.sim.windows import Workload, cut_jobs, offered_load
from scheduler.sim.workload import SimJob

DAY_S = 86_400.0


def trace(*arrivals_d: float, gpus: int = 1, zero_at: datetime | None = None) -> JobTrace:
    """A job of an hour on each of these days."""
    jobs = [
        SimJob(id=f"j{i}", arrives_s=day * DAY_S, gpus=gpus, work_s=3600.0)
        for i, day in enumerate(arrivals_d)
    ]
    return JobTrace(
        path=Path("jobs.csv"), format="mapped", jobs=tuple(jobs), zero_at=zero_at, notes=("odd: 1",)
    )


def window(of: JobTrace, start: str = "0d", days: float | None = 1.0, site_gpus: int = 8) -> Workload:
    """The part of it from `start` on."""
    return cut_jobs(
        of, start=parse_start(start, option="--jobs-from"), days=days, zone=UTC, site_gpus=site_gpus, name="t"
    )


def many(count: int = 1000) -> Workload:
    """A day of jobs of many sizes, on 100 GPUs."""
    jobs = [
        SimJob(id=f"j{i}", arrives_s=i * DAY_S / count, gpus=1 << i % 4, work_s=600.0 + i % 7 * 300.0)
        for i in range(count)
    ]
    return Workload(name="many", jobs=tuple(jobs), window_s=DAY_S, notes=())


def test_a_window_keeps_what_arrives_in_it() -> None:
    """From its first instant to just before its end, shifted to zero."""
    cut = window(trace(0.5, 1.0, 1.75, 2.0, 2.5), "1d")
    assert [(job.id, job.arrives_s) for job in cut.jobs] == [("j1", 0.0), ("j2", 0.75 * DAY_S)]
    assert (cut.name, cut.window_s, cut.notes) == ("t", DAY_S, ("odd: 1",))


def test_a_window_may_begin_with_a_date() -> None:
    """In the zone of the file's times, where the date names none."""
    dated = trace(0.0, 1.0, 2.0, zero_at=datetime(2017, 10, 8, 19, tzinfo=UTC))
    assert [job.id for job in window(dated, "2017-10-09T19:00").jobs] == ["j1"]
    karachi = timezone(timedelta(hours=5))
    start = parse_start("2017-10-10", option="--jobs-from")
    cut = cut_jobs(dated, start=start, days=1.0, zone=karachi, site_gpus=8, name="t")
    assert [(job.id, job.arrives_s) for job in cut.jobs] == [("j1", 0.0)]


def test_without_days_a_window_ends_with_the_last_arrival() -> None:
    """Which is still in it."""
    cut = cut_jobs(trace(0.0, 3.5), start=TRACE_START, days=None, zone=UTC, site_gpus=8, name="t")
    assert (len(cut.jobs), cut.window_s) == (2, 3.5 * DAY_S + 1.0)


def test_a_trace_that_ends_early_says_so() -> None:
    """A week of which it fills a half."""
    assert window(trace(0.0, 3.5), days=7.0).notes[-1] == "the trace ends with day 3.5 of the window"


def test_jobs_larger_than_the_site_are_counted() -> None:
    """They could never run."""
    mixed = trace(0.0, 0.1, 0.2)
    large = JobTrace(
        path=mixed.path, format="m", jobs=(*trace(0.0, gpus=9).jobs, *mixed.jobs), zero_at=None, notes=()
    )
    cut = window(large)
    assert len(cut.jobs) == 3
    assert cut.notes == ("jobs larger than the site of 8 GPUs, left out: 1",)


@pytest.mark.parametrize(
    "of, start, words",
    [
        (trace(0.5, 9.0), "3d", "no job arrives in the 1 days from 3d on; its jobs arrive from day 0.5 to day 9.0"),
        (trace(0.5), "2017-10-09", "2017-10-09: it has no dates, it counts seconds .* epoch=2017-08-07"),
        (
            trace(0.0, zero_at=datetime(2017, 8, 7, tzinfo=UTC)),
            "2018-01-01",
            "from 2018-01-01 on; its jobs .* counted from 2017-08-07 00:00 UTC; choose another --jobs-from",
        ),
        (trace(0.1, gpus=9), "0d", "all 1 jobs of the window are larger than the site of 8 GPUs"),
    ],
)  # fmt: skip
def test_an_empty_window_is_refused(of: JobTrace, start: str, words: str) -> None:
    """With what the trace has."""
    with pytest.raises(TraceError, match=rf"jobs\.csv: .*{words}"):
        window(of, start)


def test_offered_load_is_the_share_of_all_gpu_hours() -> None:
    """One GPU of eight, all day."""
    jobs = trace(*(i / 24 for i in range(24))).jobs
    assert offered_load(jobs, gpus=8, window_s=DAY_S) == pytest.approx(1 / 8)


@pytest.mark.parametrize("wanted", [0.1, 0.3, 0.5, 0.95, 1.2, 2.5])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_workload_is_fitted_to_a_load(wanted: float, seed: int) -> None:
    """As near as a whole job allows, thinner or denser, in order, within the window, under names of their own."""
    before = many()
    fitted, record = fit_load(before, gpus=100, wanted=wanted, seed=seed)
    largest = max(job.gpus * job.work_s for job in before.jobs) / (100 * DAY_S)
    assert abs(record.after - wanted) <= largest / 2
    assert record.after == pytest.approx(offered_load(fitted.jobs, gpus=100, window_s=DAY_S))
    assert record.kept == pytest.approx(wanted / record.before, rel=0.2)
    arrivals = [job.arrives_s for job in fitted.jobs]
    assert arrivals == sorted(arrivals)
    assert all(0 <= at < DAY_S for at in arrivals)
    assert len({job.id for job in fitted.jobs}) == len(fitted.jobs)
    assert fitted.notes == (str(record),)
    assert f"seed {seed}" in str(record)


def test_fitting_repeats_to_the_byte() -> None:
    """One seed, one workload; another seed, another."""
    one, two, other = (fit_load(many(), gpus=100, wanted=0.9, seed=seed)[0].jobs for seed in (3, 3, 4))
    assert one == two
    assert one != other


def test_a_smaller_load_is_part_of_a_larger_one() -> None:
    """So that two loads differ by what was added, and by nothing else."""
    small, large = (fit_load(many(), gpus=100, wanted=load, seed=3)[0].jobs for load in (0.2, 0.25))
    assert set(small) < set(large)


def test_repetition_keeps_the_originals() -> None:
    """Their copies come within an hour of them, and are as large and as long."""
    before = many()
    jobs = fit_load(
        before, gpus=100, wanted=1.7 * offered_load(before.jobs, gpus=100, window_s=DAY_S), seed=3
    )[0].jobs
    assert set(before.jobs) < set(jobs)
    originals = {job.id: job for job in before.jobs}
    for copy in set(jobs) - set(before.jobs):
        original = originals[copy.id.removesuffix("~2")]
        assert (copy.gpus, copy.work_s) == (original.gpus, original.work_s)
        assert abs(copy.arrives_s - original.arrives_s) <= 3600.0


def test_copies_stay_in_a_short_window() -> None:
    """Even in one that is shorter than their jitter."""
    jobs = (SimJob(id="a", arrives_s=1.0, gpus=1, work_s=1.0),)
    short = Workload(name="short", jobs=jobs, window_s=5.0, notes=())
    copies = fit_load(short, gpus=1, wanted=10.0, seed=1)[0].jobs
    assert len(copies) == 50
    assert all(0 <= job.arrives_s < 5.0 for job in copies)


@pytest.mark.parametrize(
    "wanted, words",
    [
        (0.0, "0 is not above 0"),
        (-1.0, "-1 is not above 0"),
        (float("nan"), "nan is not above 0"),
        (95.0, "write 0.95 for 95 %"),
        (1e-9, "less than the smallest job offers"),
    ],
)
def test_a_load_that_cannot_be_meant_is_refused(wanted: float, words: str) -> None:
    """With what to write."""
    with pytest.raises(TraceError, match=words):
        fit_load(many(), gpus=100, wanted=wanted, seed=1)


def test_thinning_keeps_each_job_with_a_probability() -> None:
    """Seeded, and told."""
    thinned = thin(many(), keep=0.25, seed=5)
    assert 200 < len(thinned.jobs) < 300
    assert thinned == thin(many(), keep=0.25, seed=5)
    assert set(thinned.jobs) < set(many().jobs)
    assert thinned.notes == (f"kept each job with probability 0.25, seed 5: {len(thinned.jobs)} of 1000",)
    assert thin(many(), keep=1.0, seed=5).jobs == many().jobs
    for keep, words in (
        (0.0, "no probability above 0"),
        (1.5, "no probability"),
        (1e-9, "leaves none of 1000 jobs"),
    ):
        with pytest.raises(TraceError, match=words):
            thin(many(), keep=keep, seed=5)
