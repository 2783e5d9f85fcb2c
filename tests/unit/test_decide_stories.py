"""Whole stories, told by what happens: exactly these actions, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.decide import decide
from scheduler.core.jobs import AttemptState, FailureCause, JobState, Outcome, Phase
from scheduler.core.orders import Fence, Observed
from tests.builders import T0, Desired, SiteBuilder, commit, launch, obey, site


def ends(built: SiteBuilder, name: str, on: str = "node-1", *, number: int = 1, **facts: Any) -> SiteBuilder:
    """The processes of a job end by themselves; its GPUs are free."""
    gid, group = on, built.groups[on]
    free = tuple(replace(r, processes=0) for r in group.gpus)
    built.groups[gid] = replace(group, gpus=free)
    return built.facts(f"{name}.{number}", on, observed=Observed.ENDED, **facts)


def silent_for(built: SiteBuilder, seconds: float, *nodes: str) -> SiteBuilder:
    """Time passes; of these nodes nothing is heard."""
    heard = {n: built.groups[n].reported_at for n in nodes}
    built.passes(seconds)
    for name, at in heard.items():
        built.groups[name] = replace(built.groups[name], reported_at=at)
    return built


# -- a day -------------------------------------------------------------------------------------------------------------


def test_a_day_of_surplus_power() -> None:
    """It comes, it goes, it comes back: mining gives way first and takes last, and the job loses nothing."""
    built = site().node(gpus=4).miners(max_w=3000).limit_w(5000).job("j", gpus=4, min_cap_w=195.0)
    assert built.does() == ["mine 2800 W on miners", "start j on node-1 at 400 W"]
    assert built.does() == []

    assert built.limit_w(3500).does() == ["mine 1300 W on miners"]
    assert built.limit_w(2000).does() == ["cap j at 350 W", "mine 0 W on miners"]
    assert built.limit_w(1200).does() == ["suspend j"]
    assert built.does() == ["mine 192 W on miners"]
    assert built.limit_w(900).does() == ["mine 0 W on miners", "save j"]
    assert built.does() == ["end j: PREEMPTED"]
    assert built.does() == ["mine 80 W on miners"]

    assert built.limit_w(2000).does() == ["mine 0 W on miners"]
    assert built.does() == ["start j on node-1 at 350 W"]
    assert built.limit_w(5000).does() == ["cap j at 400 W", "mine 2800 W on miners"]
    assert built.does() == []
    assert built.attempts["j.2"].resume_from == commit(10)


def test_a_pause_that_lasts_gives_its_gpus_back() -> None:
    """A minute held, then saved; another job may have them."""
    built = site(suspend_max_s=60.0).node(gpus=4).limit_w(5000).running("large", "node-1", cap_ok=False)
    built.limit_w(1300).job("small", gpus=2)
    assert built.does() == ["suspend large"]

    assert built.passes(59.9).does() == []
    assert built.passes(0.1).does() == ["save large"]
    assert built.does() == ["end large: PREEMPTED", "start small on node-1 at 295 W"]


def test_a_known_fall_is_met_before_it_comes() -> None:
    """By the fall of the devices and the uncertainty of the clocks."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1").falls_to_w(1800, in_s=60)
    assert built.does() == []
    assert built.passes(56.4).does() == []
    assert built.passes(0.1).does() == ["cap j at 300 W"]


def test_it_says_when_to_look_again() -> None:
    """The lead before a step, the step itself, the end of a wait; whichever comes first."""
    built = site().node(gpus=4).limit_w(5000).falls_to_w(1800, in_s=60)
    wait = built.job("j", begin_at=T0 + timedelta(seconds=20))

    assert wait.decided().wake_at == T0 + timedelta(seconds=20)
    assert built.passes(30).decided().wake_at == T0 + timedelta(seconds=56.5)
    assert built.passes(28).decided().wake_at == T0 + timedelta(seconds=60)
    assert built.passes(10).decided().wake_at is None


# -- ends --------------------------------------------------------------------------------------------------------------


def test_a_job_that_is_done_is_done() -> None:
    """It leaves the jobs; those that depend on it may start."""
    built = site().node(gpus=4).limit_w(5000).running("first", "node-1", gpus=4)
    built.job("then", gpus=4, dependencies=("first",))
    ends(built, "first", exit_code=0)

    assert built.does() == ["end first: SUCCEEDED", "start then on node-1 at 400 W"]
    assert built.settled == {"first": JobState.SUCCEEDED}


