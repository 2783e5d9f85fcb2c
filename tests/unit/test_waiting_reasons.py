"""Nobody wonders why: each reason for waiting, with its numbers, its expected time and its remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.jobs import AttemptState, Desired, JobState
from scheduler.core.orders import Observed
from scheduler.core.reasons import Code, Reason
from tests.builders import T0, SiteBuilder, launch, site


def a_site(limit_w: float = 9000.0, **policy: float) -> SiteBuilder:
    """One node of four A100, 820 W at rest."""
    return site(**policy).node("a").limit_w(limit_w)


def reasons(built: SiteBuilder) -> dict[str, Reason]:
    """What is shown for each job that waits, in this round."""
    shown = built.decided(obeyed=False).reasons
    return {job_id: reason for job_id, reason in shown.items() if reason.code != Code.CAPPED}


# -- what bars a job from the queue --------------------------------------------------------------------------------


def test_held() -> None:
    """A person stopped it; the remedy is the command that lets it go on."""
    built = a_site().job("j", state=JobState.HELD, desired=Desired.HOLD)

    assert reasons(built) == {"j": Reason(code="Held", text="held by a person", remedy="barq release j")}


def test_never_fits() -> None:
    """More GPUs than the largest node has, whatever the power."""
    built = a_site().node("b", gpus=2).job("j", gpus=8)

    assert reasons(built) == {
        "j": Reason(
            code="NeverFits",
            text="asks for 8 GPUs on 1 node(s); the largest node that it may use has 4",
            numbers={"gpus": 8, "nodes": 1, "largest_node_gpus": 4},
            remedy="submit it with fewer GPUs per node or fewer nodes",
        )
    }


def test_never_fits_for_want_of_nodes() -> None:
    """Each node is large enough; there are not enough of them."""
    built = a_site().node("b", gpus=2).job("j", gpus=4, nodes=2)

    assert reasons(built)["j"].numbers == {"gpus": 4, "nodes": 2, "largest_node_gpus": 4}


def test_never_fits_for_want_of_the_node() -> None:
    """It names one that is not there."""
    reason = reasons(a_site().job("j", gpus=1, node="elsewhere"))["j"]

    assert reason.text == "asks for 1 GPUs on 1 node(s); elsewhere, which it names, is no node of this site"
    assert reason.remedy == "submit it for one that is"


def test_never_fits_for_want_of_the_type() -> None:
    """The number of GPUs is not what is wrong, and the answer says what is."""
    built = a_site().job("j", gpus=1, gpu_type="h100-sxm-700w")

    assert reasons(built) == {
        "j": Reason(
            code="NeverFits",
            text="asks for 1 h100-sxm-700w GPUs on 1 node(s); this site has a100-sxm-400w",
            numbers={"gpus": 1, "nodes": 1, "largest_node_gpus": 0},
            remedy="submit it for a GPU type that the site has",
        )
    }


def test_never_fits_where_its_checkpoints_are() -> None:
    """The other node is large enough, and cannot read what the job saved."""
    built = a_site().node("b", gpus=2).job("j", gpus=4)
    built.jobs["j"] = replace(built.jobs["j"], pinned_to=("b",))

    assert reasons(built)["j"].text == (
        "asks for 4 GPUs on 1 node(s); its checkpoints lie in a directory, which only b can read"
    )


def test_nothing_never_fits_on_a_site_without_groups() -> None:
    """A site that knows of no node yet cannot say never."""
    assert reasons(site().limit_w(9000).job("j"))["j"].code == "NodeBooting"


def test_begin_time() -> None:
    """Not before the instant that was asked for; a second later it starts."""
    begin_at = T0 + timedelta(hours=1)
    built = a_site().job("j", begin_at=begin_at)

    assert reasons(built) == {
        "j": Reason(code="BeginTime", text="not before 2026-01-10 13:00:00 UTC", expected_at=begin_at)
    }
    assert reasons(built.passes(3600)) == {}


def test_dependency() -> None:
    """It waits for another job that has not succeeded yet."""
    built = a_site().running("first", on="a").job("j", dependencies=("first",))

    assert reasons(built) == {
        "j": Reason(
            code="Dependency",
            text="waits for first to succeed; it is RUNNING",
            remedy="barq why first",
        )
    }


def test_dependency_on_nobody() -> None:
    """One that was never heard of may yet be told by the store."""
    built = a_site().job("j", dependencies=("ghost",))

    assert reasons(built)["j"].text == "waits for ghost to succeed; it is unknown"


def test_a_dependency_that_succeeded_is_none() -> None:
    """Then nothing is in the way."""
    built = a_site().job("j", gpus=1, dependencies=("old",))
    built.settled["old"] = JobState.SUCCEEDED

    assert reasons(built) == {}


def test_retry_backoff() -> None:
    """It failed, and is tried again when the back-off is over."""
    again_at = T0 + timedelta(seconds=8)
    built = a_site().job("j", failures=2, max_failures=5, not_before_at=again_at)

    assert reasons(built) == {
        "j": Reason(
            code="RetryBackoff",
            text="tried again at 12:00:08 UTC; 2 of 5 retries are spent",
            numbers={"failures": 2, "max_failures": 5},
            expected_at=again_at,
        )
    }


def test_the_first_that_matches_is_shown() -> None:
    """A held job that never fits, may not begin and waits for others is held; released, the next one shows."""
    later: dict[str, Any] = {"not_before_at": T0 + timedelta(seconds=8)}
    on_others: dict[str, Any] = later | {"dependencies": ("ghost",)}
    begins: dict[str, Any] = on_others | {"begin_at": T0 + timedelta(hours=1)}
    large: dict[str, Any] = begins | {"gpus": 8}
    held: dict[str, Any] = large | {"state": JobState.HELD, "desired": Desired.HOLD}
    shown = [reasons(a_site().job("j", **spec))["j"].code for spec in (held, large, begins, on_others, later)]

    assert shown == ["Held", "NeverFits", "BeginTime", "Dependency", "RetryBackoff"]


# -- power -----------------------------------------------------------------------------------------------------------


def test_power_unavailable() -> None:
    """Even at the lowest cap that it asks for, four times 195 W in place of 55 W, it needs more than is left."""
    built = a_site(limit_w=1379).job("j", gpus=4, min_cap_w=195.0)

    assert reasons(built) == {
        "j": Reason(
            code="PowerUnavailable",
            text="needs 0.56 kW more, 0.56 kW is free under the limit",
            numbers={"needed_w": 560.0, "free_w": 559.0},
            remedy="a higher limit, or fewer GPUs",
        )
    }
    assert reasons(a_site(limit_w=1380).job("j", gpus=4, min_cap_w=195.0)) == {}


def test_power_unavailable_for_firm_work() -> None:
    """Tier 0 is admitted only if the firm level holds it with everything else at rest."""
    built = site(firm_w=2199).node("a").limit_w(9000).job("j", gpus=4, flex=0)

    assert reasons(built) == {
        "j": Reason(
            code="PowerUnavailable",
            text="would rest at 1.38 kW on loss of signal, 1.38 kW of the firm level is free",
            numbers={"needed_w": 1380.0, "free_w": 1379.0},
            remedy="a flex tier above 0, fewer GPUs, or more firm power",
        )
    }
    assert reasons(site(firm_w=2200).node("a").limit_w(9000).job("j", gpus=4, flex=0)) == {}


def test_power_ramp_limited() -> None:
    """Work was cut four seconds ago: nothing is raised for six more, however high the limit is now."""
    built = a_site(raise_delay_s=10.0).job("j")
    built.last_cut_at = T0 - timedelta(seconds=4)
    ramping = Reason(
        code="PowerRampLimited",
        text="power was cut at 11:59:56 UTC; nothing is raised before 12:00:06",
        numbers={"raise_delay_s": 10.0},
        expected_at=T0 + timedelta(seconds=6),
    )
    assert reasons(built) == {"j": ramping}
    assert reasons(built.passes(5.9)) == {"j": ramping}
    assert reasons(built.passes(0.1)) == {}


def test_power_ramp_limited_from_the_cut_on() -> None:
    """In the round that cuts, everybody who waits is told already."""
    built = a_site(limit_w=1500, raise_delay_s=10.0).running("r", on="a").node("b").job("j")
    said = reasons(built)["j"]

    assert (said.code, said.expected_at) == ("PowerRampLimited", T0 + timedelta(seconds=10))


def test_window_too_short() -> None:
    """The limit falls in 11 s; a start takes 2 s and pays off after its first checkpoint, 10 s later."""
    built = a_site().falls_to_w(820, in_s=11)
    built.job("j", launch=launch(checkpoint_interval_s=10.0))

    assert reasons(built) == {
        "j": Reason(
            code="WindowTooShort",
            text="power lasts until 12:00:11 UTC as far as is known; a start pays off after 12 s",
            numbers={"needed_s": 12.0},
            expected_at=T0 + timedelta(seconds=11),
        )
    }
    enough = a_site().falls_to_w(820, in_s=12).job("j", launch=launch(checkpoint_interval_s=10.0))
    assert reasons(enough) == {}


# -- GPUs ------------------------------------------------------------------------------------------------------------


def test_node_booting() -> None:
    """The site has a node, and it was never heard of."""
    built = a_site().job("j")
    built.groups["a"] = replace(built.groups["a"], reported_at=None)

    assert reasons(built) == {
        "j": Reason(code="NodeBooting", text="no node has reported in yet", remedy="barq nodes")
    }


def test_topology_fragmented() -> None:
    """Four GPUs are free, but on two nodes."""
    built = a_site().node("b").running("r", on="a", gpus=2).running("s", on="b", gpus=2).job("j", gpus=4)

    assert reasons(built) == {
        "j": Reason(
            code="TopologyFragmented",
            text="4 GPUs are free, but not 4 on each of 1 node(s)",
            numbers={"free_gpus": 4, "gpus": 4, "nodes": 1},
        )
    }


def test_waiting_for_resources() -> None:
    """Others hold the GPUs and none of them is leaving."""
    built = a_site().running("r", on="a", gpus=3).job("j", gpus=2)

    assert reasons(built) == {
        "j": Reason(
            code="WaitingForResources",
            text="needs 2 GPUs; 1 are free, 0 being released",
            numbers={"needed_gpus": 2, "free_gpus": 1, "leaving_gpus": 0},
        )
    }


def test_waiting_for_preempted_jobs() -> None:
    """Somebody was told to save and exit, and its GPUs will be enough."""
    built = a_site().running("r", on="a", gpus=3).job("j", gpus=4)
    built.jobs["r"] = replace(built.jobs["r"], desired=Desired.HOLD)

    assert reasons(built) == {
        "j": Reason(
            code="WaitingForPreemptedJobs",
            text="needs 4 GPUs; 1 are free, 3 being released",
            numbers={"needed_gpus": 4, "free_gpus": 1, "leaving_gpus": 3},
        )
    }


def test_waiting_for_watts_that_are_not_confirmed_free() -> None:
    """Miners were told to give way in this round; the job starts when a reading shows that they did."""
    built = site().node("a").miners("m", max_w=1000).limit_w(1820)
    built.decided()
    assert built.groups["m"].miners_target_w == 1000.0
    built.job("j", gpus=4)

    assert reasons(built) == {
        "j": Reason(
            code="WaitingForPreemptedJobs",
            text="1.00 kW are being released for it and not confirmed free yet",
            numbers={"needed_w": 1000.0, "exposed_w": 2820.0},
        )
    }


# -- other jobs, other leaders -------------------------------------------------------------------------------------


def test_lower_priority() -> None:
    """A job that waited for longer than the site's patience lets nothing pass, though there would be room."""
    built = a_site(patience_s=60.0).running("r", on="a", gpus=3).job("big", gpus=4, priority=5).passes(61)
    built.job("j", gpus=1)
    said = reasons(built)

    assert said["big"].code == "WaitingForResources"
    assert said["j"] == Reason(
        code="LowerPriority",
        text="big is ahead and has waited for room since 12:00:00 UTC; nothing passes it now",
        remedy="barq why big",
    )


def test_small_jobs_pass_until_patience_ends() -> None:
    """Before that they fill the gaps."""
    built = a_site(patience_s=60.0).running("r", on="a", gpus=3).job("big", gpus=4, priority=5).passes(60)
    built.job("j", gpus=1)

    assert sorted(reasons(built)) == ["big"]


def test_pending_evaluation() -> None:
    """A leader that may not raise yet says so to all who wait."""
    built = a_site().job("j").job("k")
    built.raises_allowed = False
    not_yet = Reason(
        code="PendingEvaluation", text="orders of an earlier leader may still stand; nothing is raised yet"
    )
    assert reasons(built) == {"j": not_yet, "k": not_yet}


def test_a_job_that_is_prepared_says_with_what() -> None:
    """In the words of its node, until it begins."""
    built = a_site().running("j", on="a")
    built.attempts["j.1"] = replace(built.attempts["j.1"], state=AttemptState.STARTING)
    built.facts("j.1", "a", observed=Observed.STARTING, doing="fetching working_dir")

    assert reasons(built) == {"j": Reason(code="Preparing", text="preparing on a: fetching working_dir")}
