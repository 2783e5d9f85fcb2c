"""Staggered saves: no more attempts save to one storage and leave at a time than the site file says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.decide import decide
from scheduler.core.estop import EmergencyStop, envelope_of
from scheduler.core.exits import Exits
from scheduler.core.jobs import Desired, PauseCause, Phase, Placement
from scheduler.core.power import A100_SXM
from tests.builders import SiteBuilder, actions, obey, site

HELD_W = 600.0 + 4 * A100_SXM.held_w()  #: a node that draws 600 W, with all its GPUs held
SAVE_S = 30.0  #: of a job that never saved, which is its grace, too


def held(built: SiteBuilder, name: str, on: str, *, gpus: int = 1, since_s: float = 60.0) -> None:
    """A job that was suspended for power so long ago."""
    built.running(name, on, gpus=gpus)
    since_at = built.at - timedelta(seconds=since_s)
    found = built.attempts[f"{name}.1"]
    cause = PauseCause.POWER_WITHDRAWN
    built.attempts[f"{name}.1"] = replace(found, phase=Phase.SUSPEND, pause_cause=cause, since_at=since_at)


def forgotten(built: SiteBuilder) -> SiteBuilder:
    """All guards have accepted what they were told, and no order of before stands any more."""
    for gid in built.groups:
        obey(built, gid)
        group = built.groups[gid]
        built.groups[gid] = replace(group, account=replace(group.account, open=()))
    return built


def long_held(jobs: int, **policy: Any) -> SiteBuilder:
    """A node that cannot go to standby, with jobs that were held for a minute, and power for no more than that."""
    built = site(firm_w=9000.0, **policy).node("n", gpus=4).limit_w(HELD_W + 1.0)
    for number in range(jobs):
        held(built, f"j{number}", "n")
    return forgotten(built)


def saving(built: SiteBuilder) -> list[str]:
    """Who is told to save and leave in one more round, in which nobody has done so yet."""
    return [word.split()[1] for word in built.does(obeyed=False) if word.startswith("save ")]


# -- what was held for long --------------------------------------------------------------------------------------------


def test_all_save_at_once_unless_the_site_says_otherwise() -> None:
    """They were held for as long as they may be."""
    assert saving(long_held(4)) == ["j0", "j1", "j2", "j3"]


def test_the_next_one_saves_when_one_has_left() -> None:
    """However long that takes."""
    built = long_held(4, saves_at_once=2)
    assert saving(built) == ["j0", "j1"]
    built.passes(20.0)
    assert saving(built) == []
    obey(built, "n")
    assert saving(built) == ["j2", "j3"]


def test_who_waits_for_that_is_told_so() -> None:
    """In numbers: the place in the line, and when its turn is if each save takes as long as is thought."""
    built = long_held(4, saves_at_once=2)
    built.jobs["j0"] = replace(built.jobs["j0"], save_s=8.0)
    built.jobs["j3"] = replace(built.jobs["j3"], save_s=6.0)
    reasons = built.decided(obeyed=False).reasons

    assert [a.job_id for a in built.attempts.values() if a.phase is Phase.SAVE_EXIT] == ["j1", "j2"]
    numbers = {"place": 2, "waiting_to_save": 2, "saving": 2, "saves_at_once": 2}
    assert reasons["j0"].numbers.items() >= numbers.items()
    assert "it is number 2 of 2 that wait, 2 save, and no more than 2 at a time" in reasons["j0"].text
    assert reasons["j3"].numbers["place"] == 1
    assert reasons["j0"].expected_at == reasons["j3"].expected_at == built.at + timedelta(seconds=SAVE_S)
    assert "saves_at_once" in reasons["j0"].remedy


def test_each_storage_has_its_own_line() -> None:
    """A write to the disk of one host slows nobody on another."""
    built = site(firm_w=9000.0, saves_at_once=1).node("a").node("b").limit_w(2 * HELD_W + 1.0)
    for number, on in enumerate(("a", "a", "b", "b")):
        built.groups[on] = replace(built.groups[on], storage=f"disk of {on}")
        held(built, f"j{number}", on)

    assert saving(forgotten(built)) == ["j0", "j2"]


def test_what_the_limit_demands_never_waits() -> None:
    """Three of four have to release their GPUs for it, while one may save at a time; the fourth waits."""
    built = long_held(4, saves_at_once=1, suspend_max_s=70.0)
    freed_w = A100_SXM.held_w() - A100_SXM.idle_w
    built.limit_w(HELD_W - 3 * freed_w)
    assert len(saving(built)) == 3

    built.passes(20.0)
    assert saving(built) == []
    assert [r.numbers["saving"] for r in built.decided(obeyed=False).reasons.values()] == [3.0]
    obey(built, "n")
    assert len(saving(built)) == 1


def test_nobody_waits_under_an_emergency_stop() -> None:
    """Guards on their own would not either."""
    built = long_held(4, saves_at_once=1)
    stop = EmergencyStop(id="s", reason="smoke", by="ada", at=built.at)
    limit = envelope_of(stop, firm_w=9000.0, reaction_s=30.0)
    snapshot = replace(built.snapshot(), stops=(stop,), envelopes=(limit, *built.envelopes))

    assert [w for w in actions(snapshot, decide(snapshot)) if w.startswith("save ")] == [
        f"save j{number}" for number in range(4)
    ]


def test_a_person_who_holds_a_job_does_not_wait_either() -> None:
    """It counts, though, and others wait for it."""
    built = long_held(3, saves_at_once=1).wants("j2", Desired.HOLD)

    assert saving(built) == ["j2"]
    obey(built, "n")
    assert saving(built) == ["j0"]


# -- so that nodes go to standby -----------------------------------------------------------------------------------------


def cleared(**policy: Any) -> SiteBuilder:
    """Three nodes that can go to standby, with four, two and one job that are held; power for none of them."""
    built = site(firm_w=9000.0, **policy)
    for name, jobs in (("a", 4), ("b", 2), ("c", 1)):
        built.node(name, standby_w=50.0)
        for number in range(jobs):
            held(built, f"{name}{number}", name)
    return forgotten(built.limit_w(3 * HELD_W))


def order_of_saves(built: SiteBuilder) -> list[list[str]]:
    """Who saves, round after round, when each save takes one."""
    found = []
    for _ in range(9):
        found.append(saving(built))
        for gid in built.groups:
            obey(built, gid)
    return [told for told in found if told]


def test_nodes_are_cleared_one_after_the_other() -> None:
    """The one with the fewest saves to wait for first: its base is saved soonest. One that was begun is done first."""
    rounds = order_of_saves(cleared(saves_at_once=2).limit_w(1000.0, reaction_s=30.0))
    assert rounds[0][-1] == "c0"  # the limit itself demands the others


def gone(built: SiteBuilder, limit_w: float) -> list[list[str]]:
    """The order of saves where the limit carries what is held, and would carry nothing more."""
    return order_of_saves(built.limit_w(limit_w))


def test_a_gang_goes_early_that_clears_two_nodes_with_one_save() -> None:
    """It frees two bases for the time of one save."""
    built = cleared(saves_at_once=1)
    built.node("d", standby_w=50.0).node("e", standby_w=50.0)
    held(built, "gang", "d", gpus=4)
    placed = (Placement(node_id="d", gpu_ids=("0", "1", "2", "3")),)
    both = (*placed, Placement(node_id="e", gpu_ids=("0", "1", "2", "3")))
    built.attempts["gang.1"] = replace(built.attempts["gang.1"], placements=both)

    assert gone(forgotten(built), 3500.0)[0] == ["gang"]
