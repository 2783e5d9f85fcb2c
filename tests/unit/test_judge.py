"""From facts to what became of an attempt: the table of exit codes row by row, and gangs as wholes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.jobs import (
    Attempt,
    AttemptState,
    Desired,
    FailureCause,
    Job,
    JobState,
    Outcome,
    PauseCause,
    Phase,
)
from scheduler.core.judge import (
    Verdict,
    after_attempt,
    is_left,
    must_end,
    newest_commit,
    observed_state,
    seen,
    shown,
    verdict,
    with_facts,
)
from scheduler.core.orders import AttemptFacts, Observed
from tests.builders import T0, commit, site

POWER = PauseCause.POWER_WITHDRAWN


def ended(**facts: Any) -> AttemptFacts:
    """A member of which no process is left."""
    return AttemptFacts(attempt_id="j.1", observed=Observed.ENDED, **facts)


def member(observed: Observed, **facts: Any) -> AttemptFacts:
    """A member in any state."""
    return AttemptFacts(attempt_id="j.1", observed=observed, **facts)


def pair(**changes: Any) -> tuple[Attempt, Job]:
    """A running attempt and its job; `cause`, `pause_cause` and `resume_from` are of the attempt."""
    job_changes = {k: changes.pop(k) for k in ("desired", "max_failures", "failures") if k in changes}
    built = site().node().running("j", "node-1", **job_changes)
    if "failures" in job_changes:
        built.jobs["j"] = replace(built.jobs["j"], failures=job_changes["failures"])
    return replace(built.attempts["j.1"], **changes), built.jobs["j"]


def judged(*members: AttemptFacts, **changes: Any) -> tuple[Outcome, object]:
    """Outcome and cause."""
    found = verdict(*pair(**changes), members)
    return found.outcome, found.cause


ASKED = {"asked_to_exit": True}
NEWER = {"committed_step": 9, "committed_path": "/c/step-9"}


@pytest.mark.parametrize(
    "facts, outcome, cause",
    [
        # 0: done without a pause; with one only if the job says so itself
        ({"exit_code": 0}, Outcome.SUCCEEDED, None),
        ({"exit_code": 0, **ASKED}, Outcome.PREEMPTED, POWER),
        ({"exit_code": 0, **ASKED, "says_done": True}, Outcome.SUCCEEDED, None),
        # "saved, requeue me", asked or not
        ({"exit_code": 85}, Outcome.PREEMPTED, None),
        ({"exit_code": 75}, Outcome.PREEMPTED, None),
        ({"exit_code": 99}, Outcome.PREEMPTED, None),
        ({"exit_code": 85, **ASKED, **NEWER}, Outcome.PREEMPTED, POWER),
        # what launchers make of a good pause
        ({"exit_code": 143, **ASKED, **NEWER}, Outcome.PREEMPTED, POWER),
        ({"exit_code": 1, **ASKED, **NEWER}, Outcome.PREEMPTED, POWER),
        ({"exit_code": None, "signal": 15, **ASKED}, Outcome.PREEMPTED, POWER),
        # the same without a pause
        ({"exit_code": 143}, Outcome.FAILED, FailureCause.APP_ERROR),
        ({"exit_code": 1}, Outcome.FAILED, FailureCause.APP_ERROR),
        ({"exit_code": None, "signal": 11}, Outcome.FAILED, FailureCause.APP_ERROR),
        # any other code is an error, pause or not
        ({"exit_code": 2, **ASKED}, Outcome.FAILED, FailureCause.APP_ERROR),
        ({"exit_code": None, "signal": 11, **ASKED}, Outcome.FAILED, FailureCause.APP_ERROR),
        # 137: the OOM kill first, then our own kill, then somebody's
        (
            {"exit_code": 137, "oom_killed": True, **ASKED, "killed": True},
            Outcome.FAILED,
            FailureCause.OUT_OF_MEMORY,
        ),
        ({"exit_code": None, "signal": 9, "killed": True, **ASKED}, Outcome.PREEMPTED, POWER),
        ({"exit_code": None, "signal": 9, "killed": True}, Outcome.PREEMPTED, POWER),
        ({"exit_code": None, "signal": 9}, Outcome.FAILED, FailureCause.APP_ERROR),
        ({"exit_code": 137}, Outcome.FAILED, FailureCause.APP_ERROR),
        # no word at all, and a launch that failed
        ({}, Outcome.LOST, FailureCause.NODE_LOST),
        ({"launch_error": "no such file: train.py"}, Outcome.FAILED, FailureCause.LAUNCH_FAILED),
        (
            {"launch_error": "the checkpoints cannot be read", "exit_code": 75},
            Outcome.PREEMPTED,
            FailureCause.NODE_FAULT,
        ),
    ],
)
def test_exit_codes_are_hints(facts: dict[str, Any], outcome: Outcome, cause: object) -> None:
    """DESIGN section 6, row by row."""
    assert judged(ended(**facts), pause_cause=POWER) == (outcome, cause)


def test_the_sentence_tells_what_a_pause_kept() -> None:
    """A newer verified commit, or a rollback to the one before."""
    attempt, job = pair(pause_cause=POWER, resume_from=commit(5))

    saved = verdict(attempt, job, [ended(exit_code=85, asked_to_exit=True, **NEWER)])
    lost = verdict(
        attempt, job, [ended(exit_code=1, asked_to_exit=True, committed_step=5, committed_path="/c/step-5")]
    )
    none = verdict(attempt, job, [ended(exit_code=1, asked_to_exit=True)])

    assert saved.text == "saved at step 9"
    assert lost.text == "rolled back to step 5: it left no newer verified checkpoint"
    assert none.text == "rolled back to step 0: it left no newer verified checkpoint"

    attempt, job = pair()
    alone = verdict(attempt, job, [ended(exit_code=85, asked_to_exit=True, **NEWER)])
    assert alone.text == "its guard acted without a scheduler; saved at step 9"


def test_a_cancelled_job_is_cancelled_however_it_ended() -> None:
    """Unless it was done before it heard."""
    killed = ended(signal=9, killed=True)

    assert judged(killed, desired=Desired.CANCEL) == (Outcome.CANCELLED, None)
    assert judged(ended(exit_code=1), desired=Desired.CANCEL) == (Outcome.CANCELLED, None)
    assert judged(ended(exit_code=0), desired=Desired.CANCEL) == (Outcome.SUCCEEDED, None)


def test_out_of_time_is_a_failure() -> None:
    """We killed it, and it was not for power."""
    built = site().node().running("j", "node-1", time_limit_s=60.0)
    attempt = replace(built.attempts["j.1"], cause=FailureCause.TIME_LIMIT)

    found = verdict(attempt, built.jobs["j"], [ended(signal=9, killed=True)])
    assert (found.outcome, found.cause, found.text) == (
        Outcome.FAILED,
        FailureCause.TIME_LIMIT,
        "ran 60 s, its limit",
    )


# -- gangs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "states, expected",
    [
        ([Observed.RUNNING, Observed.RUNNING], AttemptState.RUNNING),
        ([Observed.RUNNING, Observed.STARTING], AttemptState.STARTING),
        ([Observed.STARTING, Observed.ABSENT], AttemptState.ALLOCATED),
        ([Observed.RUNNING, Observed.SUSPENDED], AttemptState.RUNNING),
        ([Observed.SUSPENDED, Observed.SUSPENDED], AttemptState.SUSPENDED),
        ([Observed.SUSPENDED, Observed.ENDED], AttemptState.SUSPENDED),
        ([Observed.SAVING, Observed.SUSPENDED], AttemptState.SAVING),
        ([Observed.SAVING, Observed.ABSENT], AttemptState.SAVING),
        ([Observed.ENDED, Observed.RUNNING], AttemptState.RUNNING),
        ([Observed.ENDED, Observed.ENDED], AttemptState.ENDED),
    ],
)
def test_a_gang_is_as_far_as_its_slowest_member(states: list[Observed], expected: AttemptState) -> None:
    """Suspended only when all are; saving as soon as one is; ended only when all are."""
    assert observed_state([member(s) for s in states]) is expected


def test_a_rank_that_is_done_while_another_was_told_to_pause_is_not_done() -> None:
    """Exit 0 of one does not speak for the gang."""
    done, paused = ended(exit_code=0), ended(exit_code=85, asked_to_exit=True, **NEWER)

    assert judged(done, paused, pause_cause=POWER) == (Outcome.PREEMPTED, POWER)
    assert judged(done, ended(exit_code=0, asked_to_exit=True), pause_cause=POWER) == (
        Outcome.PREEMPTED,
        POWER,
    )


def test_the_crash_of_one_rank_explains_the_end_of_all() -> None:
    """Those that were killed because of it hide nothing, in whichever order they are listed."""
    crashed, killed = ended(exit_code=3), ended(signal=9, killed=True)

    assert judged(killed, crashed) == (Outcome.FAILED, FailureCause.APP_ERROR)
    assert judged(crashed, killed) == (Outcome.FAILED, FailureCause.APP_ERROR)
    assert judged(killed, ended(exit_code=137, oom_killed=True)) == (
        Outcome.FAILED,
        FailureCause.OUT_OF_MEMORY,
    )
    assert judged(killed, ended()) == (Outcome.LOST, FailureCause.NODE_LOST)


def test_of_launches_that_failed_the_one_that_is_the_job_s_fault_counts() -> None:
    """Where there is none it costs no retry, and the sentence says what is wrong."""
    away = ended(launch_error="the checkpoints cannot be read", exit_code=75)
    attempt, job = pair()

    assert verdict(attempt, job, [away, member(Observed.RUNNING)]).text == "the checkpoints cannot be read"
    assert judged(away, ended(launch_error="no such file")) == (Outcome.FAILED, FailureCause.LAUNCH_FAILED)
    assert must_end([away, member(Observed.RUNNING)])


def test_a_gang_ends_with_the_member_that_ended_badly() -> None:
    """A crash, a launch that failed, a vanished supervisor: the others cannot go on."""
    running = member(Observed.RUNNING)

    assert all(
        must_end([bad, running])
        for bad in (ended(exit_code=1), ended(signal=9), ended(), ended(launch_error="x"))
    )


def test_a_gang_waits_for_the_members_that_still_save() -> None:
    """One that left as it was asked, or is done, is no reason to kill the others at it."""
    saving = member(Observed.SAVING)

    assert not must_end([ended(exit_code=85, asked_to_exit=True), saving])
    assert not must_end([ended(signal=15, asked_to_exit=True), saving])
    assert not must_end([ended(exit_code=0), member(Observed.RUNNING)])


def test_a_gang_cannot_go_on_without_a_member_that_saved_and_left() -> None:
    """Whatever the others do; one that is done by itself is waited for."""
    left = ended(exit_code=85, asked_to_exit=True)

    assert all(is_left([left, member(o)]) for o in Observed if o is not Observed.ENDED)
    assert not is_left([left, left])
    assert not is_left([ended(exit_code=0), member(Observed.RUNNING)])


def test_nobody_has_to_end_who_has() -> None:
    """And nobody who runs."""
    assert not must_end([ended(exit_code=1), ended(exit_code=1)])
    assert not must_end([member(Observed.RUNNING), member(Observed.RUNNING)])


def test_an_attempt_that_never_began_spends_nothing() -> None:
    """It was told to leave before any guard started it."""
    assert judged(member(Observed.ABSENT), pause_cause=POWER) == (Outcome.PREEMPTED, POWER)
    assert judged(member(Observed.ABSENT), desired=Desired.CANCEL) == (Outcome.CANCELLED, None)
    assert judged(member(Observed.ABSENT), ended(exit_code=1)) == (Outcome.FAILED, FailureCause.APP_ERROR)


def test_a_pause_before_the_job_began_is_a_pause() -> None:
    """Its supervisor was still preparing it: no node was lost, and no retry is spent."""
    told = ended(asked_to_exit=True)

    assert judged(told, pause_cause=POWER)[0] is Outcome.PREEMPTED
    assert judged(replace(told, resumed_step=0)) == (Outcome.LOST, FailureCause.NODE_LOST)
    attempt, job = pair()
    assert verdict(attempt, job, [told]).text == "it had not begun"


def test_the_newest_verified_commit_of_any_member_counts() -> None:
    """A claim without a path is none."""
    members = [ended(committed_step=3, committed_path="/c/step-3"), ended(**NEWER), ended(committed_step=12)]

    assert newest_commit(members) == commit(9)
    assert newest_commit([ended()]) is None


# -- what follows ------------------------------------------------------------------------------------------------------


def test_a_look_updates_the_attempt() -> None:
    """State, first second of running, steps as claimed; a late look never moves it back."""
    attempt, _ = pair(running_at=None, state=AttemptState.STARTING)
    later = T0 + timedelta(seconds=9)

    running = seen(attempt, [member(Observed.RUNNING, step=4, resumed_step=2)], later)
    assert (running.state, running.running_at, running.last_step, running.resumed_step) == (
        AttemptState.RUNNING,
        later,
        4,
        2,
    )
    assert seen(running, [member(Observed.STARTING)], later) == running
    assert seen(running, [ended(exit_code=1), member(Observed.RUNNING)], later).phase is Phase.KILL


@pytest.mark.parametrize(
    "facts, has_run",
    [
        ({"exit_code": 0, "resumed_step": 0}, True),
        ({"exit_code": 1}, True),
        ({"signal": 9}, True),
        ({"resumed_step": 0}, True),
        ({}, False),
        ({"launch_error": "there is no true on this node", "resumed_step": 0}, False),
        ({"launch_error": "no more processes", "exit_code": 75}, False),
    ],
)
def test_what_came_and_went_between_two_looks_has_run(facts: dict[str, Any], *, has_run: bool) -> None:
    """It began when that was told at the latest; what was never started, or began before, keeps what it has."""
    attempt, _ = pair(running_at=None, state=AttemptState.STARTING)
    at = T0 + timedelta(seconds=9)

    assert seen(attempt, [ended(**facts)], at).running_at == (at if has_run else None)
    assert seen(replace(attempt, running_at=T0), [ended(**facts)], at).running_at == T0


def test_a_job_remembers_its_newest_commit_and_what_a_save_took() -> None:
    """A look without news forgets neither."""
    _, job = pair()

    learned = with_facts(job, [ended(**NEWER, save_s=1.5), ended(save_s=2.5)])
    assert (learned.last_commit, learned.save_s) == (commit(9), 2.5)
    assert with_facts(learned, [member(Observed.RUNNING)]) == learned


@pytest.mark.parametrize(
    "outcome, desired, state",
    [
        (Outcome.SUCCEEDED, Desired.HOLD, JobState.SUCCEEDED),
        (Outcome.CANCELLED, Desired.CANCEL, JobState.CANCELLED),
        (Outcome.PREEMPTED, Desired.RUN, JobState.PAUSED),
        (Outcome.PREEMPTED, Desired.HOLD, JobState.HELD),
        (Outcome.LOST, Desired.RUN, JobState.PENDING),
        (Outcome.LOST, Desired.HOLD, JobState.HELD),
        (Outcome.LOST, Desired.CANCEL, JobState.CANCELLED),
    ],
)
def test_what_becomes_of_the_job(outcome: Outcome, desired: Desired, state: JobState) -> None:
    """No preemption and no loss of a node spends the retry budget."""
    _, job = pair()
    job = replace(job, state=JobState.CANCELLING if desired is Desired.CANCEL else job.state, desired=desired)
    after = after_attempt(job, Verdict(outcome=outcome, cause=None, text=""), T0, backoff_s=1.0)

    assert (after.state, after.failures) == (state, 0)


@pytest.mark.parametrize(
    "failures, cause, state",
    [
        (0, FailureCause.APP_ERROR, JobState.PENDING),
        (1, FailureCause.APP_ERROR, JobState.PENDING),
        (2, FailureCause.APP_ERROR, JobState.FAILED),
        (0, FailureCause.TIME_LIMIT, JobState.FAILED),
        (0, FailureCause.DEADLINE_MISSED, JobState.FAILED),
    ],
)
def test_a_failure_spends_one_retry(failures: int, cause: FailureCause, state: JobState) -> None:
    """With a pause before the next; some failures would only be repeated."""
    _, job = pair(max_failures=2, failures=failures)
    after = after_attempt(job, Verdict(outcome=Outcome.FAILED, cause=cause, text=""), T0, backoff_s=4.0)

    assert (after.state, after.failures) == (state, failures + 1)
    assert (after.not_before_at == T0 + timedelta(seconds=4)) == (state is JobState.PENDING)


def test_a_living_attempt_shows_in_its_job() -> None:
    """Unless somebody cancelled it."""
    attempt, job = pair(state=AttemptState.SAVING)

    assert shown(job, attempt, T0).state is JobState.PREEMPTING
    assert shown(replace(job, desired=Desired.CANCEL), attempt, T0).state is JobState.CANCELLING