def test_a_job_that_fails_is_tried_again_after_a_pause_that_doubles() -> None:
    """From its last verified commit, until its retries are spent."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", max_failures=1, backoff_s=4.0)
    ends(built, "j", exit_code=3, committed_step=7, committed_path="/c/step-7")

    assert built.does() == ["end j: FAILED"]
    assert built.passes(3.9).does() == []
    assert built.passes(0.1).does() == ["start j on node-1 at 400 W"]
    assert built.attempts["j.2"].resume_from == commit(7)

    decision = ends(built, "j", number=2, exit_code=3).decided()
    assert (built.settled["j"], [e.kind for e in decision.events]) == (JobState.FAILED, ["job.failed"])


def test_what_depends_on_a_failure_fails() -> None:
    """It would wait for ever."""
    built = site().node(gpus=4).limit_w(5000).running("first", "node-1").job("then", dependencies=("first",))
    ends(built, "first", exit_code=3).decided()
    built.decided()

    assert built.settled == {"first": JobState.FAILED, "then": JobState.FAILED}


def test_an_end_is_told_with_what_it_kept() -> None:
    """Steps done, the commit, the cause."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", max_failures=1)
    (event,) = (
        ends(built, "j", exit_code=1, step=12, committed_step=9, committed_path="/c/step-9").decided().events
    )

    assert (event.kind, event.attempt_id) == ("attempt.failed", "j.1")
    assert event.text == "j attempt 1 failed (AppError): exit 1"
    assert event.data == {
        "outcome": Outcome.FAILED,
        "cause": FailureCause.APP_ERROR,
        "why": "exit 1",
        "last_step": 12,
        "committed_step": 9,
    }


def test_time_is_up() -> None:
    """Over all attempts, and final."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", time_limit_s=100.0, max_failures=5)
    built.jobs["j"] = replace(built.jobs["j"], ran_s=60.0)

    assert built.passes(40).does() == []
    assert built.passes(0.1).does() == ["kill j"]
    assert built.does() == ["end j: FAILED"]
    assert built.settled == {"j": JobState.FAILED}


# -- people ------------------------------------------------------------------------------------------------------------


def test_hold_and_release() -> None:
    """It saves, waits for the person, and goes on from where it was."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")

    assert built.wants("j", Desired.HOLD).does() == ["save j"]
    assert built.does() == ["end j: PREEMPTED"]
    assert built.does() == []
    assert built.wants("j", Desired.RUN).does() == ["start j on node-1 at 400 W"]
    assert built.attempts["j.2"].resume_from == commit(10)


def test_cancel() -> None:
    """At once, wherever it is."""
    built = site().node(gpus=4).limit_w(5000).running("runs", "node-1").job("waits", gpus=4)
    built.wants("runs", Desired.CANCEL).wants("waits", Desired.CANCEL)

    assert built.does() == ["kill runs"]
    assert built.does() == ["end runs: CANCELLED"]
    assert built.settled == {"runs": JobState.CANCELLED, "waits": JobState.CANCELLED}


def test_cancel_before_it_began() -> None:
    """No guard ever started it, and none will."""
    built = site().node(gpus=4).limit_w(5000).job("j", gpus=4)
    assert built.does(obeyed=False) == ["start j on node-1 at 400 W"]
    assert built.wants("j", Desired.CANCEL).does(obeyed=False) == ["kill j"]
    built.facts("j.1", "node-1", observed=Observed.ABSENT)
    assert built.does(obeyed=False) == []  # the guard has not accepted the order that says so

    account = built.groups["node-1"].account
    built.groups["node-1"] = replace(built.groups["node-1"], account=replace(account, acked=account.sent))
    assert built.does(obeyed=False) == ["end j: CANCELLED"]


