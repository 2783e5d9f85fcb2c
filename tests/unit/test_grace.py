"""How long work that leaves has for it, and who is hurried where the limit falls below what it holds until then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.decide import shed
from scheduler.core.domains import Domain
from scheduler.core.jobs import PauseCause, Phase
from scheduler.core.orders import Standby
from scheduler.sim.capacity import Capacity
from scheduler.sim.metrics import summary
from scheduler.sim.run import run
from scheduler.sim.site import SimSite
from scheduler.sim.workload import PowerTrace, SimJob
from tests.builders import SiteBuilder, launch, site

HELD_W, IDLE_W = 980.0, 820.0  #: a node of four, and with nobody on it
FORCED_S = 30.0 - 3.5 - 3.0  #: the reaction time less an order's way and the fall


def leaving(*names: str, **policy: Any) -> SiteBuilder:
    """Each on a node of its own, told to save and leave for another, with all the time that it asked for."""
    built = site(reaction_s=30.0, fall_s=3.0, **policy)
    for name in names:
        built.node(name).running(name, name, launch=launch(grace_s=300.0))
    built.limit_w(len(names) * HELD_W)
    for name in names:
        attempt = built.attempts[f"{name}.1"]
        built.attempts[attempt.id] = replace(
            attempt, phase=Phase.SAVE_EXIT, pause_cause=PauseCause.HIGHER_PRIORITY, since_at=built.at
        )
    return built


def graces_s(built: SiteBuilder) -> dict[str, float]:
    """What the next decision gives each that leaves."""
    drafts = built.decided(obeyed=False).drafts
    return {gid: d.attempts[0].launch.grace_s for gid, d in drafts.items()}


def test_nobody_hurries_while_the_limit_carries_them() -> None:
    """They have what their jobs asked for."""
    assert graces_s(leaving("a", "b")) == {"a": 300.0, "b": 300.0}


def test_where_the_limit_falls_on_they_hurry() -> None:
    """All if it takes all; and a second look asks nobody again."""
    built = leaving("a", "b")
    built.decided(obeyed=False)
    built.passes(5.0).limit_w(2 * IDLE_W)

    assert graces_s(built) == {"a": FORCED_S, "b": FORCED_S}
    again = built.passes(1.0).decided(obeyed=False)
    assert (again.attempts, list(again.events)) == ({}, [])


def test_as_many_as_it_takes_hurry_and_first_who_is_done_first() -> None:
    """Who began to save earlier loses least by it. It is said, with the limit."""
    built = leaving("a", "b").passes(20.0)
    built.attempts["b.1"] = replace(built.attempts["b.1"], since_at=built.at - timedelta(seconds=60))
    built.decided(obeyed=False)
    decision = built.limit_w(2 * HELD_W - 1).decided(obeyed=False)

    assert {gid: d.attempts[0].launch.grace_s for gid, d in decision.drafts.items()} == {
        "a": 300.0,
        "b": FORCED_S,
    }
    assert [(e.kind, e.text) for e in decision.events] == [
        (
            "job.preempting",
            "b told to be out within 23.5 s: usable power fell to 2.0 kW, below what those hold who are leaving",
        )
    ]


def test_those_who_must_be_out_in_time_anyhow_count_as_gone() -> None:
    """Nobody else is hurried where their going is enough."""
    built = leaving("a", "b")
    built.attempts["a.1"] = replace(built.attempts["a.1"], pause_cause=PauseCause.POWER_WITHDRAWN)

    assert graces_s(built.limit_w(HELD_W + IDLE_W)) == {"a": FORCED_S, "b": 300.0}


def test_who_was_held_for_its_time_hurries_then_too() -> None:
    """What kept it from that was a limit that carried it."""
    built = leaving("a", suspend_max_s=60.0)
    built.attempts["a.1"] = replace(
        built.attempts["a.1"],
        pause_cause=PauseCause.POWER_WITHDRAWN,
        cut_at=built.at - timedelta(seconds=90),
    )
    assert graces_s(built) == {"a": 300.0}

    assert graces_s(built.passes(5.0).limit_w(IDLE_W)) == {"a": FORCED_S}


def test_the_fast_path_hurries() -> None:
    """It is a reduction: it needs nobody's leave, and no record."""
    built = leaving("a")
    built.decided(obeyed=False)
    reduction = shed(built.passes(5.0).limit_w(IDLE_W).snapshot())

    assert reduction is not None
    assert reduction.drafts["a"].attempts[0].launch.grace_s == FORCED_S
    assert reduction.cut_work


def test_a_domain_hurries_whom_it_cannot_carry() -> None:
    """And nobody beside it."""
    built = leaving("a", "b", domains=(Domain(name="row", limit_w=IDLE_W, groups=("a",)),))

    assert graces_s(built) == {"a": FORCED_S, "b": 300.0}


def falls_twice(second_s: float, *, save_s: float, standby: Standby | None = None) -> dict[str, Any]:
    """Four nodes at work: the limit falls to what they draw with all held, and soon to what they draw with nobody."""
    grid = SimSite()
    idle_w, held_w = 4 * 1640 * 1.25, 4 * 1960 * 1.25
    pace = replace(grid.pace, save_s=save_s, grace_s=120.0)
    small = replace(grid, nodes=4, firm_w=held_w + 100, partners=(), owners=(), pace=pace, standby=standby)
    jobs = [SimJob(id=f"j{i}", arrives_s=0.0, gpus=8, work_s=36_000.0) for i in range(4)]
    full_w = 22_010.0
    steps = ((0.0, full_w), (1900.0, held_w + 10), (second_s, idle_w + 50), (2400.0, full_w))
    outcome = run(jobs, PowerTrace(name="two falls", steps=steps), small, window_s=3600.0)
    return summary(outcome, None, site=Capacity.of(small))


def test_a_second_deeper_fall_is_kept_while_saves_are_under_way() -> None:
    """As it comes about on a site: held work is told to leave, and the limit falls again before it is out."""
    found = falls_twice(1930.0, save_s=100.0)

    assert (found["violation_s"], found["kills"]) == (0.0, 4)


def test_a_second_deeper_fall_is_kept_while_nodes_go_to_standby() -> None:
    """They draw as before until they are there, which takes longer than the limit waits: who is held leaves for it."""
    found = falls_twice(1915.0, save_s=5.0, standby=Standby(draw_w=10.0, down_s=60.0, boot_s=100.0))

    assert (found["violation_s"], found["kills"]) == (0.0, 0)
