"""Why a job waits: one test per reason, with its numbers and its sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scheduler.core.jobs import JobState
from scheduler.core.reasons import Code, Reason
from tests.builders import T0, Desired, SiteBuilder, launch, site


def why(built: SiteBuilder, name: str) -> Reason:
    """The reason that the next decision gives."""
    return built.decided(obeyed=False).reasons[name]


def test_held() -> None:
    """Only a person helps."""
    built = site().node().limit_w(5000).job("j", state=JobState.HELD, desired=Desired.HOLD)

    assert why(built, "j") == Reason(code=Code.HELD, text="held by a person", remedy="barq release j")


def test_never_fits() -> None:
    """What the site lacks is said before anything else."""
    built = site().node("a", gpus=4).node("b", gpus=2).limit_w(1).job("j", gpus=5, nodes=2)

    assert why(built, "j") == Reason(
        code=Code.NEVER_FITS,
        text="asks for 5 GPUs on 2 node(s); the largest node that it may use has 4",
        numbers={"gpus": 5, "nodes": 2, "largest_node_gpus": 4},
        remedy="submit it with fewer GPUs per node or fewer nodes",
    )


def test_begin_time() -> None:
    """And when that is."""
    begin_at = T0 + timedelta(hours=3)

    assert why(site().node().limit_w(5000).job("j", begin_at=begin_at), "j") == Reason(
        code=Code.BEGIN_TIME, text="not before 2026-01-10 15:00:00 UTC", expected_at=begin_at
    )


def test_dependency() -> None:
    """On a job that waits itself, and on one that nobody knows."""
    built = site().node().limit_w(100).job("first").job("j", dependencies=("first",))

    assert why(built, "j") == Reason(
        code=Code.DEPENDENCY, text="waits for first to succeed; it is PENDING", remedy="barq why first"
    )
    lost = site().node().limit_w(100).job("j", dependencies=("gone",))
    assert why(lost, "j").text == "waits for gone to succeed; it is unknown"


def test_a_dependency_that_succeeded_bars_nobody() -> None:
    """The next reason shows."""
    built = site().node().limit_w(100).job("j", dependencies=("first",))
    built.settled["first"] = JobState.SUCCEEDED

    assert why(built, "j").code == Code.POWER_UNAVAILABLE


def test_retry_backoff() -> None:
    """How often it failed, how often it may, when it goes on."""
    at = T0 + timedelta(seconds=8)
    built = site().node().limit_w(5000).job("j", max_failures=3, failures=2, not_before_at=at)

    assert why(built, "j") == Reason(
        code=Code.RETRY_BACKOFF,
        text="retry 2 of 3 at 12:00:08 UTC",
        numbers={"failures": 2, "max_failures": 3},
        expected_at=at,
    )


def test_no_power() -> None:
    """At its floor of 195 W the job adds 140 W to each of four idle GPUs; 80 W are free."""
    built = site(overhead=1.0).node(gpus=4).limit_w(900).job("j", gpus=4)

    assert why(built, "j") == Reason(
        code=Code.POWER_UNAVAILABLE,
        text="needs 0.56 kW more, 0.08 kW is free under the limit",
        numbers={"needed_w": 560.0, "free_w": 80.0},
        remedy="a higher limit, or fewer GPUs",
    )


def test_no_firm_power() -> None:
    """Tier 0 is admitted only if it may go on when all signals are lost."""
    built = site(firm_w=1000.0).node(gpus=4).limit_w(5000).job("j", gpus=1, flex=0)

    assert why(built, "j") == Reason(
        code=Code.POWER_UNAVAILABLE,
        text="would rest at 0.34 kW on loss of signal, 0.18 kW of the firm level is free",
        numbers={"needed_w": 345.0, "free_w": 180.0},
        remedy="a flex tier above 0, fewer GPUs, or more firm power",
    )


def test_firm_work_is_admitted_within_the_margin() -> None:
    """Or a limit at the firm level, of which the margin is kept free, would end it."""
    tight = site(firm_w=1165.0, margin=0.05).node(gpus=4).limit_w(5000).job("j", gpus=1, flex=0)
    wide = site(firm_w=1230.0, margin=0.05).node(gpus=4).limit_w(5000).job("j", gpus=1, flex=0)

    assert why(tight, "j").code == Code.POWER_UNAVAILABLE
    assert wide.does() == ["start j on node-1 at 400 W"]
    assert wide.limit_w(1230.0).does() == []


def test_ramp() -> None:
    """The dwell time after a cut, and when it ends."""
    built = site(raise_delay_s=10.0).node().limit_w(5000).job("j")
    built.last_cut_at = T0
    built.passes(4)

    assert why(built, "j") == Reason(
        code=Code.POWER_RAMP_LIMITED,
        text="power was cut at 12:00:00 UTC; nothing is raised before 12:00:10",
        numbers={"raise_delay_s": 10.0},
        expected_at=T0 + timedelta(seconds=10),
    )
    assert built.passes(6).does() == ["start j on node-1 at 400 W"]


def test_window() -> None:
    """A start pays off after the restart and one checkpoint interval."""
    built = site(restart_s=20.0).node().limit_w(5000).job("j", launch=launch(checkpoint_interval_s=100.0))
    built.falls_to_w(900, in_s=90)

    assert why(built, "j") == Reason(
        code=Code.WINDOW_TOO_SHORT,
        text="power lasts until 12:01:30 UTC as far as is known; a start pays off after 120 s",
        numbers={"needed_s": 120.0},
        expected_at=T0 + timedelta(seconds=90),
    )


def test_a_window_that_is_long_enough_is_used() -> None:
    """To the second. So is one in which the floor still fits afterwards."""
    slow = launch(checkpoint_interval_s=100.0)
    long = site(restart_s=20.0).node().limit_w(5000).job("j", launch=slow).falls_to_w(900, in_s=120)
    low = site(restart_s=20.0).node().limit_w(5000).job("j", launch=slow).falls_to_w(1100, in_s=90)

    assert long.does() == ["start j on node-1 at 400 W"]
    assert low.does() == ["start j on node-1 at 400 W"]


def test_node_booting() -> None:
    """No node has been heard of."""
    built = site().node().limit_w(5000).job("j")
    built.groups["node-1"] = replace(built.groups["node-1"], reported_at=None)

    assert why(built, "j") == Reason(
        code=Code.NODE_BOOTING, text="no node has reported in yet", remedy="barq nodes"
    )


def test_fragmented() -> None:
    """Enough GPUs, but not together."""
    built = site().node("a", gpus=2).node("b", gpus=2).node("c", gpus=3).limit_w(9000)
    built.running("x", "c", gpus=3).job("j", gpus=3)

    assert why(built, "j") == Reason(
        code=Code.TOPOLOGY_FRAGMENTED,
        text="4 GPUs are free, but not 3 on each of 1 node(s)",
        numbers={"free_gpus": 4, "gpus": 3, "nodes": 1},
    )


def test_waiting_for_resources_and_for_those_who_leave() -> None:
    """Who is on the way out is counted."""
    built = site().node(gpus=4).limit_w(9000).running("x", "node-1", gpus=3).job("j", gpus=2)

    assert why(built, "j") == Reason(
        code=Code.WAITING_FOR_RESOURCES,
        text="needs 2 GPUs; 1 are free, 0 being released",
        numbers={"needed_gpus": 2, "free_gpus": 1, "leaving_gpus": 0},
    )
    assert why(built.wants("x", Desired.HOLD), "j") == Reason(
        code=Code.WAITING_FOR_PREEMPTED_JOBS,
        text="needs 2 GPUs; 1 are free, 3 being released",
        numbers={"needed_gpus": 2, "free_gpus": 1, "leaving_gpus": 3},
    )


def test_waiting_until_watts_are_confirmed_free() -> None:
    """Miners were told to make room and have not shown it yet."""
    built = site().node(gpus=4).miners().limit_w(3000)
    built.settles()
    built.job("j", gpus=4)

    assert built.does(obeyed=False) == ["mine 800 W on miners"]
    assert why(built, "j") == Reason(
        code=Code.WAITING_FOR_PREEMPTED_JOBS,
        text="1.38 kW are being released for it and not confirmed free yet",
        numbers={"needed_w": 1380.0, "exposed_w": 4380.0},
    )


def test_lower_priority() -> None:
    """Who waited longer than the site's patience lets nothing pass."""
    built = site(patience_s=300.0).node(gpus=4).limit_w(1100).job("big", gpus=4).job("small", gpus=1)
    built.limit_w(1000)

    assert built.does(obeyed=False) == ["start small on node-1 at 235 W"]
    stuck = (
        site(patience_s=300.0).node(gpus=4).limit_w(1000).job("big", gpus=4).job("small", gpus=1).passes(301)
    )
    assert why(stuck, "small") == Reason(
        code=Code.LOWER_PRIORITY,
        text="big is ahead and has waited for room since 12:00:00 UTC; nothing passes it now",
        remedy="barq why big",
    )


