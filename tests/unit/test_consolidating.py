"""Through a withdrawal that lasts: what is kept fits once all else is gone, whole nodes, firm work first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings, strategies as st

from scheduler.core.consolidating import consolidate
from scheduler.core.jobs import PauseCause, Phase
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.power import A100_SXM
from tests.builders import SiteBuilder, site
from tests.told_site import ToldSite

LONG_S = 60.0
STANDBY_W = 50.0
IDLE_W = 600.0 + 4 * A100_SXM.idle_w


def held(
    built: SiteBuilder, name: str, on: str, *, gpus: int, since_s: float = LONG_S, **spec: Any
) -> SiteBuilder:
    """A job that was suspended for power so long ago."""
    built.running(name, on, gpus=gpus, **spec)
    since_at = built.at - timedelta(seconds=since_s)
    suspended = replace(
        built.attempts[f"{name}.1"],
        phase=Phase.SUSPEND,
        pause_cause=PauseCause.POWER_WITHDRAWN,
        since_at=since_at,
    )
    built.attempts[f"{name}.1"] = suspended
    return forgotten(built, on)


def forgotten(built: SiteBuilder, gid: str) -> SiteBuilder:
    """Orders of before are not open any more."""
    group = built.groups[gid]
    built.groups[gid] = replace(group, account=replace(group.account, open=()))
    return built


def two_nodes() -> SiteBuilder:
    """That can go to standby."""
    return site(firm_w=9000.0).node("a", standby_w=STANDBY_W).node("b", standby_w=STANDBY_W)


def released(built: SiteBuilder, limit_w: float) -> list[str]:
    """Who gives its GPUs back."""
    plan = Plan(built.snapshot())
    consolidate(plan, limit_w, LONG_S)
    return [a.job_id for a in plan.in_phase(Phase.SAVE_EXIT)]


def at_knees_w(plan: Plan, ids: set[str]) -> float:
    """Site watts with these at their knees, and all nodes that nothing is kept on in standby."""
    kept = [a for a in plan.attempts.values() if a.id in ids]
    on = {p.node_id for a in kept for p in a.placements}
    nodes_w = sum(
        IDLE_W if gid in on or g.spec.standby is None else STANDBY_W for gid, g in plan.groups.items()
    )
    gpus_w = sum(a.gpu_count * (A100_SXM.charge_w(plan.knee_w(a)) - A100_SXM.idle_w) for a in kept)
    return plan.site.overhead * (nodes_w + gpus_w)


def test_nobody_is_released_before_something_was_held_for_long() -> None:
    """Power often comes back sooner than that."""
    built = held(held(two_nodes(), "j", "a", gpus=4, since_s=LONG_S - 1), "k", "b", gpus=4, since_s=1.0)

    assert released(built, 1000.0) == []


def test_one_node_goes_on_and_the_other_is_cleared() -> None:
    """Where the watts do for one, though both could be held."""
    built = held(held(two_nodes(), "j", "a", gpus=4), "k", "b", gpus=4)
    one_w = at_knees_w(Plan(built.snapshot()), {"j.1"})

    assert released(built, one_w) == ["k"]
    assert released(built, 2 * one_w) == []


def test_one_goes_on_below_its_knee_with_watts_that_nobody_else_would_have() -> None:
    """But not below the lowest cap: then all are released."""
    built = held(held(two_nodes(), "j", "a", gpus=4), "k", "b", gpus=4)
    plan = Plan(built.snapshot())
    above_w = 4 * (A100_SXM.charge_w(plan.knee_w(plan.attempts["j.1"])) - A100_SXM.charge_w(100.0))
    least_w = at_knees_w(plan, {"j.1"}) - plan.site.overhead * above_w

    assert above_w > 0
    assert released(built, least_w) == ["k"]
    assert released(built, least_w - 1.0) == ["j", "k"]


def test_the_fuller_node_is_kept() -> None:
    """Its base is spent on more work."""
    built = held(held(two_nodes(), "little", "a", gpus=1), "much", "b", gpus=4)

    assert released(built, at_knees_w(Plan(built.snapshot()), {"much.1"})) == ["little"]


def test_of_as_much_work_that_is_kept_which_has_run_for_hours() -> None:
    """What is over soon makes up for the wait later, what lasts cannot."""
    built = held(held(two_nodes(), "new", "a", gpus=4), "old", "b", gpus=4)
    built.jobs["old"] = replace(built.jobs["old"], ran_s=8 * 3600.0)

    assert released(built, at_knees_w(Plan(built.snapshot()), {"old.1"})) == ["new"]


def test_firm_work_is_kept_first_and_never_released() -> None:
    """However few its GPUs."""
    built = held(two_nodes(), "much", "b", gpus=4).running("firm", "a", gpus=1, flex=0)

    assert released(built, at_knees_w(Plan(built.snapshot()), {"firm.1"})) == ["much"]
    assert released(built, 100.0) == ["much"]


def test_whose_deadline_is_near_is_kept_before_those_of_its_tier() -> None:
    """However few its GPUs; a day before it they count as anybody's."""
    for due_s, gone in ((300.0, ["much"]), (86_400.0, ["due"])):
        built = held(two_nodes(), "much", "b", gpus=4)
        held(built, "due", "a", gpus=1, deadline_at=built.at + timedelta(seconds=due_s), estimate_s=290.0)
        assert released(built, at_knees_w(Plan(built.snapshot()), {"much.1"})) == gone


