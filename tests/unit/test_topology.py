"""Racks and blocks: a gang that asks for one is within one or waits, and all others are as close as can be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.jobs import TopologyRequest
from scheduler.core.outlook import Outlook
from scheduler.core.placement import ever_fits, place
from scheduler.core.plan import Plan
from scheduler.core.queueing import start_shape
from scheduler.core.room import Room
from tests.builders import SiteBuilder, commit, obey, site
from tests.told_site import ToldSite

IN_ONE_RACK = TopologyRequest(level="rack", is_required=True)
RATHER_ONE_RACK = TopologyRequest(level="rack", is_required=False)
IN_ONE_BLOCK = TopologyRequest(level="block", is_required=True)


def racks(**nodes: int) -> SiteBuilder:
    """So many nodes of four GPUs in each rack, called by it: a1, a2, b1 ..."""
    built = site(firm_w=90_000.0, topology=("rack",), little_service_gpu_h=4.0).limit_w(90_000.0)
    for rack, count in nodes.items():
        for number in range(1, count + 1):
            built.node(f"{rack}{number}", rack=rack)
    return built


def blocks(**sizes: tuple[int, ...]) -> SiteBuilder:
    """Blocks of racks, one node after the other: x11 is the first of the first rack of block x."""
    built = site(firm_w=90_000.0, topology=("block", "rack")).limit_w(90_000.0)
    for block, counts in sizes.items():
        for rack, count in enumerate(counts, start=1):
            for number in range(1, count + 1):
                built.node(f"{block}{rack}{number}", block=block, rack=f"r{rack}")
    return built


def placed(built: SiteBuilder, name: str = "j") -> list[str] | None:
    """The nodes of a job in their order, None where it fits nowhere."""
    plan = Plan(built.snapshot())
    found = place(plan.jobs[name], Room(plan), plan)
    return None if found is None else [p.node_id for p in found]


def gang(built: SiteBuilder, nodes: int, topology: TopologyRequest | None = None, **spec: Any) -> SiteBuilder:
    """A job of so many whole nodes."""
    return built.job("j", gpus=4, nodes=nodes, topology=topology, **spec)


# -- one rack, or waiting ----------------------------------------------------------------------------------------------


def test_a_gang_that_requires_a_rack_is_in_one() -> None:
    """Though the nodes of the other would come first."""
    assert placed(gang(racks(a=2, b=3), 3, IN_ONE_RACK)) == ["b1", "b2", "b3"]


def test_it_waits_where_enough_are_free_but_not_in_one_rack() -> None:
    """And is told which rack comes nearest, in numbers."""
    built = gang(racks(a=4, b=3).running("x", "a1").running("y", "a2", gpus=2), 3, IN_ONE_RACK)
    built.running("z", "b1")

    reason = built.decided().reasons["j"]

    assert reason.code == "TopologyFragmented"
    assert reason.text == "needs 3 nodes with 4 GPUs each free in one rack; the best, a, has 2 of 4"
    assert reason.numbers == {"needed_nodes": 3, "free_nodes": 2, "of_nodes": 4}
    assert "preferred: rack" in reason.remedy


def test_where_too_few_are_free_anywhere_it_lacks_those() -> None:
    """The rack is not what it lacks first."""
    built = gang(racks(a=2, b=2).running("x", "a1").running("y", "b1").running("z", "b2"), 2, IN_ONE_RACK)

    assert built.decided().reasons["j"].code == "WaitingForResources"


def test_one_that_no_rack_is_large_enough_for_never_fits() -> None:
    """With the largest there is; and one for a level that the site does not have."""
    reason = gang(racks(a=2, b=3), 4, IN_ONE_RACK).decided().reasons["j"]
    assert (reason.code, reason.numbers) == ("NeverFits", {"needed_nodes": 4, "largest_nodes": 3})
    assert reason.text == "asks for 4 nodes with 4 GPUs each in one rack; the largest, b, has 3"

    unknown = gang(racks(a=2, b=3), 2, IN_ONE_BLOCK).decided().reasons["j"]
    assert unknown.code == "NeverFits"
    assert unknown.text.endswith("in one block; the levels of this site: rack")


def test_one_that_would_never_fit_anywhere_is_told_that() -> None:
    """Its rack is beside the point."""
    reason = gang(racks(a=2, b=1), 4, IN_ONE_RACK).decided().reasons["j"]

    assert reason.code == "NeverFits"
    assert "rack" not in reason.text


def test_a_job_of_one_node_is_in_one_rack_in_any_case() -> None:
    """Wherever it is, even where no rack is known."""
    assert placed(gang(racks(a=1), 1, IN_ONE_BLOCK)) == ["a1"]


def test_a_node_that_does_not_say_where_it_is_is_alone() -> None:
    """Two of them are not in one rack."""
    built = racks(a=1).node("n1").node("n2").job("j", gpus=4, nodes=2, topology=IN_ONE_RACK)

    assert not ever_fits(built.jobs["j"], Plan(built.snapshot()))


def test_a_rack_is_one_of_its_block() -> None:
    """Rack r1 of block x is another than r1 of block y."""
    built = blocks(x=(1, 1), y=(1, 1))

    assert placed(gang(built, 2, IN_ONE_RACK)) is None
    assert placed(gang(built, 2, IN_ONE_BLOCK)) == ["x11", "x21"]


def test_jobs_that_ask_for_other_racks_are_judged_apart() -> None:
    """What is in the way of one may not be in the way of the other."""
    built = gang(racks(a=1, b=1), 2, IN_ONE_RACK).job("k", gpus=4, nodes=2, topology=RATHER_ONE_RACK)
    plan = Plan(built.snapshot())

    assert start_shape(plan.jobs["j"], plan) != start_shape(plan.jobs["k"], plan)
    assert built.does() == ["start k on a1+b1 at 400 W"]


def test_gpus_of_any_nodes_are_those_of_one_rack_where_it_is_required() -> None:
    """Scattered, but no further."""
    built = racks(a=2, b=2).running("x", "a1", gpus=1).running("y", "b1", gpus=3)
    built.job("seven", gpus=4, nodes=2, last_gpus=3, scatter=True, topology=IN_ONE_RACK)
    built.job("eight", gpus=4, nodes=2, scatter=True, topology=IN_ONE_RACK)

    assert placed(built, "seven") == ["a2", "a1"]
    assert placed(built, "eight") is None
    told = built.decided().reasons["eight"]
    assert told.code == "WaitingForResources"


def test_scattered_gpus_are_those_of_one_rack_where_one_has_so_many() -> None:
    """The one that has the fewest to spare; else over as few nodes as there are."""
    built = racks(a=4, b=3)
    for name in sorted(built.groups):
        built.running(f"on-{name}", name, gpus=2)
    built.job("six", gpus=3, nodes=2, scatter=True).job("ten", gpus=5, nodes=2, scatter=True)

    assert {n[0] for n in placed(built, "six") or []} == {"b"}
    assert {n[0] for n in placed(built, "ten") or []} == {"a", "b"}


# -- as close as can be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", [None, RATHER_ONE_RACK, IN_ONE_RACK])
def test_the_smallest_rack_that_holds_it_is_taken(topology: TopologyRequest | None) -> None:
    """So that large racks are kept for large gangs."""
    assert placed(gang(racks(a=4, b=2, c=3), 2, topology)) == ["b1", "b2"]


@pytest.mark.parametrize("topology", [None, RATHER_ONE_RACK])
def test_where_no_rack_holds_it_it_is_in_as_few_as_can_be(topology: TopologyRequest | None) -> None:
    """The largest first, then the smallest that holds the rest; members of one rack are beside each other."""
    assert placed(gang(racks(a=2, b=4, c=1), 5, topology)) == ["b1", "b2", "b3", "b4", "c1"]


def test_racks_of_one_block_come_before_those_of_several() -> None:
    """Though the racks of several would be fewer; who prefers a rack gets fewer racks."""
    built = blocks(x=(2, 2, 2), y=(3,), z=(3,))
    nodes = placed(gang(built, 6))
    assert nodes is not None
    assert {n[0] for n in nodes} == {"x"}

    nodes = placed(gang(built, 6, RATHER_ONE_RACK))
    assert nodes is not None
    assert {n[0] for n in nodes} == {"y", "z"}


def test_an_elastic_gang_takes_what_there_is_and_one_that_requires_a_rack_what_is_there() -> None:
    """The most nodes count first, wherever that leaves a choice."""
    built = racks(a=2, b=3)
    assert len(placed(gang(built, 2, RATHER_ONE_RACK, max_nodes=8)) or []) == 5
    assert placed(gang(built, 2, IN_ONE_RACK, max_nodes=8)) == ["b1", "b2", "b3"]


def test_without_levels_labels_change_nothing() -> None:
    """A site decides as ever until its file names levels."""
    built = racks(a=2, b=3)
    built.site = replace(built.site, topology=())

    assert placed(gang(built, 3)) == ["a1", "a2", "b1"]


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    busy=st.lists(st.integers(0, 19), max_size=8),
    nodes=st.integers(1, 6),
    topology=st.sampled_from([None, RATHER_ONE_RACK, IN_ONE_RACK]),
)
def test_no_gang_is_in_more_racks_than_it_has_to_be(
    sizes: list[int], busy: list[int], nodes: int, topology: TopologyRequest | None
) -> None:
    """As counted by hand: the largest racks first."""
    built = gang(racks(**dict(zip("abcde", sizes, strict=False))), nodes, topology)
    names = sorted(built.groups)
    taken = {names[i] for i in busy if i < len(names)}
    for name in taken:
        built.running(f"on-{name}", name)
    free = sorted((sum(n[0] == rack for n in names if n not in taken) for rack in "abcde"), reverse=True)
    needed = next((i for i in range(1, 6) if sum(free[:i]) >= nodes), None)
    holds = needed == 1 or (needed is not None and topology is not IN_ONE_RACK)

    found = placed(built)

    assert (found is not None) is holds
    if found is not None:
        assert len(found) == len(set(found)) == nodes
        assert len({n[0] for n in found}) == needed


# -- room, growth and sleep --------------------------------------------------------------------------------------------


def ran(built: SiteBuilder, name: str, on: str) -> None:
    """A job that has had much service, and saved."""
    built.running(name, on, last_commit=commit(5))
    attempt = built.attempts[f"{name}.1"]
    built.attempts[f"{name}.1"] = replace(attempt, running_at=built.at - timedelta(days=40))


def test_room_is_made_in_the_rack_where_that_helps() -> None:
    """Where one has to leave, not where two would have to."""
    built = racks(a=3, b=3)
    for name, on in (("v", "a1"), ("w", "a2"), ("x", "b2")):
        ran(built, name, on)
    gang(built, 3, IN_ONE_RACK).passes(301.0)

    assert built.does() == ["save x"]
    started = [built.passes(1.0).does() for _ in range(4)]
    assert [[w for w in words if w.startswith("start")] for words in started].count([]) < 4
    assert {p.node_id for p in built.attempts["j.1"].placements} == {"b1", "b2", "b3"}


def test_no_room_is_made_where_it_would_help_nobody() -> None:
    """Enough who would give way, but never three in one rack."""
    built = racks(a=2, b=3)
    for name in ("a1", "a2", "b1"):
        ran(built, f"on-{name}", name)
    built.running("young", "b2")
    gang(built, 3, IN_ONE_RACK).passes(301.0)

    assert [w for _ in range(5) for w in built.passes(1.0).does() if w.startswith("save")] == []


@pytest.mark.parametrize("topology, grows", [(IN_ONE_RACK, False), (RATHER_ONE_RACK, True)])
def test_a_gang_grows_within_its_rack(topology: TopologyRequest, *, grows: bool) -> None:
    """Free nodes of another rack are no reason to save and leave, for one that could not use them."""
    built = racks(a=2, b=1).job("j", gpus=4, nodes=2, max_nodes=3, topology=topology, last_commit=commit(5))
    built.running("x", "b1")
    built.settles()
    built.facts("x.1", "b1", observed="ended", exit_code=0)
    built.passes(1.0).decided()
    built.jobs["j"] = replace(built.jobs["j"], last_commit=commit(5), save_s=1.0)
    built.passes(901.0)

    assert ("save j" in built.does()) is grows


def sleeping(**counts: int) -> ToldSite:
    """Racks whose nodes are all in standby."""
    built = ToldSite(firm_w=90_000.0, topology=("rack",))
    for rack, count in counts.items():
        for number in range(1, count + 1):
            built.node(f"{rack}{number}", standby_w=50.0, rack=rack)
    built.limit_w(90_000.0)
    return built.sleeping(*built.groups)


def test_nodes_of_one_rack_are_woken_for_who_requires_it() -> None:
    """Not the first ones by name; and the gang starts on them."""
    built = sleeping(a=2, b=3)
    gang(built, 3, IN_ONE_RACK)

    assert built.turns(4) == ["0: b1 up", "0: b2 up", "0: b3 up"]
    assert [p.node_id for p in built.attempts["j.1"].placements] == ["b1", "b2", "b3"]


def test_only_those_are_woken_that_are_missing_in_the_rack() -> None:
    """One is on already and has room beside another job."""
    built = ToldSite(firm_w=90_000.0, topology=("rack",))
    for name, gpus in (("a1", 4), ("a2", 4), ("b1", 8), ("b2", 8)):
        built.node(name, gpus=gpus, standby_w=50.0, rack=name[0])
    built.limit_w(90_000.0).running("x", "b1")
    built.sleeping("a1", "a2", "b2")
    gang(built, 2, IN_ONE_RACK)

    assert built.turns(4) == ["0: b2 up"]
    assert {p.node_id for p in built.attempts["j.1"].placements} == {"b1", "b2"}


def test_its_expected_start_is_that_of_the_rack_that_is_free_first() -> None:
    """Not when enough nodes are free somewhere."""
    built = racks(a=2, b=2)
    for name, limit_s in (("a1", 100.0), ("a2", 900.0), ("b1", 500.0), ("b2", 400.0)):
        built.running(f"on-{name}", name, time_limit_s=limit_s)
    gang(built, 2, IN_ONE_RACK)
    for gid in built.groups:
        obey(built, gid)

    prospect = Outlook(built.snapshot()).of("j")

    assert prospect is not None
    assert prospect.start.earliest_at == built.at + timedelta(seconds=500.0)
