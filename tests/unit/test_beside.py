"""GPUs that are free beside others: the base of their node is spent, so that all have less before these stand idle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.domains import Domain
from scheduler.core.floors import tier_floor_w
from scheduler.core.plan import Plan, limit_now
from scheduler.core.power import A100_SXM
from scheduler.core.reasons import Code
from tests.told_site import ToldSite

FLOOR_W = tier_floor_w(A100_SXM, 4)
KNEE_W = 250.0  #: on a node of four GPUs with a base of 600 W


def on_a_gpu_w(cap_w: float) -> float:
    """What a GPU draws more than idle under a cap."""
    return A100_SXM.charge_w(cap_w) - A100_SXM.idle_w


def half_full(cap_w: float = KNEE_W, **others: Any) -> ToldSite:
    """Two GPUs of a node at work, and two free. The node could be put to standby, so that there is a knee."""
    return ToldSite().node("a", standby_w=50.0).running("r", "a", gpus=2, cap_w=cap_w, **others)


def with_gpus_at(built: ToldSite, cap_w: float, gpus: int) -> ToldSite:
    """A limit that carries all nodes with so many GPUs at work under that cap."""
    running = built.attempts["r.1"]
    rest_w = Plan(built.snapshot()).nodes_w() - running.gpu_count * on_a_gpu_w(running.cap_w)
    built.limit_w(rest_w + gpus * on_a_gpu_w(cap_w))
    return built


def limit_w(built: ToldSite) -> float:
    """The limit in force."""
    return limit_now(built.snapshot()).limit_w


def caps_w(built: ToldSite) -> dict[str, float]:
    """The caps of all that run."""
    return {a.job_id: a.cap_w for a in built.attempts.values() if a.phase == "run"}


def test_all_have_less_so_that_one_more_runs() -> None:
    """All four GPUs do more at 220 W than two of them at 385 W."""
    built = with_gpus_at(half_full().job("j", gpus=2), 220.0, 4)
    built.settles()

    assert caps_w(built) == {"r": 220.0, "j": 220.0}


def test_who_runs_gives_way_before_it_starts() -> None:
    """No watt is given twice."""
    built = half_full().node("b", standby_w=50.0).running("q", "b", cap_w=KNEE_W).job("j", gpus=2)
    with_gpus_at(built, 220.0, 4)
    built.limit_w(limit_w(built) - 4 * (KNEE_W - 220.0))

    assert built.does(obeyed=False) == ["cap q at 230 W", "cap r at 200 W"]
    assert built.does(obeyed=False) == []
    built.all_obey()
    assert built.does() == ["start j on a at 220 W"]


def test_on_an_empty_node_it_waits_until_all_have_their_knees() -> None:
    """Its base would be spent for it alone: it does more in the caps of others, while that node is in standby."""
    built = ToldSite().node("a", standby_w=50.0).node("b", standby_w=50.0)
    built.running("r", "a", gpus=3, cap_w=KNEE_W).job("j", gpus=4)
    with_gpus_at(built, 200.0, 7)

    assert built.turns(8) == ["0: b down"]
    assert list(caps_w(built)) == ["r"]


@pytest.mark.parametrize("more_w, starts", [(1.0, True), (-1.0, False)])
def test_nobody_has_less_than_its_floor(more_w: float, starts: bool) -> None:
    """What a tier promises holds; who lacks a watt is told how many it needs."""
    built = with_gpus_at(half_full().job("j", gpus=2), FLOOR_W, 4)
    built.limit_w(limit_w(built) + more_w)

    decision = built.decided()
    if starts:
        built.settles()
        assert caps_w(built) == {"r": FLOOR_W, "j": FLOOR_W}
    else:
        reason = decision.reasons["j"]
        assert reason.code is Code.POWER_UNAVAILABLE
        assert reason.numbers["needed_w"] == pytest.approx(2 * on_a_gpu_w(FLOOR_W))
        assert reason.numbers["free_w"] == pytest.approx(2 * on_a_gpu_w(FLOOR_W) - 1.0)


def test_who_is_less_flexible_gives_way_no_further_than_promised() -> None:
    """Peers of tier 2 keep three quarters of their speed."""
    built = with_gpus_at(half_full(flex=2).job("j", gpus=2), 220.0, 4)
    built.turns(4)

    assert list(caps_w(built)) == ["r"]


def test_what_becomes_free_brings_all_to_their_knees_before_a_node_is_woken() -> None:
    """A node more costs its base."""
    built = half_full().node("b", standby_w=50.0).sleeping("b")
    with_gpus_at(built.job("j", gpus=2).job("k", gpus=4), 220.0, 4)
    built.turns(8)
    assert built.asleep() == ["b"]

    built.limit_w(limit_w(built) + 3 * on_a_gpu_w(KNEE_W))
    assert built.turns(4) == []
    assert min(caps_w(built).values()) >= KNEE_W


def test_it_waits_where_a_limit_that_is_announced_would_not_carry_all_at_their_floors() -> None:
    """It would be paused again before it paid off."""
    built = with_gpus_at(half_full().job("j", gpus=2), 220.0, 4)
    built.falls_to_w(limit_w(built) - 400.0, in_s=5.0)
    built.turns(4)

    assert list(caps_w(built)) == ["r"]


@given(st.floats(0.0, 2500.0), st.integers(1, 4), st.integers(1, 4))
def test_it_keeps_the_limit_and_settles(spare: float, first: int, second: int) -> None:
    """Whatever the limit is, nothing goes to and fro, and the plan fits."""
    built = half_full().job("j", gpus=first).job("k", gpus=second)
    built.limit_w(Plan(built.snapshot()).nodes_w() + spare)
    built.turns(10)

    before = caps_w(built)
    assert built.turns(3) == []
    assert caps_w(built) == before
    assert Plan(built.snapshot()).site_w() <= limit_w(built) + 1e-6


@pytest.mark.parametrize("is_limited", [True, False])
def test_who_is_kept_below_its_knee_by_a_domain_keeps_nobody_elsewhere_from_a_start(is_limited: bool) -> None:
    """It will not have more; without that limit the watts would be its own first."""
    built = ToldSite(firm_w=90_000.0).node("a", standby_w=50.0).node("b", standby_w=50.0)
    built.running("r", "a", cap_w=200.0).job("j", gpus=4)
    if is_limited:
        rack = Domain(name="rack", limit_w=600.0 + 4 * 200.0, groups=("a",))
        built.site = replace(built.site, domains=(rack,))
    built.limit_w(Plan(built.snapshot()).nodes_w() + 4 * on_a_gpu_w(KNEE_W) + 1.0)
    built.turns(4)

    assert ("j" in caps_w(built)) == is_limited
