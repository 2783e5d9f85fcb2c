"""What people want of their jobs becomes phases of attempts and states of jobs, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.jobs import Attempt, Desired, FailureCause, Job, JobState, PauseCause, Phase
from scheduler.core.plan import Plan
from scheduler.core.wishes import fulfil
from tests.builders import T0, SiteBuilder, commit, launch, site


def a_site() -> SiteBuilder:
    """One node of four A100."""
    return site().node("a").limit_w(9000)


def wanted(built: SiteBuilder, job_id: str, **changes: Any) -> SiteBuilder:
    """A job that a person, or time, has changed."""
    built.jobs[job_id] = replace(built.jobs[job_id], **changes)
    return built


def ordered(built: SiteBuilder, attempt_id: str, **changes: Any) -> SiteBuilder:
    """An attempt that was ordered otherwise before."""
    built.attempts[attempt_id] = replace(built.attempts[attempt_id], **changes)
    return built


def fulfilled(built: SiteBuilder) -> Plan:
    """The plan after people had their way."""
    snapshot = built.snapshot()
    plan = Plan(snapshot)
    fulfil(plan, snapshot)
    return plan


def changed(built: SiteBuilder) -> tuple[list[Job], list[Attempt], list[str]]:
    """All that it changed: jobs, attempts, and what it told."""
    plan = fulfilled(built)
    jobs = [j for j in plan.jobs.values() if j != built.jobs[j.id]]
    attempts = [a for a in plan.attempts.values() if a != built.attempts[a.id]]
    return jobs, attempts, [f"{e.kind}: {e.text}" for e in plan.events]


def test_who_wants_nothing_new_changes_nothing() -> None:
    """Running, suspended, waiting and held jobs stay as they are."""
    built = a_site().running("r", on="a", gpus=1).running("s", on="a", gpus=1)
    ordered(built, "s.1", phase=Phase.SUSPEND, pause_cause=PauseCause.POWER_WITHDRAWN)
    built.job("w").job("h", state=JobState.HELD, desired=Desired.HOLD).job("p", state=JobState.PAUSED)

    assert changed(built) == ([], [], [])


@pytest.mark.parametrize("phase", [Phase.RUN, Phase.SUSPEND])
def test_a_job_that_is_to_hold_saves_and_leaves(phase: Phase) -> None:
    """Its GPUs are for others; the cause is a person, whatever it was suspended for before."""
    built = wanted(a_site().running("j", on="a"), "j", desired=Desired.HOLD)
    ordered(built, "j.1", phase=phase).passes(5)
    leaves = replace(
        built.attempts["j.1"], phase=Phase.SAVE_EXIT, pause_cause=PauseCause.OPERATOR, since_at=built.at
    )
    assert changed(built) == ([], [leaves], [])


def test_who_leaves_already_is_not_told_again() -> None:
    """Its deadline counts from the first word."""
    built = wanted(a_site().running("j", on="a"), "j", desired=Desired.HOLD)
    ordered(built, "j.1", phase=Phase.SAVE_EXIT, pause_cause=PauseCause.POWER_WITHDRAWN).passes(5)

    assert changed(built) == ([], [], [])


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.PAUSED])
def test_a_waiting_job_is_held_at_once(state: JobState) -> None:
    """It has nothing to save."""
    built = wanted(a_site().job("j", state=state), "j", desired=Desired.HOLD).passes(5)
    held = replace(built.jobs["j"], state=JobState.HELD, since_at=built.at)

    assert changed(built) == ([held], [], [])


def test_a_released_job_waits_again() -> None:
    """For its first start, without the rest of a back-off."""
    built = (
        a_site().job("j", state=JobState.HELD, failures=1, not_before_at=T0 + timedelta(hours=1)).passes(5)
    )
    waits = replace(built.jobs["j"], state=JobState.PENDING, since_at=built.at, not_before_at=None)

    assert changed(built) == ([waits], [], [])


def test_a_released_job_that_saved_resumes() -> None:
    """It is paused, not pending: it has something to go on from."""
    built = a_site().job("j", state=JobState.HELD, last_commit=commit(7)).passes(5)
    (job,), attempts, told = changed(built)

    assert (job.state, job.last_commit, attempts, told) == (JobState.PAUSED, commit(7), [], [])


@pytest.mark.parametrize(
    "state, attempts, said",
    [
        (JobState.PENDING, 0, "j cancelled before it ran"),
        (JobState.PAUSED, 2, "j cancelled"),
        (JobState.HELD, 1, "j cancelled"),
    ],
)
def test_a_waiting_job_that_is_cancelled_is_over(state: JobState, attempts: int, said: str) -> None:
    """The log says whether it ever ran."""
    built = wanted(a_site().job("j", state=state), "j", desired=Desired.CANCEL, attempts=attempts).passes(5)
    over = replace(built.jobs["j"], state=JobState.CANCELLED, since_at=built.at)

    assert changed(built) == ([over], [], [f"job.cancelled: {said}"])


@pytest.mark.parametrize("phase", [Phase.RUN, Phase.SUSPEND, Phase.SAVE_EXIT])
def test_a_cancelled_job_is_killed(phase: Phase) -> None:
    """Wherever its attempt stands; nothing is saved for a job that nobody wants."""
    built = wanted(a_site().running("j", on="a"), "j", desired=Desired.CANCEL)
    ordered(built, "j.1", phase=phase).passes(5)
    going = replace(built.jobs["j"], state=JobState.CANCELLING, since_at=built.at)
    killed = replace(
        built.attempts["j.1"], phase=Phase.KILL, pause_cause=PauseCause.OPERATOR, since_at=built.at
    )
    assert changed(built) == ([going], [killed], [])


def test_who_is_being_killed_is_left_to_it() -> None:
    """No wish of any kind changes what a kill was ordered for."""
    built = wanted(a_site().running("j", on="a"), "j", desired=Desired.HOLD)
    ordered(built, "j.1", phase=Phase.KILL, cause=FailureCause.TIME_LIMIT)

    assert changed(built) == ([], [], [])


def test_a_time_limit_counts_all_attempts() -> None:
    """Sixty seconds were run before; of a hundred, forty are left for this attempt."""
    built = wanted(a_site().running("j", on="a", time_limit_s=100.0), "j", ran_s=60.0).passes(40)
    assert changed(built) == ([], [], [])

    built.passes(0.1)
    killed = replace(
        built.attempts["j.1"], phase=Phase.KILL, cause=FailureCause.TIME_LIMIT, since_at=built.at
    )
    assert changed(built) == ([], [killed], [])


def test_a_time_limit_counts_from_the_first_step() -> None:
    """Not from the order to start."""
    built = a_site().running("j", on="a", time_limit_s=1.0)
    ordered(built, "j.1", running_at=None).passes(100)

    assert changed(built) == ([], [], [])


def test_a_save_that_takes_twice_its_grace_is_ended() -> None:
    """The guard kills at the grace itself; this is for one that did not. The cause stays what it was."""
    built = a_site().running("j", on="a", launch=launch(grace_s=50.0))
    ordered(built, "j.1", phase=Phase.SAVE_EXIT, pause_cause=PauseCause.POWER_WITHDRAWN).passes(100)
    assert changed(built) == ([], [], [])

    built.passes(0.1)
    killed = replace(built.attempts["j.1"], phase=Phase.KILL, since_at=built.at)
    assert changed(built) == ([], [killed], [])
    assert killed.pause_cause is PauseCause.POWER_WITHDRAWN


@pytest.mark.parametrize("end", [JobState.FAILED, JobState.CANCELLED])
def test_a_job_whose_dependency_can_never_succeed_fails(end: JobState) -> None:
    """It would wait for ever."""
    built = a_site().job("j", dependencies=("good", "bad")).passes(5)
    built.settled |= {"good": JobState.SUCCEEDED, "bad": end}
    failed = replace(built.jobs["j"], state=JobState.FAILED, since_at=built.at)

    assert changed(built) == (
        [failed],
        [],
        ["job.failed: j bad, which it depends on, did not succeed"],
    )


def test_a_held_job_outlives_its_dependency() -> None:
    """A person stopped it; when released it fails."""
    built = a_site().job("j", state=JobState.HELD, desired=Desired.HOLD, dependencies=("bad",))
    built.settled["bad"] = JobState.FAILED

    assert changed(built) == ([], [], [])
