"""Days of small sites with all that an operator can set: no promise breaks, with faults and without."""

from __future__ import annotations

import pytest

from benchmarks.odd_sites import Day, breach, broken
from scheduler.core.modes import AiFirst
from scheduler.sim.fault_rates import AS_IN_SOAK

SEEDS = (*range(8), 10, 12, 21, 136, 392)
"""Where the limit was broken by a second fall (10, 12, 21), where borrowers started again on what they had given back
(136), and where a job was started and told to leave every three seconds (392).
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_promise_breaks_on_a_day(seed: int) -> None:
    """`python -m benchmarks.odd_sites` looks at as many as there is time for."""
    assert broken(seed) == {}


@pytest.mark.parametrize("seed", [3, 4, 106])
def test_no_promise_breaks_under_faults(seed: int) -> None:
    """They are asserted at every step."""
    assert breach(seed, AS_IN_SOAK) is None


def test_all_settings_are_among_those_sites() -> None:
    """What none of the first hundred has would be looked for in vain."""
    days = [Day.of(seed) for seed in range(100)]
    sites, jobs = [d.site for d in days], [j for d in days for j in d.jobs]
    settings: dict[str, list[object]] = {
        "ramps": [s.mining_ramp_up_w_per_s and s.mining_ramp_down_w_per_s for s in sites],
        "machines that run whole": [p.machine for s in sites for p in s.partners],
        "floors": [o.floor_w for s in sites for o in s.owners],
        "modes": [not isinstance(s.mode, AiFirst) for s in sites],
        "projects": [s.projects for s in sites],
        "racks": [s.together for s in sites],
        "margins": [s.margin for s in sites],
        "auxiliaries": [s.auxiliary_w for s in sites],
        "commits at Barq's pace": [s.checkpoint_auto for s in sites],
        "standby": [s.standby for s in sites],
        "deep falls": [d.deep for d in days],
        "deadlines": [j.deadline_s for j in jobs],
        "estimates": [j.estimate_s for j in jobs],
    }

    assert [name for name, found in settings.items() if not any(found)] == []
