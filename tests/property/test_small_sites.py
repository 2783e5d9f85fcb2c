"""Days of small sites of all sorts: the limit is kept, nothing is killed, and nobody who was given GPUs hangs."""

from __future__ import annotations

import asyncio
import random

import pytest

from benchmarks.odd_sites import hanging
from benchmarks.small_sites import DAY_S, drawn_jobs, drawn_power, drawn_site
from scheduler.core.decide import PowerAware
from scheduler.sim.capacity import Capacity
from scheduler.sim.engine import Case, Engine
from scheduler.sim.metrics import summary


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