def test_a_new_leader_does_not_take_an_old_acknowledgement_for_its_own() -> None:
    """The order that was accepted may be the one that starts the attempt."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")
    built.attempts["j.1"] = replace(built.attempts["j.1"], phase=Phase.KILL, state=AttemptState.ALLOCATED)
    built.wants("j", Desired.CANCEL).facts("j.1", "node-1", observed=Observed.ABSENT)
    account = replace(built.groups["node-1"].account, acked=Fence(epoch=1, seq=1), sent=Fence(epoch=1, seq=1))
    built.groups["node-1"] = replace(built.groups["node-1"], account=account)
    snapshot = built.snapshot()

    assert not decide(replace(snapshot, epoch=2)).attempts
    assert decide(replace(snapshot, epoch=1)).attempts["j.1"].outcome is Outcome.CANCELLED


# -- gangs -------------------------------------------------------------------------------------------------------------


def gang() -> SiteBuilder:
    """A job on two nodes, at work."""
    return (
        site()
        .node("a", gpus=2)
        .node("b", gpus=2)
        .limit_w(9000)
        .job("j", gpus=2, nodes=2, max_failures=1)
        .settles()
    )


def test_a_gang_ends_with_its_crashed_member() -> None:
    """The others are killed, and the crash is what it failed of."""
    built = gang()
    ends(built, "j", "a", exit_code=3)

    decision = decide(built.snapshot())
    assert decision.attempts["j.1"].phase is Phase.KILL
    built.apply(decision)
    ends(built, "j", "b", signal=9, killed=True)
    assert built.does(obeyed=False) == ["end j: FAILED"]
    assert built.jobs["j"].failures == 1


def test_a_gang_that_saves_is_not_cut_short_by_its_fastest_member() -> None:
    """The one that left waits for nobody; nobody is killed for it."""
    built = gang().wants("j", Desired.HOLD)
    assert built.does(obeyed=False) == ["save j"]
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=85, asked_to_exit=True)
    built.facts("j.1", "b", observed=Observed.SAVING)

    built.decided(obeyed=False)
    assert built.attempts["j.1"].phase is Phase.SAVE_EXIT
    assert built.jobs["j"].state is JobState.PREEMPTING


def test_a_gang_does_not_wait_for_a_member_that_its_guard_had_leave() -> None:
    """No orders reached that guard, so that it saved on its own: the others do too, and the job resumes as a whole."""
    built = gang()
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=85, asked_to_exit=True)
    assert built.does(obeyed=False) == ["save j"]
    assert built.attempts["j.1"].pause_cause is None

    saved: dict[str, Any] = {"committed_step": 7, "committed_path": "/c/step-7"}
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=85, asked_to_exit=True, **saved)
    ends(built, "j", "b", exit_code=85, asked_to_exit=True, **saved)
    assert built.does() == ["end j: PREEMPTED"]
    assert built.does() == ["start j on a+b at 400 W"]
    assert (built.attempts["j.2"].resume_from, built.jobs["j"].failures) == (commit(7), 0)


def test_a_gang_with_one_member_in_the_dark_waits() -> None:
    """Until everything on the silent node must have ended."""
    built = gang()
    assert silent_for(built, 60, "b").does(obeyed=False) == []
    assert silent_for(built, 0.1, "b").does(obeyed=False) == ["end j: LOST"]


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_work_of_a_lost_node_goes_on_elsewhere() -> None:
    """Once its guard, on its own, must have ended it. It costs no retry."""
    built = site().node("a").node("b").limit_w(9000).running("j", "a")
    built.jobs["j"] = replace(built.jobs["j"], last_commit=commit(5))

    assert silent_for(built, 60, "a").does(obeyed=False) == []
    assert silent_for(built, 0.1, "a").does(obeyed=False) == ["end j: LOST", "start j on b at 400 W"]
    assert (built.attempts["j.2"].resume_from, built.jobs["j"].failures) == (commit(5), 0)


def test_a_node_is_lost_only_when_its_slowest_save_must_be_over() -> None:
    """Lease, fall, five seconds held, the job's own grace, and the kill."""
    built = site().node("a").node("b").limit_w(9000).running("j", "a", launch=launch(grace_s=120.0))

    assert silent_for(built, 15 + 3 + 5 + 120 + 3, "a").does(obeyed=False) == []
    assert silent_for(built, 0.1, "a").does(obeyed=False)[0] == "end j: LOST"


def test_firm_work_on_a_silent_node_is_not_started_again() -> None:
    """Its guard lets it go on: it would live twice. A person who gives it up may cancel it."""
    built = site().node("a").node("b").limit_w(9000).running("j", "a", flex=0)

    assert silent_for(built, 9999, "a").does(obeyed=False) == []
    built.wants("j", Desired.CANCEL)
    assert built.does(obeyed=False) == ["end j: LOST"]
    assert built.settled == {"j": JobState.CANCELLED}


def test_work_on_a_host_that_rebooted_is_paused_and_placed_anew() -> None:
    """Its guard says that no process is left, and nothing else."""
    built = site().node("a").limit_w(9000).running("j", "a")
    ends(built, "j", "a")

    assert built.does(obeyed=False) == ["end j: LOST", "start j on a at 400 W"]


def test_attempts_on_a_node_that_left_the_site_do_no_harm() -> None:
    """The site file was changed while they ran: they are lost in time."""
    built = site().node("a").node("gone").limit_w(9000).running("j", "gone").running("k", "a")
    del built.groups["gone"]

    assert built.limit_w(1800).does() == ["cap k at 300 W"]
    assert built.passes(61).does() == ["end j: LOST"]


def test_a_site_without_anything_decides_nothing() -> None:
    """No groups, no jobs, no limit."""
    decision = decide(site().snapshot())

    assert (decision.limit.limit_w, dict(decision.drafts), dict(decision.jobs), decision.events) == (
        5000.0,
        {},
        {},
        (),
    )


def test_a_late_look_at_an_older_attempt_changes_nothing() -> None:
    """Facts carry the id of their attempt."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")
    built.decided()
    built.facts("j.0", "node-1", observed=Observed.ENDED, exit_code=1)

    assert built.does(obeyed=False) == []
    obey(built, "node-1")
    assert built.attempts["j.1"].state is AttemptState.RUNNING
