"""Arrays in the core: how many of one may hold GPUs at once, and who waits for all of it."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.jobs import ArrayPlace
from scheduler.core.orders import Observed
from scheduler.core.outlook import Outlook
from tests.builders import Desired, JobState, SiteBuilder, site


def array(world: SiteBuilder, name: str, count: int, *, most: int | None = None, **spec: Any) -> SiteBuilder:
    """An array of jobs, submitted one after the other."""
    for index in range(count):
        place = ArrayPlace(id=name, index=index, count=count, most=most)
        world.job(f"{name}_{index}", array=place, **({"gpus": 1} | spec))
    return world


def ends(world: SiteBuilder, name: str, *, code: int = 0) -> None:
    """The attempt of a job ends by itself."""
    attempt = next(a for a in world.attempts.values() if a.job_id == name)
    world.facts(
        attempt.id,
        attempt.placements[0].node_id,
        observed=Observed.ENDED,
        exit_code=code,
        says_done=code == 0,
        step=10,
    )


def test_no_more_of_an_array_run_at_once_than_it_says() -> None:
    """The others wait for it with numbers, and do not stand in the way of anybody else."""
    world = array(site().node(gpus=8).limit_w(9000), "x", 5, most=2).job("other", gpus=1)

    decision = world.decided()

    assert sorted(world.attempts) == ["other.1", "x_0.1", "x_1.1"]
    reason = decision.reasons["x_2"]
    assert reason.code == "QuotaExceeded"
    assert dict(reason.numbers) == {"most": 2, "holding": 2, "count": 5}
    assert world.does() == []


def test_the_next_of_an_array_starts_when_one_has_let_go() -> None:
    """In the order of the indices."""
    world = array(site().node(gpus=8).limit_w(9000), "x", 4, most=2)
    world.decided()

    ends(world, "x_1")

    assert world.does() == ["end x_1: SUCCEEDED", "start x_2 on node-1 at 400 W"]
    assert world.does() == []


def test_what_is_suspended_or_on_its_way_out_still_counts() -> None:
    """It holds its GPUs; once it has let go, the next one has its turn."""
    world = array(site(firm_w=3000).node(gpus=8).limit_w(9000), "x", 3, most=1)
    world.decided()
    world.wants("x_0", Desired.HOLD)

    assert world.does(obeyed=False) == ["save x_0"]
    assert world.does(obeyed=False) == []


def test_arrays_limit_only_themselves() -> None:
    """One without a limit takes all there is, and a second one has its own count."""
    world = array(site().node(gpus=8).limit_w(9000), "x", 3, most=1)
    world = array(array(world, "y", 3, most=2), "z", 2)

    world.decided()

    assert sorted(world.attempts) == ["x_0.1", "y_0.1", "y_1.1", "z_0.1", "z_1.1"]


def test_a_job_waits_for_all_of_an_array() -> None:
    """However many ended already; the reason says how many did not."""
    world = array(site().node(gpus=8).limit_w(9000), "x", 3).job("after", gpus=1, dependencies=("x",))
    decision = world.decided()
    assert decision.reasons["after"].code == "Dependency"
    assert decision.reasons["after"].numbers == {"left": 3}

    for name in ("x_0", "x_1"):
        ends(world, name)
    world.decided()
    assert world.decided().reasons["after"].numbers == {"left": 1}
    ends(world, "x_2")
    world.decided()

    assert world.does() == ["start after on node-1 at 400 W"]


@pytest.mark.parametrize("first", [True, False])
def test_one_failure_of_an_array_fails_who_waits_for_it(first: bool) -> None:
    """Whether it comes first or last, and for a policy that has seen nothing of it too."""
    world = array(site().node(gpus=8).limit_w(9000), "x", 2).job("after", gpus=1, dependencies=("x",))
    world.decided()

    ends(world, "x_0", code=1 if first else 0)
    world.decided()
    if not first:
        ends(world, "x_1", code=1)
        world.decided()
    world.policy = PowerAware()
    world.decided()

    assert world.settled["x"] is JobState.FAILED
    assert world.settled["after"] is JobState.FAILED


def test_an_array_that_is_gone_lets_a_late_comer_start() -> None:
    """For a policy that has seen nothing of it, from what is settled alone."""
    world = site().node().limit_w(9000).job("after", gpus=1, dependencies=("x",))
    world.settled["x"] = JobState.SUCCEEDED

    assert world.does() == ["start after on node-1 at 400 W"]


def test_no_start_is_foretold_for_who_waits_for_its_own_array() -> None:
    """Its next ones may be told, those beyond the limit not."""
    world = array(site().node(gpus=2).limit_w(9000), "x", 3, most=2, time_limit_s=600.0)
    world.running("old", "node-1", gpus=2, time_limit_s=60.0)
    snapshot = world.snapshot()

    starts = [Outlook(snapshot).of(f"x_{index}").start for index in range(3)]  # type: ignore[union-attr]

    assert [start.earliest_at is not None for start in starts] == [True, True, False]
    assert "at most 2 of array x" in starts[2].assumption


def test_a_living_policy_counts_as_a_fresh_one() -> None:
    """Over a story in which attempts end, fail and are held."""
    world = array(site().node(gpus=4).limit_w(9000), "x", 8, most=2)
    for step in range(6):
        snapshot = world.snapshot()
        fresh = PowerAware().decide(snapshot)
        lived = world.decided()
        assert (lived.attempts, lived.reasons) == (fresh.attempts, fresh.reasons), step
        world.passes(1.0)
        if running := [a.job_id for a in world.attempts.values()]:
            ends(world, running[0], code=step % 2)
