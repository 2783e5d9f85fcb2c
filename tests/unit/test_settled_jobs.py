"""How jobs ended is remembered for those that wait for it, and for nobody else."""

from __future__ import annotations

import pytest

from scheduler.core.decide import decide
from scheduler.core.jobs import JobState
from scheduler.core.orders import Observed
from scheduler.view import View
from tests.builders import T0, site


def test_how_jobs_ended_is_kept_for_those_that_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorded snapshot holds it: a site that runs for months must not write all that ever ended each time."""
    monkeypatch.setattr("scheduler.view.MOST_SETTLED", 3)
    built = site().node("a").limit_w(9000).running("j", on="a").job("waits", dependencies=("old-1", "j"))
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=0)
    view = View(built.site, {gid: g.spec for gid, g in built.groups.items()}, epoch=1, at=T0)
    view.jobs, view.attempts, view.groups = dict(built.jobs), dict(built.attempts), dict(built.groups)
    view.settled = {f"old-{n}": JobState.FAILED for n in range(5)}
    view.apply(decide(built.snapshot()), T0)

    assert view.settled == {"old-1": JobState.FAILED, "j": JobState.SUCCEEDED}
