"""Simulated hours of projects that contend: shares come out by weight, and what was lent comes back."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from scheduler.core.decide import Decision
from scheduler.core.jobs import PauseCause
from scheduler.core.projects import FairShare, Project
from scheduler.core.snapshot import Snapshot
from scheduler.sim.outcome import RunOutcome
from tests.simulated import AMPLE_W, HOUR_S, SITE, job, power, simulated

AMPLE = power((0.0, AMPLE_W))


def gpu_hours(outcome: RunOutcome) -> dict[str, float]:
    """By project, what was kept."""
    found: dict[str, float] = defaultdict(float)
    for one in outcome.jobs:
        found[one.job.project] += one.kept_gpu_s / HOUR_S
    return found


def test_hours_come_out_by_weight_under_contention() -> None:
    """Three to one, though both ask for all there is, and the lighter one came first."""
    projects = (Project(name="a", weight=3.0), Project(name="b", weight=1.0))
    site = replace(SITE, projects=projects, fair_share=FairShare(half_life_s=86_400.0))
    jobs = [job(f"{name}{n}", work_s=700.0 + n % 7 * 60.0, project=name) for name in "ba" for n in range(240)]
    hours = gpu_hours(simulated(jobs, AMPLE, hours=4.0, site=site))

    assert hours["a"] + hours["b"] > 0.9 * 16 * 4
    assert hours["a"] / hours["b"] == pytest.approx(3.0, rel=0.2)


def test_a_lender_gets_its_own_back_and_nobody_loses_work() -> None:
    """Borrowers run on all 16 GPUs when the owner of half of them comes; within minutes it has them."""
    projects = (Project(name="a", nominal_gpus=8), Project(name="b", nominal_gpus=8))
    site = replace(SITE, projects=projects)
    jobs = [job(f"a{n}", work_s=3 * HOUR_S, project="a") for n in range(16)]
    jobs += [job(f"b{n}", work_s=HOUR_S, arrives_s=HOUR_S, project="b") for n in range(12)]
    dip = power((0.0, AMPLE_W), (2000.0, 8200.0), (2300.0, AMPLE_W))  # all save: that much is known of them
    reclaimed: set[str] = set()

    def listen(_: Snapshot, decision: Decision) -> None:
        attempts = decision.attempts.values()
        reclaimed.update(a.id for a in attempts if a.pause_cause is PauseCause.FAIR_SHARE_RECLAIM)

    outcome = simulated(jobs, dip, hours=4.0, site=site, listener=listen)
    begun_s = sorted(one.started_s or 1e9 for one in outcome.jobs if one.job.project == "b")

    assert begun_s[7] <= HOUR_S + 600.0
    assert begun_s[8] > 2 * HOUR_S  # more than its own it does not have before others are done
    assert sum(one.kills for one in outcome.jobs) == 0
    assert (len(reclaimed), {name[0] for name in reclaimed}) == (8, {"a"})
    assert all(one.lost_gpu_s < 400.0 for one in outcome.jobs)
