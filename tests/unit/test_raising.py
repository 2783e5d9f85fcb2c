"""Raises: resume, start, lift caps, feed miners; each only into room that is free by the plan and by the books."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.jobs import JobState, Phase
from scheduler.core.ledger import OpenOrder, sent
from scheduler.core.orders import Fence
from tests.builders import Desired, SiteBuilder, commit, site
from tests.told_site import ToldSite


def suspended(limit_w: float, **spec: Any) -> SiteBuilder:
    """A job on four GPUs that was suspended for power, in a site that may draw `limit_w` again."""
    built = site().node(gpus=4).limit_w(5000).running("j", "node-1", **{"min_cap_w": 195.0, **spec})
    built.limit_w(1100).settles()
    assert built.attempts["j.1"].phase is Phase.SUSPEND
    return built.limit_w(limit_w)


def may_draw(built: SiteBuilder, gid: str, watts: float) -> SiteBuilder:
    """An order of before entitles a group to so much, and is not yet superseded."""
    group = built.groups[gid]
    old = OpenOrder(
        fence=Fence(epoch=1, seq=group.account.sent.seq + 1),
        entitlement_w=watts,
        fallback=(),
        expires_at=built.at + timedelta(seconds=10),
    )
    built.groups[gid] = replace(group, account=sent(group.account, old))
    return built


# -- resume ------------------------------------------------------------------------------------------------------------


def test_a_suspended_job_goes_on_when_power_returns() -> None:
    """At full speed where there is room for it."""
    assert suspended(5000.0).does() == ["resume j at 400 W"]


def test_it_goes_on_capped_if_that_is_what_fits() -> None:
    """Not below its floor."""
    assert suspended(1800.0).does() == ["resume j at 300 W"]
    assert suspended(1380.0).does() == ["resume j at 195 W"]
    assert suspended(1379.0).does() == []


def test_the_firmest_resumes_first() -> None:
    """Tiers ascending, though the other is more important."""
    built = site().node(gpus=4).limit_w(5000)
    built.running("soft", "node-1", gpus=2, flex=4, priority=9, min_cap_w=195.0).running(
        "firm", "node-1", gpus=2, flex=1
    )
    built.limit_w(1050).settles()

    assert built.limit_w(600 + 2 * 330 + 2 * 95).does() == ["resume firm at 330 W"]


def test_others_are_capped_to_let_it_resume() -> None:
    """Caps go before pauses: first the caps, and once they are confirmed the job."""
    built = (
        site()
        .node("a", gpus=4)
        .node("b", gpus=4)
        .limit_w(9000)
        .running("x", "a")
        .running("y", "b", cap_ok=False)
    )
    built.limit_w(600 + 4 * 400 + 600 + 4 * 95 - 1).settles()
    assert built.attempts["y.1"].phase is Phase.SUSPEND

    built.limit_w(2 * 600 + 4 * 200 + 4 * 400)
    assert [built.does() for _ in range(3)] == [["cap x at 200 W"], ["resume y at 400 W"], []]


def test_who_was_stopped_by_a_person_does_not_resume() -> None:
    """Whatever the power."""
    built = suspended(1100.0).wants("j", Desired.HOLD).limit_w(9000)

    assert built.does() == ["save j"]
    assert built.does() == ["end j: PREEMPTED"]
    assert built.does() == []
    assert built.jobs["j"].state is JobState.HELD


# -- start -------------------------------------------------------------------------------------------------------------


def test_the_queue_is_priority_then_age() -> None:
    """A larger number is sooner."""
    built = (
        site()
        .node(gpus=1)
        .limit_w(5000)
        .job("old", gpus=1)
        .job("young", gpus=1)
        .job("vip", gpus=1, priority=1)
    )

    assert built.does() == ["start vip on node-1 at 400 W"]
    built.wants("vip", Desired.CANCEL)
    assert built.does() == ["kill vip"]
    assert built.does() == ["end vip: CANCELLED", "start old on node-1 at 400 W"]


def test_a_job_starts_at_the_cap_that_fits() -> None:
    """From its floor up."""
    assert site().node(gpus=4).limit_w(1800).job("j", gpus=4).does() == ["start j on node-1 at 300 W"]
    assert site().node(gpus=4).limit_w(1380).job("j", gpus=4).does() == ["start j on node-1 at 195 W"]
    assert site().node(gpus=4).limit_w(1379).job("j", gpus=4, min_cap_w=195.0).does() == []


def test_small_jobs_pass_a_large_one_that_does_not_fit() -> None:
    """Until a more important one loses its patience: then they wait with it, and equals never do."""

    def large_first(priority: int, **running: Any) -> SiteBuilder:
        built = site(patience_s=300.0).node(gpus=4).limit_w(3000).running("r", "node-1", gpus=1, flex=0)
        return built.job("large", gpus=4, priority=priority).job("small", gpus=1)

    started = ["start small on node-1 at 400 W"]
    assert large_first(1).does() == started
    assert large_first(0).passes(301).does() == started
    assert large_first(1).passes(301).does() == []


def test_who_waits_for_a_higher_limit_holds_nobody_back() -> None:
    """However important and patient: it could not start if nobody else ran, so that nobody who waits helps it."""
    built = site(patience_s=300.0).node(gpus=4).limit_w(1000)
    built.job("large", gpus=4, priority=5).job("small", gpus=1).passes(301)

    assert built.does() == ["start small on node-1 at 235 W"]


def test_who_waits_for_its_peers_holds_nobody_back() -> None:
    """A peer has a GPU that it needs, and nobody knows for how long: whoever starts meanwhile makes room then."""
    for priority, started in ((1, ["start small on node-1 at 400 W"]), (0, [])):
        built = site(patience_s=300.0).node(gpus=4).limit_w(3000)
        built.running("r", "node-1", gpus=1, flex=0, priority=priority)
        built.job("large", gpus=4, priority=1).job("small", gpus=1)

        assert built.passes(301).does() == started, priority


def test_a_node_in_standby_counts_for_what_is_in_reach() -> None:
    """The limit has to carry the host that a start needs, too."""
    for limit_w, started in ((1500.0, ["start small on a at 400 W"]), (2500.0, [])):
        built = ToldSite(patience_s=300.0)
        built.node("a", gpus=1).node("b", gpus=4, standby_w=30.0)
        built.sleeping("b").limit_w(limit_w)
        built.job("large", gpus=2, priority=5).job("small", gpus=1)

        assert built.passes(301).does() == started, limit_w


def test_running_work_is_capped_for_a_start_but_never_below_its_floor() -> None:
    """On one node in one order: its guard raises one only when the other has fallen."""
    built = site().node(gpus=4).limit_w(5000).running("x", "node-1", gpus=2).job("j", gpus=2)
    tight = site().node(gpus=4).limit_w(5000).running("x", "node-1", gpus=2).job("j", gpus=2)

    assert built.limit_w(600 + 4 * 250).does() == ["cap x at 250 W", "start j on node-1 at 250 W"]
    assert tight.limit_w(600 + 4 * 195 - 1).does() == ["cap x at 330 W"]


def test_firm_work_is_not_capped_for_others() -> None:
    """What is more flexible makes room for what is less, never the other way round."""
    built = site().node(gpus=4).limit_w(600 + 2 * 400 + 2 * 190).running("firm", "node-1", gpus=2, flex=0)
    built.job("j", gpus=2, min_cap_w=195.0)

    assert built.does() == []


def test_it_resumes_from_its_last_verified_commit() -> None:
    """As the next attempt of the same job."""
    built = site().node().limit_w(5000).job("j", gpus=1, state=JobState.PAUSED, last_commit=commit(40))
    built.jobs["j"] = replace(built.jobs["j"], attempts=3)
    decision = built.decided()

    (attempt,) = decision.attempts.values()
    assert (attempt.id, attempt.number, attempt.resume_from) == ("j.4", 4, commit(40))
    assert [e.text for e in decision.events] == ["j starts on node-1 from step 40 at 400 W per GPU"]
    assert built.jobs["j"].state is JobState.STARTING


def test_a_gang_starts_on_all_its_nodes_at_once() -> None:
    """One attempt, one order for each node."""
    built = site().node("a", gpus=2).node("b", gpus=2).limit_w(9000).job("j", gpus=2, nodes=2)
    decision = built.decided()

    assert [d.attempts[0].attempt_id for d in decision.drafts.values()] == ["j.1", "j.1"]
    assert [d.attempts[0].rank.node_rank for d in decision.drafts.values()] == [0, 1]


def test_nothing_starts_while_a_leader_counts_older_orders() -> None:
    """Nor does it resume, nor are miners fed."""
    built = suspended(5000.0).miners().job("k", gpus=1)
    built.raises_allowed = False

    assert built.does() == []


def test_nothing_of_work_is_raised_in_the_dwell_time_but_miners_are_fed() -> None:
    """They give back in seconds what they take."""
    built = site(raise_delay_s=10.0).node(gpus=4).miners(max_w=1000).limit_w(5000).job("j", gpus=4)
    built.last_cut_at = built.at

    assert built.passes(9.9).does() == ["mine 1000 W on miners"]
    assert built.passes(0.1).does() == ["start j on node-1 at 400 W"]


# -- only beside what may still be drawn -------------------------------------------------------------------------------


def test_a_start_waits_until_the_watts_that_it_takes_are_confirmed_free() -> None:
    """By the plan there is room; by the books another node may still draw it."""
    built = may_draw(site().node("a").node("b").limit_w(3100).job("j", gpus=4), "b", 2000.0)

    assert built.does(obeyed=False) == []
    assert built.limit_w(4200).does(obeyed=False) == ["start j on a at 400 W"]


def test_watts_that_a_job_waits_for_are_kept_from_the_miners() -> None:
    """Else they would be gone again when the rest of them is free."""
    built = may_draw(site().node("a").node("b").miners().limit_w(4300).job("j", gpus=4), "b", 2400.0)
    alone = may_draw(site().node("a").node("b").miners().limit_w(4300), "b", 2400.0)

    assert built.does(obeyed=False) == []
    assert alone.does(obeyed=False) == ["mine 1080 W on miners"]


def test_caps_are_lifted_only_into_confirmed_room() -> None:
    """The firmest tier first, as far as the books go; the rest when they are clear."""
    built = site().node(gpus=4).node("other", gpus=1, base_w=100.0).limit_w(1855)
    built.running("soft", "node-1", gpus=2, flex=4, cap_w=250.0).running(
        "firm", "node-1", gpus=2, flex=2, cap_w=300.0
    )
    may_draw(built.settles().limit_w(2355), "other", 355.0)

    assert built.does() == ["cap firm at 400 W"]
    assert built.does() == ["cap soft at 400 W"]


# -- miners ------------------------------------------------------------------------------------------------------------


def test_miners_take_what_is_left() -> None:
    """All of it, up to their nameplate."""
    assert site().node(gpus=4).miners(max_w=4000).limit_w(2000).does() == ["mine 1180 W on miners"]
    assert site().node(gpus=4).miners(max_w=4000).limit_w(9000).does() == ["mine 4000 W on miners"]


def test_miners_are_fed_by_their_size() -> None:
    """Each group its share of what is left."""
    built = site().node(gpus=4).miners("a", max_w=3000).miners("b", max_w=1000).limit_w(2820)

    assert built.does() == ["mine 1500 W on a", "mine 500 W on b"]


def test_miners_make_room_for_work() -> None:
    """First they are lowered; the job starts when that is confirmed."""
    built = site().node(gpus=4).miners().limit_w(3000).settles()
    built.job("j", gpus=4)

    assert [built.does() for _ in range(3)] == [["mine 800 W on miners"], ["start j on node-1 at 400 W"], []]


def test_miners_wait_for_what_others_may_still_draw() -> None:
    """They are fed beside it."""
    built = may_draw(site().node("a").miners().limit_w(3000), "a", 2000.0)

    assert built.does(obeyed=False) == ["mine 1000 W on miners"]
