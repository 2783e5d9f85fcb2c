"""Days of small sites of all sorts: the limit is kept, nothing is killed, and nobody who was given GPUs hangs."""

from __future__ import annotations

import asyncio
import random

import pytest

from benchmarks.small_sites import DAY_S, drawn_jobs, drawn_power, drawn_site
from scheduler.core.decide import PowerAware
from scheduler.core.jobs import Phase
from scheduler.sim.capacity import Capacity
from scheduler.sim.engine import Case, Engine
from scheduler.sim.metrics import summary

SETTLES_S = 900.0  #: that a save, a kill or the start of the last member takes, and more


def hanging(engine: Engine) -> list[str]:
    """Attempts of which one member ended long ago while others hold their GPUs."""
    until_us = engine.timeline.now_us - int(SETTLES_S * 1e6)
    living = {a.id: a for a in engine.view.attempts.values() if a.phase is Phase.RUN}
    gangs = [g for node in engine.nodes for m in node.members.values() if (g := m.gang).attempt_id in living]
    return sorted(
        {
            g.attempt_id
            for g in gangs
            if not g.is_over and any(not m.lives and m.since_us < until_us for m in g.members)
        }
    )


@pytest.mark.parametrize("seed", [10, 21, 61, 79, 130, 157])
def test_a_day_of_a_small_site(seed: int) -> None:
    """On each of these something was wrong once: watts nobody used, GPUs that waited for good, gangs that hung."""
    chance = random.Random(seed)
    site = drawn_site(chance)
    trace, jobs = drawn_power(chance, site), drawn_jobs(chance, site)
    case = Case(jobs=jobs, power=trace, site=site, policy=PowerAware(), window_s=DAY_S, seed=seed)
    engine = Engine(case)
    found = summary(asyncio.run(engine.run()), None, site=Capacity.of(site))

    assert hanging(engine) == []
    assert (found["violation_s"], found["kills"]) == (0.0, 0)
    assert found["wasted_share"] < 0.06
