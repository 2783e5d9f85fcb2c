"""Power that goes without a word, again and again, in days of all sorts: the limit is kept after each time."""

from __future__ import annotations

import random

import pytest

from scheduler.sim.grid import dark_site
from scheduler.sim.metrics import summary
from scheduler.sim.workload import PowerTrace
from tests.simulated import SITE, busy_day, power, simulated

HOURS = 24.0
LIMITS_W = (0.0, 0.0, 8200.0, 9500.0, 12_000.0, 15_000.0, 24_000.0)
LASTS_S = (60.0, 300.0, 900.0, 3600.0, 7200.0)


def fitful(seed: int) -> PowerTrace:
    """A limit that changes every few minutes to hours; two times in seven all power goes."""
    chance, at_s, steps = random.Random(seed), 0.0, [(0.0, LIMITS_W[-1])]
    while (at_s := at_s + chance.choice(LASTS_S)) < HOURS * 3600.0:
        steps.append((at_s, chance.choice(LIMITS_W)))
    return power(*steps)


@pytest.mark.parametrize("jobs_per_hour", [3.0, 12.0], ids=["idle nodes sleep", "nodes are busy"])
@pytest.mark.parametrize("seed", range(4))
def test_the_limit_is_kept_after_every_blackout(seed: int, jobs_per_hour: float) -> None:
    """Hosts boot once power is back, having forgotten all: the site knows what they draw, and what they know."""
    jobs, _ = busy_day(seed, hours=HOURS, jobs_per_hour=jobs_per_hour)
    trace = fitful(seed)
    found = summary(simulated(jobs, trace, hours=HOURS, site=dark_site(SITE), seed=seed), None)

    assert sum(limit_w == 0.0 for _, limit_w in trace.steps) >= 3
    assert found["violation_s"] == 0.0
    assert found["goodput_gpu_h"] > 0.0