def test_an_earlier_leader() -> None:
    """Until its orders cannot stand any more."""
    built = site().node().limit_w(5000).job("j")
    built.raises_allowed = False

    assert why(built, "j").code == "PendingEvaluation"


def test_suspended() -> None:
    """Since when, by whom, for how long, what it lacks."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", cap_ok=False)
    built.limit_w(1500).decided()
    built.passes(5)
    reason = why(built, "j")

    assert reason.code == "PowerWithdrawn"
    assert reason.text.startswith(
        "suspended since 12:00:00 UTC at step 10: grid allows 1.5 kW (test); it keeps its GPUs until 12:01:00, "
        "then it saves and releases them"
    )
    assert (reason.numbers["limit_w"], reason.numbers["step"]) == (1500.0, 10.0)
    assert reason.expected_at == T0 + timedelta(seconds=60)


def test_capped() -> None:
    """A running job that could be faster says what holds it back."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")
    built.limit_w(1800).decided()

    assert why(built, "j") == Reason(
        code=Code.CAPPED,
        text="runs at 300 of 400 W per GPU, about 87% of full speed: grid allows 1.8 kW",
        numbers={"cap_w": 300.0, "tdp_w": 400.0, "speed": 0.87, "limit_w": 1800.0},
        remedy="a higher limit; power.cap_ok: false in the job file prefers a pause to a cap",
    )


def test_a_job_at_full_speed_has_no_reason() -> None:
    """Nothing to wonder about."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1")

    assert dict(built.decided().reasons) == {}


def test_the_first_reason_that_matches_wins() -> None:
    """A held job that never fits is held; one that depends on another is not told about power."""
    built = site().node().limit_w(1).job("a", gpus=99, state=JobState.HELD, desired=Desired.HOLD)
    built.job("b", dependencies=("a",), begin_at=T0 + timedelta(hours=1)).job("c", dependencies=("a",))
    reasons = built.decided(obeyed=False).reasons

    assert [reasons[n].code for n in "abc"] == [Code.HELD, Code.BEGIN_TIME, Code.DEPENDENCY]
