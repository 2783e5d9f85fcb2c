"""Nodes on which starts fail are passed over: for how long, what waiting jobs are told, and how they come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from scheduler.core.decide import decide
from scheduler.core.faults import LONGEST_S, Faulted, Faults
from scheduler.core.jobs import Placement
from scheduler.core.orders import AttemptFacts, Observed
from scheduler.core.outlook import Outlook
from scheduler.core.plan import Plan
from scheduler.core.room import Room
from scheduler.documents import nodes_document
from scheduler.store.testing import InMemoryStore
from scheduler.view import View
from tests.builders import T0, SiteBuilder, actions, site
from tests.obedient_site import ObedientSite

FULL = "cannot prepare: [Errno 28] No space left on device"


def later(seconds: float) -> timedelta:
    """So much."""
    return timedelta(seconds=seconds)


def faults(*at_s: float, first_s: float = 15.0) -> Faults:
    """What is known after faults at these times, each of an attempt that had just been made."""
    known = Faults()
    for s in at_s:
        at = T0 + later(s)
        known.note("a", at=at, made_at=at - later(0.1), first_s=first_s, why=FULL, job_id="j")
    return known


def fails(built: SiteBuilder, attempt_id: str, on: str = "a") -> SiteBuilder:
    """The node cannot start it."""
    return built.facts(attempt_id, on, observed=Observed.ENDED, launch_error=FULL, exit_code=75)


def gaps_between_tries(built: SiteBuilder, *, seconds: int) -> list[float]:
    """Seconds from one start to the next, each of which fails a second later on its own node."""
    starts: list[float] = []
    for _ in range(seconds):
        made = [a for a in built.decided().attempts.values() if a.created_at == built.at]
        starts += [(a.created_at - T0).total_seconds() for a in made]
        built.passes(1.0)
        for attempt in made:
            fails(built, attempt.id, attempt.placements[0].node_id)
    return [b - a for a, b in pairwise(starts)]


# -- the rule ----------------------------------------------------------------------------------------------------------


def test_each_fault_in_a_row_doubles_the_while_up_to_five_minutes() -> None:
    """From a lease on."""
    at_s, whiles = 0.0, []
    known = Faults()
    for _ in range(7):
        at = T0 + later(at_s)
        found = known.note("a", at=at, made_at=at, first_s=15.0, why=FULL, job_id="j")
        assert found is not None
        whiles.append((found.until_at - at).total_seconds())
        at_s += whiles[-1] + 1.0

    assert whiles == [15.0, 30.0, 60.0, 120.0, 240.0, LONGEST_S, LONGEST_S]


def test_attempts_that_were_made_before_a_fault_tell_nothing_new() -> None:
    """Eight starts that fail together on one full disk are one fault."""
    known = faults(0.0)

    assert (
        known.note("a", at=T0 + later(1), made_at=T0 - later(1), first_s=15.0, why=FULL, job_id="k") is None
    )
    assert known.known["a"].count == 1


def test_a_fault_after_a_while_without_one_is_the_first_again() -> None:
    """For as long as a node is passed over at most, after it came back."""
    assert faults(0.0, 15.0 + LONGEST_S - 1).known["a"].count == 2
    assert faults(0.0, 15.0 + LONGEST_S).known["a"].count == 1


def test_an_attempt_that_begins_ends_the_faults_if_it_was_made_after_them() -> None:
    """One that was made before says nothing of what happens to those that start now."""
    known = faults(0.0)

    assert not known.began("a", T0 - later(5))
    assert known.began("a", T0 + later(16))
    assert (known.known, known.news) == ({}, {"a": None})


def test_a_clock_that_is_put_back_does_not_pass_a_node_over_for_longer() -> None:
    """What lies in the future did not happen."""
    assert faults(3600.0).out(T0) == frozenset()


# -- a site ------------------------------------------------------------------------------------------------------------


def test_a_node_that_faults_gets_no_work_and_others_do() -> None:
    """The job itself waits for a lease; the next one does not go down the same hole."""
    built = site().node("a").node("b", gpus=2).running("j", "a", gpus=2).job("k", gpus=2).limit_w(9000)
    decision = decide(fails(built, "j.1").snapshot())

    assert decision.faulted["a"] == Faulted(
        count=1, at=built.at, until_at=built.at + later(15), why=FULL, job_id="j"
    )
    assert "start k on b at 400 W" in actions(built.snapshot(), decision)


def test_a_waiting_job_is_told_which_node_is_passed_over_until_when_and_why() -> None:
    """With a number, and the node's return as what it may wait for."""
    built = site().node("a").running("j", "a", gpus=2).job("k", gpus=2).limit_w(9000)
    decision = decide(fails(built, "j.1").snapshot())

    reason = decision.reasons["k"]
    assert reason.text == (
        f"needs 2 GPUs; 0 are free, 0 being released; a is passed over until 12:00:15 UTC after a fault: {FULL}"
    )
    assert (reason.numbers["faulted_nodes"], reason.expected_at) == (1, built.at + later(15))


