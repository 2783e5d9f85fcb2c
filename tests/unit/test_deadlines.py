"""Deadlines: who goes first as they come near, and what is told once they have passed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler.core.deadlines import is_urgent, slack_s, urgent_at, work_left_s
from scheduler.core.jobs import Phase
from tests.builders import T0, Desired, JobState, SiteBuilder, obey, site

HOUR_S = 3600.0


def in_s(seconds: float) -> datetime:
    """So long after a story begins."""
    return T0 + timedelta(seconds=seconds)


def due(seconds: float, **spec: Any) -> dict[str, Any]:
    """A job that is to be done by then."""
    return {"gpus": 4, "deadline_at": in_s(seconds), **spec}


def full() -> SiteBuilder:
    """A node on which somebody runs until he is told otherwise."""
    return site().node().limit_w(9000).running("first", "node-1")


def leaves(built: SiteBuilder, name: str) -> SiteBuilder:
    """A job is done: its GPUs are free."""
    del built.jobs[name], built.attempts[f"{name}.1"]
    obey(built, "node-1")
    return built


# -- slack -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec, left_s",
    [
        ({"estimate_s": 1000.0, "time_limit_s": 5000.0}, 1000.0),
        ({"time_limit_s": 5000.0}, 5000.0),
        ({}, None),
    ],
)
def test_the_work_left_is_what_the_user_said(spec: dict[str, Any], left_s: float | None) -> None:
    """His estimate, else the time limit, else nobody knows."""
    job = site().job("j", **spec).jobs["j"]

    assert work_left_s(job, None, T0) == left_s


def test_work_that_was_done_is_not_left() -> None:
    """By attempts that ended and by the one that goes on, for as long as it was not held; never less than none."""
    built = site().node().running("j", "node-1", estimate_s=1000.0)
    job, attempt = replace(built.jobs["j"], ran_s=200.0), built.attempts["j.1"]
    held = replace(attempt, phase=Phase.SUSPEND, since_at=in_s(100))

    assert work_left_s(job, attempt, in_s(300)) == 500.0
    assert work_left_s(job, held, in_s(300)) == 700.0
    assert work_left_s(job, attempt, in_s(9000)) == 0.0


def test_slack_is_the_time_left_less_the_work_left_and_one_restart() -> None:
    """A restart takes 2 s here."""
    built = site().job("j", **due(HOUR_S, estimate_s=1000.0)).job("idle")

    assert slack_s(built.jobs["j"], None, in_s(600), built.site) == 3600 - 600 - 1000 - 2
    assert slack_s(built.jobs["idle"], None, T0, built.site) is None


def test_a_job_is_urgent_while_its_slack_is_what_is_easily_lost() -> None:
    """Here a checkpoint interval of 5 s, a restart of 2 s and 100 s of 1,000; and not once the deadline has passed."""
    built = site().job("j", **due(HOUR_S, estimate_s=1000.0)).job("idle")
    job = built.jobs["j"]
    from_s = 3600 - 1000 - 2 - (5 + 2 + 100)

    assert urgent_at(job, None, T0, built.site) == in_s(from_s)
    found = [is_urgent(job, None, in_s(s), built.site) for s in (from_s - 1, from_s, HOUR_S - 1, HOUR_S)]
    assert found == [False, True, True, False]
    assert not is_urgent(built.jobs["idle"], None, in_s(from_s), built.site)


# -- the queue ---------------------------------------------------------------------------------------------------------


def test_whose_deadline_is_near_goes_before_its_equals() -> None:
    """The nearest first; far ones wait in the order in which they came; a higher priority goes before them all."""
    built = full()
    built.job("old", gpus=4).job("far", **due(90_000, estimate_s=60.0))
    built.job("near", **due(100, estimate_s=95.0)).job("nearer", **due(50, estimate_s=45.0))
    built.job("boss", gpus=4, priority=1).settles()

    starts = []
    for name in ("first", "boss", "nearer", "near", "old"):
        starts += leaves(built, name).does()
    assert starts == [f"start {name} on node-1 at 400 W" for name in ("boss", "nearer", "near", "old", "far")]


def test_a_job_comes_to_the_front_by_time_alone() -> None:
    """At an instant that the decision before names; until then it waits where it is."""
    built = full().job("old", gpus=4).job("young", **due(1000, estimate_s=100.0))
    turns_at = in_s(1000 - 100 - 2 - (5 + 2 + 10))

    assert built.decided().wake_at == turns_at
    built.passes((turns_at - T0).total_seconds() - 1)
    assert built.does() == []
    built.passes(1)
    assert built.does() == []
    assert leaves(built, "first").does() == ["start young on node-1 at 400 W"]


def test_who_is_late_already_delays_nobody() -> None:
    """After its deadline a job is one among its equals again."""
    built = full().job("old", gpus=4).job("late", **due(60, estimate_s=50.0)).settles()
    built.passes(60)
    assert built.does() == []

    assert leaves(built, "first").does() == ["start old on node-1 at 400 W"]


# -- missed ------------------------------------------------------------------------------------------------------------


def test_a_deadline_that_passes_is_told_once_and_the_job_goes_on() -> None:
    """Whether it runs, waits or is held by a person."""
    built = site().node().limit_w(9000).running("runs", "node-1", deadline_at=in_s(60))
    built.job("waits", **due(60)).job("held", state=JobState.HELD, desired=Desired.HOLD, **due(60)).settles()
    assert built.passes(59).decided().wake_at == in_s(60)

    told = built.passes(1).decided()

    by_job = {e.job_id: (e.kind, e.text) for e in told.events}
    words = "missed its deadline, 2026-01-10 12:01:00 UTC, and goes on"
    assert by_job == {name: ("job.deadline_missed", f"{name} {words}") for name in ("runs", "waits", "held")}
    assert {name: job.missed_at for name, job in told.jobs.items()} == dict.fromkeys(by_job, in_s(60))
    assert {name: job.state for name, job in built.jobs.items()} == {
        "runs": JobState.RUNNING,
        "waits": JobState.PENDING,
        "held": JobState.HELD,
    }
    assert built.passes(1).decided().events == ()


def test_a_job_that_is_done_or_cancelled_misses_nothing() -> None:
    """Though nobody looked before its deadline had passed."""
    built = site().node().limit_w(9000).running("j", "node-1", deadline_at=in_s(60)).settles()
    built.passes(61).wants("j", Desired.CANCEL)

    assert [e.kind for e in built.decided().events if e.kind == "job.deadline_missed"] == []
    assert [e.kind for e in built.passes(1).decided().events] == ["job.cancelled"]


# -- making room -------------------------------------------------------------------------------------------------------


def test_the_one_whose_deadline_is_near_goes_on_first() -> None:
    """Of two that are held, when there is power for one."""
    built = site().node("a").node("b").limit_w(9000)
    built.running("old", "a", cap_ok=False)
    built.running("urgent", "b", cap_ok=False, deadline_at=in_s(300), estimate_s=280.0).settles()
    assert built.limit_w(2000).does() == ["suspend old", "suspend urgent"]

    assert built.passes(1).limit_w(3400).does() == ["resume urgent at 400 W"]
