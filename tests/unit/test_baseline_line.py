"""The queue that a baseline keeps: the same as if it were made anew each round."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

from scheduler.core.jobs import Job, JobState
from scheduler.sim.baselines.line import Line
from tests.builders import T0, site


def by_priority(job: Job) -> tuple[float, ...]:
    """Larger first, then the oldest."""
    return (-job.spec.priority, job.number)


def test_a_kept_queue_is_the_one_made_anew() -> None:
    """Whatever comes, goes, starts, pauses or is put off between two looks."""
    chance = random.Random(4)
    pool = site()
    for number in range(60):
        pool.job(f"j{number}", priority=chance.randint(0, 3))
    kept, jobs = Line(by_priority, lambda j: j.not_before_at), dict[str, Job]()
    for minute in range(200):
        at = T0 + timedelta(minutes=minute)
        name = f"j{chance.randrange(60)}"
        if chance.random() < 0.3:
            jobs.pop(name, None)
        else:
            state = chance.choice([JobState.PENDING, JobState.PAUSED, JobState.RUNNING])
            later_at = chance.choice([None, None, at + timedelta(minutes=5)])
            jobs[name] = replace(pool.jobs[name], state=state, not_before_at=later_at)
        kept.look(jobs, at)
        anew = Line(by_priority, lambda j: j.not_before_at)
        anew.look(jobs, at)

        assert [j.id for j in kept] == [j.id for j in anew]
        assert (len(kept), kept.next_at) == (len(anew), anew.next_at)
    assert len(kept)
