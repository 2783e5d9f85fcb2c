"""What became of attempts: facts of whole gangs, nodes that fell silent, starts that never happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.jobs import (
    AttemptState,
    CommitRef,
    Desired,
    FailureCause,
    JobState,
    Outcome,
    PauseCause,
    Phase,
    Placement,
)
from scheduler.core.ledger import Account
from scheduler.core.orders import Fence, Observed
from scheduler.core.plan import Plan
from scheduler.core.progress import settle_facts
from tests.builders import T0, SiteBuilder, launch, site


def a_site() -> SiteBuilder:
    """Two nodes of four A100."""
    return site().node("a").node("b").limit_w(9000)


def a_gang() -> SiteBuilder:
    """A job on both nodes, of which both guards have reported."""
    built = a_site().running("j", on="a", nodes=2)
    both = (*built.attempts["j.1"].placements, Placement(node_id="b", gpu_ids=("0", "1", "2", "3")))
    ordered(built, placements=both)
    return built.facts("j.1", "b", observed=Observed.RUNNING, step=10)


def ordered(built: SiteBuilder, **changes: Any) -> SiteBuilder:
    """The attempt as it was ordered before."""
    built.attempts["j.1"] = replace(built.attempts["j.1"], **changes)
    return built


def settled(built: SiteBuilder) -> Plan:
    """The plan after a look at what the guards saw."""
    snapshot = built.snapshot()
    plan = Plan(snapshot)
    settle_facts(plan, snapshot)
    return plan


def told(plan: Plan) -> list[str]:
    """What the log says of it."""
    return [f"{e.kind}: {e.text}" for e in plan.events]


def states(plan: Plan) -> tuple[JobState, AttemptState, Phase]:
    """Job, attempt and what the attempt is told, while it lives."""
    return plan.jobs["j"].state, plan.attempts["j.1"].state, plan.attempts["j.1"].phase


# -- while it lives ------------------------------------------------------------------------------------------------


def test_nothing_new_changes_nothing() -> None:
    """The very same jobs and attempts are in the plan."""
    built = a_site().running("j", on="a")
    ordered(built, last_step=10)
    plan = settled(built)

    assert plan.jobs == built.jobs
    assert (plan.attempts, plan.ended, list(plan.events)) == (built.attempts, {}, [])


def test_an_attempt_that_no_guard_speaks_of_is_left_alone() -> None:
    """Its order may still be on its way."""
    built = a_site().running("j", on="a")
    ordered(built, state=AttemptState.ALLOCATED)
    built.groups["a"] = replace(built.groups["a"], facts=())

    assert settled(built).attempts == built.attempts


@pytest.mark.parametrize(
    "seen, job, attempt",
    [
        (Observed.STARTING, JobState.STARTING, AttemptState.STARTING),
        (Observed.RUNNING, JobState.RUNNING, AttemptState.RUNNING),
        (Observed.SUSPENDED, JobState.SUSPENDED, AttemptState.SUSPENDED),
        (Observed.SAVING, JobState.PREEMPTING, AttemptState.SAVING),
    ],
)
def test_a_job_shows_what_its_attempt_is_seen_at(
    seen: Observed, job: JobState, attempt: AttemptState
) -> None:
    """From allocated on, each state that a guard sees is the job's."""
    built = a_site().running("j", on="a")
    ordered(built, state=AttemptState.ALLOCATED)
    built.jobs["j"] = replace(built.jobs["j"], state=JobState.STARTING)
    built.facts("j.1", "a", observed=seen)

    assert states(settled(built)) == (job, attempt, Phase.RUN)


def test_an_attempt_has_run_since_it_was_told_so() -> None:
    """Whenever that is looked at; a gang since the last of its nodes said so."""
    built = a_gang()
    ordered(built, state=AttemptState.STARTING, running_at=None)
    for node, ago_s in {"a": 7.0, "b": 5.0}.items():
        told_at = built.at - timedelta(seconds=ago_s)
        facts = built.groups[node].facts
        built.groups[node] = replace(built.groups[node], facts_at=(told_at,) * len(facts))

    assert settled(built).attempts["j.1"].running_at == built.at - timedelta(seconds=5)


