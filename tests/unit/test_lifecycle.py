"""The life of jobs and attempts: what may follow what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.core.jobs import FINAL_STATES, WAITING_STATES, AttemptState, Desired, JobState
from scheduler.core.lifecycle import (
    ATTEMPT_TRANSITIONS,
    JOB_TRANSITIONS,
    InvalidTransition,
    attempt_moved,
    is_final,
    job_state,
    moved,
)
from tests.builders import T0, site

LATER = T0 + timedelta(seconds=5)
ACTIVE = frozenset(JobState) - FINAL_STATES - WAITING_STATES - {JobState.HELD, JobState.CANCELLING}


def test_every_state_has_its_row() -> None:
    """And every row only known states."""
    assert set(JOB_TRANSITIONS) == set(JobState)
    assert set(ATTEMPT_TRANSITIONS) == set(AttemptState)


def test_nothing_follows_a_final_state() -> None:
    """Exactly three are final."""
    assert {s for s, to in JOB_TRANSITIONS.items() if not to} == FINAL_STATES
    assert [is_final(s) for s in (JobState.FAILED, JobState.PAUSED)] == [True, False]


def test_every_other_state_has_a_way_to_the_end() -> None:
    """No job is stuck by the table."""
    for state in set(JobState) - FINAL_STATES:
        reached, todo = set(), {state}
        while todo:
            reached |= todo
            todo = {n for s in todo for n in JOB_TRANSITIONS[s]} - reached
        assert {JobState.CANCELLED, JobState.FAILED, JobState.SUCCEEDED} <= reached


def test_only_a_person_brings_a_job_back_from_hold() -> None:
    """It waits again; it does not run at once."""
    assert JOB_TRANSITIONS[JobState.HELD] == {JobState.PENDING, JobState.PAUSED, JobState.CANCELLED}


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_whoever_has_processes_may_end_in_any_way(state: JobState) -> None:
    """Done, failed, cancelled, paused, held, lost."""
    ends = {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.PAUSED,
        JobState.HELD,
        JobState.PENDING,
    }

    assert ends <= JOB_TRANSITIONS[state]


def test_a_move_is_dated() -> None:
    """And to stay is no move."""
    job = site().node().job("j").jobs["j"]
    started = moved(job, JobState.STARTING, LATER)

    assert (started.state, started.since_at) == (JobState.STARTING, LATER)
    assert moved(job, JobState.PENDING, LATER) is job


def test_a_move_that_the_table_lacks_is_a_bug() -> None:
    """It names the job and both states."""
    job = site().node().job("j").jobs["j"]

    with pytest.raises(InvalidTransition, match="job j: PENDING cannot become RUNNING"):
        moved(job, JobState.RUNNING, LATER)


@pytest.mark.parametrize("state", [s for s in AttemptState if s is not AttemptState.ENDED])
def test_every_attempt_may_end_and_none_comes_back(state: AttemptState) -> None:
    """From wherever it was."""
    assert attempt_moved(state, AttemptState.ENDED) is AttemptState.ENDED
    assert attempt_moved(AttemptState.ENDED, state) is AttemptState.ENDED


@pytest.mark.parametrize(
    "state, seen",
    [
        (AttemptState.RUNNING, AttemptState.STARTING),
        (AttemptState.RUNNING, AttemptState.ALLOCATED),
        (AttemptState.SAVING, AttemptState.RUNNING),
        (AttemptState.SUSPENDED, AttemptState.ALLOCATED),
    ],
)
def test_a_late_look_moves_nothing_back(state: AttemptState, seen: AttemptState) -> None:
    """The state stays."""
    assert attempt_moved(state, seen) is state


def test_suspending_can_be_undone() -> None:
    """There and back."""
    assert attempt_moved(AttemptState.RUNNING, AttemptState.SUSPENDED) is AttemptState.SUSPENDED
    assert attempt_moved(AttemptState.SUSPENDED, AttemptState.RUNNING) is AttemptState.RUNNING


def test_a_job_shows_its_attempt() -> None:
    """Unless it is being cancelled. An ended attempt shows nothing by itself."""
    shown = {s: job_state(s, Desired.RUN) for s in AttemptState if s is not AttemptState.ENDED}

    assert shown == {
        AttemptState.ALLOCATED: JobState.STARTING,
        AttemptState.STARTING: JobState.STARTING,
        AttemptState.RUNNING: JobState.RUNNING,
        AttemptState.SUSPENDED: JobState.SUSPENDED,
        AttemptState.PARKED: JobState.SUSPENDED,
        AttemptState.SAVING: JobState.PREEMPTING,
    }
    assert job_state(AttemptState.RUNNING, Desired.CANCEL) is JobState.CANCELLING
