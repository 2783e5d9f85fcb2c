"""A simulated day in racks: work that asks for one is never in two, and it gets done all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.jobs import TopologyRequest
from scheduler.core.snapshot import Snapshot
from tests.simulated import SITE, busy_day, simulated

RACKS = tuple((("rack", rack),) for rack in ("r1", "r2", "r1", "r2"))


class Watched(PowerAware):
    """Notes in how many racks each attempt is that has several nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: dict[str, int] = {}

    def decide(self, snapshot: Snapshot) -> Decision:
        """As it always does."""
        decision = super().decide(snapshot)
        for attempt in decision.attempts.values():
            if len(attempt.placements) > 1:
                groups = (snapshot.groups[p.node_id] for p in attempt.placements)
                self.spans[attempt.id] = len({g.spec.topology for g in groups})
        return decision


@pytest.mark.parametrize("scatter", [False, True])
def test_a_day_of_gangs_that_require_a_rack(*, scatter: bool) -> None:
    """Cut, consolidated, woken for and started again: each time in one."""
    jobs, trace = busy_day(5, hours=6.0, jobs_per_hour=12.0)
    racks = replace(SITE, topology=("rack",), places=RACKS, scatter=scatter)
    apart, together = Watched(), Watched()

    without = simulated(jobs, trace, hours=6.0, site=replace(racks, topology=()), policy=apart)
    asked = TopologyRequest(level="rack", is_required=True)
    within = simulated(jobs, trace, hours=6.0, site=replace(racks, together=asked), policy=together)

    assert max(apart.spans.values()) == 2
    assert set(together.spans.values()) == {1}
    done = [sum(j.finished_s is not None for j in outcome.jobs) for outcome in (without, within)]
    assert done[1] >= 0.8 * done[0]