def test_a_job_learns_of_its_newest_commit_while_it_runs() -> None:
    """So that a kill in the next second loses no more than what came after it."""
    built = a_site().running("j", on="a")
    built.facts(
        "j.1", "a", observed=Observed.RUNNING, committed_step=40, committed_path="/c/step-40", save_s=1.5
    )
    job = settled(built).jobs["j"]

    assert (job.last_commit, job.save_s) == (CommitRef(path="/c/step-40", step=40), 1.5)


def test_a_suspended_attempt_of_which_something_else_is_told_is_judged_again() -> None:
    """Its order stands and its phase is the same: a commit that its guard reports late is taken in all the same."""
    built = site().node("a").running("j", on="a", min_cap_w=195.0).limit_w(1200)
    built.decided()
    built.passes(1).decided()
    assert built.attempts["j.1"].phase is Phase.SUSPEND

    built.passes(1).facts(
        "j.1", "a", observed=Observed.SUSPENDED, committed_step=40, committed_path="/c/step-40"
    )
    built.decided(obeyed=False)

    assert built.jobs["j"].last_commit == CommitRef(path="/c/step-40", step=40)
    assert built.attempts["j.1"].phase is Phase.SUSPEND


def test_a_job_that_its_guard_holds_by_itself_is_told_of() -> None:
    """Orders did not reach it for longer than a lease; one that was just let go on may be seen as it was before."""
    for ran_s, lines in (
        (5, []),
        (60, ["job.suspended: j suspended by its guard, which no orders reached for longer than a lease"]),
    ):
        built = a_site().running("j", on="a").passes(ran_s)
        plan = settled(built.facts("j.1", "a", observed=Observed.SUSPENDED))
        assert (plan.jobs["j"].state, told(plan)) == (JobState.SUSPENDED, lines)


def test_a_gang_is_as_far_as_its_slowest_member() -> None:
    """One node runs, the other was not heard of yet."""
    built = a_gang()
    ordered(built, state=AttemptState.ALLOCATED)
    built.groups["b"] = replace(built.groups["b"], facts=())

    assert settled(built).attempts["j.1"].state is AttemptState.ALLOCATED


def test_a_gang_of_which_one_member_died_is_ended() -> None:
    """The others wait for it in vain: they are killed, and the job shows what it showed until they are gone."""
    built = a_gang().facts("j.1", "b", observed=Observed.ENDED, exit_code=1)

    assert states(settled(built)) == (JobState.RUNNING, AttemptState.RUNNING, Phase.KILL)


# -- how it ends ---------------------------------------------------------------------------------------------------


def test_a_job_that_is_done_is_done() -> None:
    """Its attempt ends, its GPUs are free, its seconds are counted."""
    built = a_site().running("j", on="a").passes(30).facts("j.1", "a", observed=Observed.ENDED, exit_code=0)
    plan = settled(built)

    assert (plan.jobs["j"].state, plan.jobs["j"].ran_s) == (JobState.SUCCEEDED, 30.0)
    assert plan.attempts == {}
    ended = plan.ended["j.1"]
    assert (ended.state, ended.outcome, ended.ended_at) == (AttemptState.ENDED, Outcome.SUCCEEDED, built.at)
    assert list(plan.on("a")) == []
    assert told(plan) == ["job.succeeded: j attempt 1 succeeded: all members exited 0"]


def test_what_came_and_went_between_two_looks_has_run_and_not_after_its_end() -> None:
    """A job that is over at once has a start all the same."""
    built = a_site().running("j", on="a").passes(5)
    ordered(built, state=AttemptState.STARTING, running_at=None)
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=0, resumed_step=0)
    plan = settled(built)

    assert plan.jobs["j"].state is JobState.SUCCEEDED
    assert plan.ended["j.1"].running_at is not None
    assert plan.ended["j.1"].running_at <= plan.ended["j.1"].ended_at  # type: ignore[operator]