def test_a_node_comes_back_by_itself_and_is_well_once_work_begins_there() -> None:
    """The scheduler wakes for it."""
    built = site().node("a").running("j", "a").limit_w(9000)
    fails(built, "j.1")
    first = built.decided()
    assert first.wake_at == built.at + later(15)

    built.passes(15.0)
    assert actions(built.snapshot(), built.decided()) == ["start j on a at 400 W"]
    assert built.groups["a"].faulted is not None

    built.passes(1.0)
    told = built.decided()
    assert "node.well: a starts work again: j began there" in [f"{e.kind}: {e.text}" for e in told.events]
    assert built.groups["a"].faulted is None


def test_a_node_that_faults_for_ever_is_tried_ever_less() -> None:
    """Twelve jobs in an hour, not one every lease; each at most five minutes after the one before."""
    built = site().node("a").job("j").limit_w(9000)
    gaps = gaps_between_tries(built, seconds=3600)
    assert gaps[:6] == [16.0, 31.0, 61.0, 121.0, 241.0, 301.0]
    assert set(gaps[5:]) == {301.0}
    assert built.jobs["j"].failures == 0


def test_a_job_that_fills_one_node_after_the_other_does_not_take_them_all() -> None:
    """It waits longer with each node on which it was the last to fault."""
    built = site()
    for name in "abcd":
        built.node(name)
    built.job("j", gpus=4).limit_w(20_000)
    gaps = gaps_between_tries(built, seconds=300)
    assert gaps[0] == 16.0
    assert all(after >= before for before, after in pairwise(gaps))
    assert gaps[-1] >= 31.0


def test_a_gang_blames_the_member_that_could_not_start() -> None:
    """The others did nothing wrong."""
    built = site().node("a").node("b").limit_w(9000).running("j", "a", nodes=2)
    both = (*built.attempts["j.1"].placements, Placement(node_id="b", gpu_ids=("0", "1", "2", "3")))
    built.attempts["j.1"] = replace(built.attempts["j.1"], placements=both)
    built.facts("j.1", "a", observed=Observed.ENDED, exit_code=85)

    assert decide(fails(built, "j.1", "b").snapshot()).faulted.keys() == {"b"}


def test_what_a_round_made_of_faults_is_forgotten_if_it_did_not_come_about() -> None:
    """As when its record failed: the next round comes to the same, and to no more."""
    built = fails(site().node("a").running("j", "a").limit_w(9000), "j.1")
    first = built.policy.decide(built.snapshot())
    again = built.policy.decide(built.snapshot())

    assert again == first == decide(built.snapshot())
    assert [f and f.count for f in again.faulted.values()] == [1]


def test_an_expected_start_is_when_the_node_comes_back() -> None:
    """Where nothing else is in the way."""
    built = fails(site().node("a").running("j", "a").job("k").limit_w(9000), "j.1")
    built.decided()

    found = Outlook(built.snapshot()).of("k")
    assert found is not None
    assert found.start.earliest_at == built.at + later(15)


def test_time_alone_gives_a_node_back_to_the_room() -> None:
    """Though no report tells anything new."""
    built = site().node("a")
    fault = faults(0.0).known["a"]
    built.groups["a"] = replace(built.groups["a"], faulted=fault)
    plan = Plan(built.snapshot())
    room = Room(plan)
    assert room.free == {}

    plan.follow(built.passes(15.0).snapshot())
    room.refresh(plan)
    assert room.free.keys() == {"a"}


# -- who leads next, and who looks -------------------------------------------------------------------------------------


async def test_a_fault_is_recorded_for_who_leads_next() -> None:
    """And that it is over, too."""
    there = await ObedientSite(site().node("a").limit_w(9000)).began()
    there.submit("j", gpus=4)
    await there.orders_after(1)
    facts = AttemptFacts(attempt_id="j.1", observed=Observed.ENDED, launch_error=FULL, exit_code=75)
    there.guards["a"].processes["j.1"].facts = facts
    there.guards["a"].processes["j.1"].observed = Observed.ENDED
    await there.orders_after(1)

    assert [f.count for f in (await there.store.load()).faulted.values()] == [1]
    for _ in range(18):
        await there.orders_after(1)
    assert (await there.store.load()).faulted == {}


async def test_a_new_leader_passes_over_the_same_nodes() -> None:
    """For as long, and counts on from there."""
    built = site().node("a")
    fault = faults(0.0, 15.0).known["a"]
    store = InMemoryStore()
    store.faulted = {"a": fault, "gone": fault}
    specs = {gid: group.spec for gid, group in built.groups.items()}
    view = View(built.site, specs, epoch=2, at=built.at + later(20))

    view.restore(await store.load())

    assert {gid: g.faulted for gid, g in view.snapshot(built.at + later(20)).groups.items()} == {"a": fault}


@pytest.mark.parametrize("after_s, until", [(1.0, "2026-01-10T12:00:15+00:00"), (15.0, None)])
def test_operators_see_it_while_it_lasts(after_s: float, until: str | None) -> None:
    """In the state of the node, and among its alarms."""
    built = site().node("a")
    built.groups["a"] = replace(built.groups["a"], faulted=faults(0.0).known["a"])
    (told,) = nodes_document(built.passes(after_s).snapshot(), {"a": ("hot",)})

    assert told["passed_over_until_at"] == until
    assert told["alarms"][0] == "hot"
    assert [FULL in alarm for alarm in told["alarms"][1:]] == ([True] if until else [])
