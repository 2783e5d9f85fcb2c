"""Standby: nothing is kept on for which others lack watts, nothing off that has work, and nothing goes to and fro."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.orders import Observed
from scheduler.core.power import A100_SXM
from scheduler.core.snapshot import Group
from tests.told_site import ToldSite

IDLE_W = 600.0 + 4 * A100_SXM.idle_w
STANDBY_W = 50.0
AMPLE_W = 9000.0


def two_nodes(**policy: Any) -> ToldSite:
    """Two nodes of four GPUs that can go to standby."""
    built = ToldSite(**policy)
    for name in ("a", "b"):
        built.node(name, standby_w=STANDBY_W)
    built.limit_w(AMPLE_W)
    return built


def running(built: ToldSite) -> list[str]:
    """Who runs."""
    return sorted(a.job_id for a in built.attempts.values() if a.phase == "run")


def test_a_node_is_woken_for_a_job_that_the_watts_carry() -> None:
    """And the job starts on it once it is up."""
    built = two_nodes().sleeping("a", "b")
    built.job("j", gpus=4)

    assert built.turns(3) == ["0: a up"]
    assert (running(built), built.asleep()) == (["j"], ["b"])


def test_no_node_is_woken_for_which_the_watts_would_not_do() -> None:
    """Neither for the node alone without its job."""
    built = two_nodes().sleeping("a", "b")
    built.job("j", gpus=4, min_cap_w=195.0).limit_w(IDLE_W + STANDBY_W + 300.0)

    assert built.turns(5) == []


def test_empty_nodes_go_to_standby_where_a_waiting_job_lacks_watts() -> None:
    """One that needs less is not woken for."""
    built = two_nodes()
    built.job("j", gpus=4, min_cap_w=195.0).limit_w(IDLE_W + STANDBY_W + 4 * 260.0)

    assert built.turns(6) == ["0: a down", "0: b down", "1: a up"]
    assert (running(built), built.asleep()) == (["j"], ["b"])


def test_a_node_is_not_empty_while_a_start_on_it_waits_for_watts_that_others_give_back() -> None:
    """Though another job lacks watts; it would be woken for that start at once, and so for ever."""
    built = two_nodes()
    built.running("r", "a", gpus=4, cap_w=400.0)
    built.job("j", gpus=2, min_cap_w=250.0).job("k", gpus=2, min_cap_w=250.0)
    built.limit_w(2 * IDLE_W + 6 * (260.0 - A100_SXM.idle_w))

    assert built.turns(4) == []
    assert running(built) == ["j", "r"]


def test_no_node_goes_to_standby_for_watts_that_somebody_on_it_just_left() -> None:
    """They are free once it has taken its next order. It would be woken at once, for whoever lacked them."""
    built = ToldSite()
    built.node("a", standby_w=STANDBY_W).limit_w(IDLE_W + 640.0)
    built.running("r", "a", gpus=4, cap_w=200.0, min_cap_w=195.0)
    assert built.turns(2) == []
    built.facts("r.1", "a", observed=Observed.ENDED, exit_code=0).job("j", gpus=4, min_cap_w=195.0)
    built.groups["a"] = with_processes(built.groups["a"], 0)

    assert built.turns(4) == []
    assert running(built) == ["j"]


def test_empty_nodes_go_to_standby_where_held_work_lacks_watts() -> None:
    """Else it would be held for as long as the limit lasts, on a site that could run it."""
    built = two_nodes()
    built.running("j", "a", min_cap_w=195.0).limit_w(2 * IDLE_W + 200.0)

    assert built.turns(6) == ["1: b down"]
    assert running(built) == ["j"]


def test_an_empty_site_with_nobody_waiting_is_left_as_it_is() -> None:
    """Who comes next need not wait for a node to come up."""
    assert two_nodes().turns(3) == []


def test_empty_nodes_go_to_standby_where_the_limit_is_below_their_rest() -> None:
    """Nobody waits, and nothing is left that could be cut: as many as it takes, at once, and they stay there."""
    built = two_nodes()
    built.limit_w(1.5 * IDLE_W)

    assert built.turns(4) == ["0: a down"]
    built.limit_w(IDLE_W)
    assert built.turns(4) == ["0: b down"]
    built.limit_w(AMPLE_W)
    assert built.turns(4) == []


def test_a_node_that_is_left_with_a_process_does_not_rest() -> None:
    """Whoever that is: nobody may take the power from it. The other one does."""
    built = two_nodes()
    built.groups["a"] = with_processes(built.groups["a"], 1)
    built.limit_w(IDLE_W)

    assert built.turns(1) == ["0: b down"]


def test_who_is_on_the_way_to_standby_is_waited_for() -> None:
    """It draws as much as before until it is there; no second one goes down for it."""
    built = two_nodes()
    built.limit_w(1.5 * IDLE_W)
    for gid, draft in (first := built.decided(obeyed=False)).drafts.items():
        built.send(gid, draft)

    assert [gid for gid, draft in first.drafts.items() if draft.standby] == ["a"]
    assert [g for g, d in built.passes(1).decided(obeyed=False).drafts.items() if d.standby] in ([], ["a"])


def with_processes(group: Group, processes: int) -> Group:
    """The node, with these on its first GPU and none on the others."""
    first, *others = group.gpus
    gpus = (replace(first, processes=processes), *(replace(gpu, processes=0) for gpu in others))
    return replace(group, gpus=gpus)


def test_bases_of_empty_nodes_do_more_in_caps_that_are_lowered() -> None:
    """Though nobody waits; a few stay on for who comes next. Nothing rests where nothing is capped."""
    built = ToldSite()
    for name in "abcd":
        built.node(name, standby_w=STANDBY_W)
    built.running("j", "a", gpus=4, cap_w=300.0).limit_w(4 * IDLE_W + 4 * (300.0 - A100_SXM.idle_w))

    assert built.turns(4) == ["0: d down"]
    built.limit_w(AMPLE_W)
    assert built.turns(4) == []


def test_as_many_nodes_are_woken_as_the_watts_carry_jobs() -> None:
    """And no more."""
    built = ToldSite()
    for name in "abcd":
        built.node(name, standby_w=STANDBY_W)
    for i in range(4):
        built.job(f"j{i}", gpus=4)
    built.limit_w(2 * (IDLE_W + 4 * (400.0 - A100_SXM.idle_w)) + 2 * STANDBY_W)
    built.sleeping(*"abcd")

    assert built.turns(4) == ["0: a up", "0: b up"]
    assert running(built) == ["j0", "j1"]


@pytest.mark.parametrize("nodes", [1, 2])
def test_scattered_jobs_wake_nodes_for_the_gpus_that_they_lack(nodes: int) -> None:
    """What is free on nodes in use counts."""
    built = two_nodes().sleeping("b")
    built.node("c", standby_w=STANDBY_W)
    built.sleeping("c")
    built.running("small", "a", gpus=2).job("j", gpus=2 + 4 * nodes, scatter=True)

    built.turns(4)

    assert running(built) == ["j", "small"]
    assert len(built.asleep()) == 2 - nodes


@pytest.mark.parametrize("changes", [{"cordoned": True}, {"reported_at": None}])
def test_an_empty_node_that_takes_no_work_houses_nobody(changes: dict[str, Any]) -> None:
    """A cordoned or a silent one is no reason to let the others sleep."""
    built = two_nodes().sleeping("b")
    built.job("j", gpus=4)
    built.groups["a"] = replace(built.groups["a"], **changes)

    assert not built.decided(obeyed=False).drafts["b"].standby


def test_a_node_that_is_too_small_houses_nobody_who_needs_more() -> None:
    """The larger one is woken; and the other way round the smaller one is not."""
    built = ToldSite()
    built.node("large", standby_w=STANDBY_W).node("small", gpus=2, standby_w=STANDBY_W).limit_w(AMPLE_W)
    built.sleeping("large", "small")
    built.job("j", gpus=4)

    assert built.turns(3) == ["0: large up"]


def test_a_cordoned_node_is_left_asleep() -> None:
    """However much work waits."""
    built = two_nodes().sleeping("a", "b")
    built.job("j", gpus=4).job("k", gpus=4)
    built.groups["a"] = replace(built.groups["a"], cordoned=True)

    assert built.turns(3) == ["0: b up"]


def test_no_node_is_woken_for_a_job_that_the_firm_level_would_not_let_start() -> None:
    """It would be put to standby again for the same job, and so for ever."""
    built = two_nodes(firm_w=1500.0).sleeping("a", "b")
    built.job("firm", gpus=4, flex=0)

    assert built.turns(8) == []
    reason = built.decided(obeyed=False).reasons["firm"]
    assert reason.text == "no node that takes work is on; 2 are in standby or on their way"


def test_a_job_for_which_time_is_short_switches_nothing() -> None:
    """The nodes may be of use as soon as the limit has changed."""
    built = two_nodes()
    built.job("j", gpus=4).falls_to_w(1000.0, in_s=6.0)

    assert "b down" not in " ".join(built.turns(1))


# -- nothing goes to and fro ---


@st.composite
def sites(draw: st.DrawFn) -> ToldSite:
    """A site on which some work waits, some runs, and some nodes sleep."""
    built = ToldSite(
        firm_w=draw(st.sampled_from([1500.0, 3000.0, 9000.0])),
        overhead=draw(st.sampled_from([1.0, 1.25])),
        suspend_max_s=3.0,
        patience_s=draw(st.sampled_from([5.0, 1e9])),
    )
    for i in range(draw(st.integers(1, 4))):
        can = draw(st.sampled_from([True, True, False]))
        built.node(f"n{i}", gpus=draw(st.sampled_from([2, 4, 4])), standby_w=STANDBY_W if can else None)
    built.limit_w(draw(st.floats(1000.0, 12_000.0)))
    for name, group in sorted(built.groups.items()):
        if group.spec.standby is not None and draw(st.booleans()):
            built.sleeping(name)
        elif draw(st.booleans()):
            built.running(
                f"r-{name}", name, gpus=draw(st.integers(1, 2)), flex=draw(st.sampled_from([1, 3, 4]))
            )
    for i in range(draw(st.integers(0, 4))):
        built.job(
            f"w{i}",
            gpus=draw(st.sampled_from([1, 2, 4])),
            nodes=draw(st.sampled_from([1, 1, 2])),
            flex=draw(st.sampled_from([0, 2, 3, 4, 4])),
            scatter=draw(st.booleans()),
        )
    return built


@given(sites())
@settings(max_examples=40)
def test_nothing_goes_to_and_fro_where_nothing_changes(built: ToldSite) -> None:
    """Under one limit, with work that does not end, all nodes come to rest."""
    built.turns(25)

    assert built.turns(10) == []


def test_the_watts_of_a_start_are_judged_where_they_are_most() -> None:
    """On small nodes the knee is higher: a node that is woken must not be found to lack watts for its job."""
    built = ToldSite(firm_w=3000.0)
    built.node("large", standby_w=STANDBY_W).node("small", gpus=2, standby_w=STANDBY_W).limit_w(2655.0)
    built.sleeping("small").running("r", "large", gpus=1, flex=1).job("j", gpus=2, nodes=2, flex=2)

    assert built.turns(6) == []