def test_a_preempted_job_is_paused_with_its_commit() -> None:
    """The log says at which step; no retry is spent."""
    built = a_site().running("j", on="a")
    ordered(built, phase=Phase.SAVE_EXIT, pause_cause=PauseCause.POWER_WITHDRAWN)
    built.facts(
        "j.1",
        "a",
        observed=Observed.ENDED,
        asked_to_exit=True,
        exit_code=85,
        step=12,
        committed_step=12,
        committed_path="/c/step-12",
    )
    plan = settled(built)

    job = plan.jobs["j"]
    assert (job.state, job.failures, job.last_commit) == (
        JobState.PAUSED,
        0,
        CommitRef(path="/c/step-12", step=12),
    )
    assert told(plan) == ["job.paused: j attempt 1 preempted (PowerWithdrawn): saved at step 12"]
    assert plan.events[0].data == {
        "outcome": "PREEMPTED",
        "cause": "PowerWithdrawn",
        "why": "saved at step 12",
        "last_step": 12,
        "committed_step": 12,
    }


def test_each_failure_waits_twice_as_long() -> None:
    """One second, two, four: this is the third failure of five."""
    built = a_site().running("j", on="a", max_failures=5, backoff_s=1.0)
    built.jobs["j"] = replace(built.jobs["j"], failures=2)
    plan = settled(built.facts("j.1", "a", observed=Observed.ENDED, exit_code=1))

    job = plan.jobs["j"]
    assert (job.state, job.failures) == (JobState.PENDING, 3)
    assert job.not_before_at is not None
    assert (job.not_before_at - T0).total_seconds() == 4.0
    assert told(plan) == ["attempt.failed: j attempt 1 failed (AppError): exit 1"]


def test_the_last_failure_is_the_jobs() -> None:
    """The log says that the job failed, not only its attempt."""
    built = a_site().running("j", on="a").facts("j.1", "a", observed=Observed.ENDED, signal=11)
    plan = settled(built)

    assert plan.jobs["j"].state is JobState.FAILED
    assert told(plan) == ["job.failed: j attempt 1 failed (AppError): signal 11 (SIGSEGV)"]


# -- starts that never happened --------------------------------------------------------------------------------------


def told_to_leave_before_it_began(*, acked: int) -> SiteBuilder:
    """The second order to the node said leave; the guard never saw the attempt."""
    built = a_site().running("j", on="a").facts("j.1", "a", observed=Observed.ABSENT)
    ordered(
        built,
        state=AttemptState.ALLOCATED,
        running_at=None,
        phase=Phase.SAVE_EXIT,
        pause_cause=PauseCause.OPERATOR,
    )
    built.jobs["j"] = replace(built.jobs["j"], state=JobState.STARTING, desired=Desired.HOLD)
    account = Account(
        group_id="a",
        idle_w=820.0,
        nameplate_w=2200.0,
        known=True,
        sent=Fence(epoch=1, seq=2),
        acked=Fence(epoch=1, seq=acked),
    )
    built.groups["a"] = replace(built.groups["a"], account=account)
    return built


def test_a_start_that_was_called_back_in_time_is_over() -> None:
    """The guard accepted that it is to leave, and never began it."""
    plan = settled(told_to_leave_before_it_began(acked=2))

    assert plan.jobs["j"].state is JobState.HELD
    assert told(plan) == ["job.paused: j attempt 1 preempted (Operator): it had not begun"]


def test_a_start_that_may_still_be_on_its_way_is_waited_for() -> None:
    """The guard may yet accept the order that starts it."""
    plan = settled(told_to_leave_before_it_began(acked=1))

    assert (plan.ended, list(plan.events)) == ({}, [])
    assert plan.attempts["j.1"].state is AttemptState.ALLOCATED


# -- silent nodes ----------------------------------------------------------------------------------------------------


