"""Each baseline through a busy stretch of the whole simulator, under a limit that changes every quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scheduler.sim.baselines import BASELINES
from scheduler.sim.outcome import RunOutcome
from tests.simulated import SITE, busy_day, simulated

SAVING = ("pause-only", "greedy-pausing", "dvfs-fair", "marginal")


def breaches_s(outcome: RunOutcome) -> Iterator[float]:
    """How long each stretch over the limit lasted, s."""
    since_s: float | None = None
    for interval in outcome.intervals:
        if interval.site_w > interval.limit_w + 1.0:
            since_s = interval.starts_s if since_s is None else since_s
        elif since_s is not None:
            yield interval.starts_s - since_s
            since_s = None


@pytest.mark.parametrize("name", BASELINES)
def test_it_keeps_the_limit_and_every_job(name: str) -> None:
    """It is never over for longer than the reaction time; who saves does not kill, and some of the work gets done."""
    hours = 8.0
    jobs, limit = busy_day(2, hours=hours, jobs_per_hour=5.0)
    policy = BASELINES[name](estimates_s={j.id: j.work_s for j in jobs})
    outcome = simulated(jobs, limit, hours=hours, policy=policy)

    assert max(breaches_s(outcome), default=0.0) <= SITE.reaction_s
    assert [o.job.id for o in outcome.jobs] == [j.id for j in jobs]
    offered_gpu_s = sum(j.gpus * j.work_s for j in jobs)
    assert sum(o.kept_gpu_s for o in outcome.jobs) > 0.1 * offered_gpu_s
    kills, pauses = sum(o.kills for o in outcome.jobs), sum(o.pauses for o in outcome.jobs)
    assert kills == (0 if name in SAVING else pauses)
    assert pauses > 0 or name == "dvfs-fair"