def test_what_a_person_holds_is_not_looked_at() -> None:
    """Nor does it count as held for power."""
    built = held(two_nodes(), "j", "a", gpus=4)
    built.attempts["j.1"] = replace(built.attempts["j.1"], pause_cause=PauseCause.OPERATOR)

    assert released(built, 100.0) == []


def test_where_no_node_can_go_to_standby_only_what_was_held_for_long_is_released() -> None:
    """The rest of a node costs its base in any case."""
    built = held(site(firm_w=9000.0).node("a"), "long", "a", gpus=1).running("runs", "a", gpus=1)

    assert released(held(built, "short", "a", gpus=1, since_s=1.0), 100.0) == ["long"]


@st.composite
def withdrawn(draw: st.DrawFn) -> SiteBuilder:
    """A site under a withdrawal, with gangs, firm work, and nodes that cannot go to standby."""
    built = site(firm_w=9000.0, overhead=draw(st.sampled_from([1.0, 1.25])))
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    for name in names:
        built.node(name, standby_w=draw(st.sampled_from([STANDBY_W, STANDBY_W, None])))
    for i in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(names))
        taken = sum(
            len(p.gpu_ids) for a in built.attempts.values() for p in a.placements if p.node_id == name
        )
        if taken < 4:
            gpus, flex = draw(st.integers(1, 4 - taken)), draw(st.sampled_from([0, 1, 3, 4, 4]))
            if draw(st.booleans()):
                held(built, f"j{i}", name, gpus=gpus, flex=flex)
            else:
                built.running(f"j{i}", name, gpus=gpus, flex=flex)
            forgotten(built, name)
    return built


@given(withdrawn(), st.floats(100.0, 6000.0))
@settings(max_examples=100)
def test_what_is_kept_fits(built: SiteBuilder, limit_w: float) -> None:
    """At its knees but for one, with the other nodes in standby; and who is released would not have fitted beside."""
    plan = Plan(built.snapshot())
    before = dict(plan.attempts)
    consolidate(plan, limit_w, LONG_S)
    gone = {a.id for a in plan.in_phase(Phase.SAVE_EXIT)}
    if not gone:
        return
    fresh, kept = Plan(built.snapshot()), before.keys() - gone
    firm = {k for k, a in before.items() if built.jobs[a.job_id].spec.flex == 0 and a.phase is Phase.RUN}

    assert not gone & firm
    if not any(g.spec.standby for g in built.groups.values()):
        assert all(before[k].phase is Phase.SUSPEND for k in gone)
        return
    fit_w = [at_knees_w(fresh, set(kept - firm - {lean})) for lean in ("", *kept)]
    assert min(fit_w) <= limit_w + EPSILON_W or kept <= firm
    if at_knees_w(fresh, set(kept)) <= limit_w:
        assert all(at_knees_w(fresh, {*kept, k}) > limit_w - 1e-3 for k in gone)
    assert all(plan.attempts[k].pause_cause is PauseCause.POWER_FORECAST for k in gone)


def test_nothing_starts_while_a_node_is_cleared_for_who_is_held() -> None:
    """It would be told to leave again a second later, and the node would never go to standby."""
    built = ToldSite(firm_w=9000.0)
    for name in "abc":
        built.node(name, standby_w=STANDBY_W)
    held(built, "big", "a", gpus=4).running("other", "b", cap_w=250.0)
    built.running("small", "c", gpus=1, cap_w=250.0).job("waits", gpus=1)
    # Above three nodes all at their knees need 1950 W; the two large ones, with one node in standby, 790 W.
    built.limit_w(3 * IDLE_W + 1440.0)

    assert built.turns(8) == ["2: c down"]
    assert {a.job_id: a.phase for a in built.attempts.values()} == {"big": Phase.RUN, "other": Phase.RUN}
    assert built.jobs["waits"].attempts == 0