def silent(built: SiteBuilder, seconds: float, *nodes: str) -> SiteBuilder:
    """Time passes, and these nodes are not heard of."""
    heard = {n: built.groups[n] for n in nodes}
    built.passes(seconds)
    built.groups |= heard
    return built


def test_a_silent_node_loses_its_attempts() -> None:
    """After a minute, by when its guard has ended them by itself; no retry is spent."""
    built = a_site().running("j", on="a")
    assert settled(silent(built, 60, "a")).ended == {}

    plan = settled(silent(built, 0.1, "a"))
    assert (plan.jobs["j"].state, plan.jobs["j"].failures) == (JobState.PENDING, 0)
    assert plan.ended["j.1"].cause is FailureCause.NODE_LOST
    assert told(plan) == ["attempt.lost: j attempt 1 lost (NodeLost): a has been silent for too long"]


def test_a_long_grace_is_waited_for() -> None:
    """Lease 15 s, fall 3 s, save after 5 s, the grace, and the fall again: only then nothing of it can be left."""
    built = a_site().running("j", on="a", launch=launch(grace_s=100.0))
    assert settled(silent(built, 15 + 3 + 5 + 100 + 3, "a")).ended == {}

    assert list(settled(silent(built, 0.1, "a")).ended) == ["j.1"]


def test_firm_work_on_a_silent_node_is_not_given_up() -> None:
    """Its guard never ends it by itself, so a second start could make two of it."""
    built = a_site().running("j", on="a", flex=0)

    assert settled(silent(built, 3600, "a")).ended == {}


def test_cancelled_firm_work_on_a_silent_node_is_given_up() -> None:
    """Nobody starts it a second time."""
    built = a_site().running("j", on="a", flex=0)
    built.jobs["j"] = replace(built.jobs["j"], desired=Desired.CANCEL)

    assert settled(silent(built, 61, "a")).jobs["j"].state is JobState.CANCELLED


def test_one_silent_node_ends_a_gang() -> None:
    """The members that are heard of cannot go on without it."""
    plan = settled(silent(a_gang(), 61, "b"))

    assert told(plan) == ["attempt.lost: j attempt 1 lost (NodeLost): b has been silent for too long"]


def test_a_node_that_a_new_leader_never_heard_of_is_silent_since_it_leads() -> None:
    """Before that nobody listened."""
    built = a_site().running("j", on="a").passes(60)
    built.groups["a"] = replace(built.groups["a"], reported_at=None)
    assert settled(built).ended == {}

    built.passes(0.1)
    built.groups["a"] = replace(built.groups["a"], reported_at=None)
    assert list(settled(built).ended) == ["j.1"]


def test_outputs_that_stayed_behind_are_told() -> None:
    """The job has succeeded, and its log says where they are and why."""
    built = a_site().running("j", on="a")
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=0, outputs_error="s3://b: denied")

    plan = settled(built)

    assert plan.jobs["j"].state is JobState.SUCCEEDED
    folder = plan.jobs["j"].spec.launch.output_dir
    assert told(plan)[1:] == [
        f"job.outputs_failed: j outputs were not all copied, they stay in {folder}: s3://b: denied"
    ]


# -- faults of a node --------------------------------------------------------------------------------------------------


def test_a_node_that_cannot_start_an_attempt_spends_no_retry() -> None:
    """The job waits for as long as a lease, to be started elsewhere or when the fault has passed."""
    built = a_site().running("j", on="a", max_failures=0)
    why = "the node cannot start it: [Errno 24] Too many open files"
    built.facts("j.1", "a", observed=Observed.ENDED, launch_error=why, exit_code=75)

    plan = settled(built)
    job = plan.jobs["j"]
    assert (job.state, job.failures) == (JobState.PENDING, 0)
    assert job.not_before_at == plan.at + timedelta(seconds=15)
    assert told(plan) == [
        f"node.faulted: a is passed over until 12:00:15 UTC after a fault: {why}",
        f"job.paused: j attempt 1 preempted (NodeFault): {why}",
    ]
