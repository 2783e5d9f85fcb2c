"""Jobs and power out of a seed."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from scheduler.errors import TraceError
from scheduler.sim.generator import Mix, generate_jobs
from scheduler.sim.pakistan import MONTHS, Season, pakistan_power, surplus
from scheduler.sim.windows import offered_load
from scheduler.sim.workload import PowerTrace

DAY_S = 86_400.0


@pytest.mark.parametrize("load", [0.6, 0.95, 1.2])
def test_jobs_offer_the_load_that_is_wanted(load: float) -> None:
    """As near as the last job allows, and the note says how near."""
    workload = generate_jobs(gpus=512, days=7, load=load, seed=3)
    offered = offered_load(workload.jobs, gpus=512, window_s=7 * DAY_S)
    assert offered == pytest.approx(load, abs=0.02)
    assert workload.notes == (f"{len(workload.jobs)} synthetic jobs, seed 3: offered load {offered:.1%}",)


def test_jobs_repeat_with_their_seed() -> None:
    """And differ with another."""
    one, two, other = (generate_jobs(gpus=64, days=2, load=0.9, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one.jobs != other.jobs


def test_jobs_are_well_formed() -> None:
    """In order, within the window, powers of two that fit the site, told apart, never shorter than told."""
    jobs = generate_jobs(gpus=20, days=3, load=0.9, seed=4).jobs
    assert [job.arrives_s for job in jobs] == sorted(job.arrives_s for job in jobs)
    assert all(0 <= job.arrives_s < 3 * DAY_S for job in jobs)
    assert {job.gpus for job in jobs} == {1, 2, 4, 8, 16}
    assert len({job.id for job in jobs}) == len(jobs)
    assert all(30.0 <= job.work_s <= 48 * 3600.0 for job in jobs)
    assert all(job.estimate_s is None or job.estimate_s >= job.work_s for job in jobs)
    assert {job.flex for job in jobs} == {1, 2, 3, 4}


def test_few_jobs_hold_most_of_the_work() -> None:
    """The tail is heavy: the largest twentieth has more than half, and the mean is far above the median."""
    jobs = generate_jobs(gpus=512, days=7, load=0.95, seed=5).jobs
    work = sorted((job.gpus * job.work_s for job in jobs), reverse=True)
    assert sum(work[: len(work) // 20]) > sum(work) / 2
    lengths = [job.work_s for job in jobs]
    assert statistics.mean(lengths) > 3 * statistics.median(lengths)


def test_arrivals_follow_day_and_week() -> None:
    """More in the afternoon than at night, fewer at the weekend; projects by their weight."""
    jobs = generate_jobs(gpus=1024, days=7, load=1.0, seed=6).jobs
    hours = Counter(int(job.arrives_s % DAY_S // 3600) for job in jobs)
    assert sum(hours[h] for h in (13, 14, 15, 16)) > 3 * sum(hours[h] for h in (1, 2, 3, 4))
    days = Counter(int(job.arrives_s // DAY_S) for job in jobs)
    assert max(days[5], days[6]) < 0.8 * min(days[d] for d in range(5))
    projects = Counter(job.project for job in jobs)
    assert projects["language"] / len(jobs) == pytest.approx(0.5, abs=0.03)


def test_a_mix_of_ones_own_is_used() -> None:
    """Every figure of it can be another."""
    mix = replace(Mix(), gpus={4: 1.0}, projects={"one": 1.0}, estimated=0.0, longest_s=60.0)
    jobs = generate_jobs(gpus=8, days=0.1, load=0.5, seed=1, mix=mix).jobs
    assert {(job.gpus, job.project, job.estimate_s) for job in jobs} == {(4, "one", None)}
    assert max(job.work_s for job in jobs) <= 60.0


@pytest.mark.parametrize(
    "gpus, days, load, words",
    [
        (0, 7.0, 0.9, "a site of 0 GPUs: the smallest job has 1"),
        (8, 0.0, 0.9, "--days: 0"),
        (8, 7.0, 0.0, "load: 0 is not above 0"),
        (8, 7.0, 95.0, "write 0.95 for 95 %"),
    ],
)
def test_jobs_that_cannot_be_made_are_refused(gpus: int, days: float, load: float, words: str) -> None:
    """With what to write."""
    with pytest.raises(TraceError, match=words):
        generate_jobs(gpus=gpus, days=days, load=load, seed=1)


def at(trace: PowerTrace, hour: float) -> float:
    """The limit in force, W."""
    return max((step for step in trace.steps if step[0] <= hour * 3600.0), key=lambda step: step[0])[1]


@pytest.mark.parametrize("season", Season)
def test_a_pakistani_week_is_well_formed(season: Season) -> None:
    """Steps that change something, on quarter hours, between the firm and the full level, the first at 0."""
    power = pakistan_power(season, days=7, seed=1)
    assert power.trace.name == f"pakistan-{season}"
    assert power.trace.steps[0][0] == 0.0
    assert power.window_s == 7 * DAY_S
    assert all(a[0] < b[0] < 7 * DAY_S and a[1] != b[1] for a, b in pairwise(power.trace.steps))
    assert all(at_s % 900 == 0 and 160e3 <= w <= 700e3 for at_s, w in power.trace.steps)
    assert power.notes == ("a shaped, synthetic limit from monthly figures, not a measured one; seed 1",)
    assert power == pakistan_power(season, days=7, seed=1)
    assert power != pakistan_power(season, days=7, seed=2)


def test_the_seasons_are_as_the_monthly_figures_say() -> None:
    """Summer has its surplus at midday, winter at night, and the evening is scarce in both."""
    for seed in range(5):
        summer, winter = (pakistan_power(season, days=1, seed=seed).trace for season in Season)
        assert at(summer, 11.5) > 350e3 > at(winter, 11.5)
        assert at(winter, 3.0) > 350e3 > at(summer, 3.0)
        assert all(at(trace, hour) == 160e3 for trace in (summer, winter) for hour in (18.0, 20.0, 22.75))


def test_the_levels_come_from_the_figures() -> None:
    """Midday in proportion to hydro (7.17 and 0.98 GW), the night from what 12.3 of 46.6 GW leave idle."""
    summer, winter = MONTHS[Season.SUMMER], MONTHS[Season.WINTER]
    assert summer.mean_gw == pytest.approx(19.1, abs=0.02)
    assert winter.mean_gw == pytest.approx(12.3, abs=0.02)
    assert surplus(summer, 11.5) == pytest.approx(1.0)
    assert surplus(winter, 11.5) == pytest.approx(0.137, abs=0.001)
    assert surplus(winter, 3.0) == pytest.approx(1 - 12.285 / 46.6, abs=0.001)
    assert surplus(summer, 3.0) == 0.0
    assert [surplus(winter, hour) for hour in (18.0, 22.99)] == [0.0, 0.0]


@pytest.mark.parametrize(
    "full_w, firm_w, days",
    [(1e3, 2e3, 1.0), (1e3, -1.0, 1.0), (1e3, 0.0, 0.0), (float("nan"), 0.0, 1.0)],
)
def test_levels_that_make_no_sense_are_refused(full_w: float, firm_w: float, days: float) -> None:
    """With what to write."""
    with pytest.raises(TraceError, match="write "):
        pakistan_power(Season.SUMMER, days=days, seed=1, full_w=full_w, firm_w=firm_w)
