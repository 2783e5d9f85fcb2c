"""Staggered saves: no more attempts save to one storage and leave at a time than the site file says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, strategies as st

from scheduler.core.consolidating import consolidate
from scheduler.core.decide import decide
from scheduler.core.estop import EmergencyStop, envelope_of
from scheduler.core.exits import Exits
from scheduler.core.jobs import Desired, PauseCause, Phase, Placement
from scheduler.core.plan import Plan
from scheduler.core.power import A100_SXM
from tests.builders import SiteBuilder, actions, obey, site
from tests.told_site import ToldSite

HELD_W = 600.0 + 4 * A100_SXM.held_w()  #: a node that draws 600 W, with all its GPUs held
SAVE_S = 30.0  #: of a job that never saved, which is its grace, too
LEAVE_S = SAVE_S + 6.5  #: with the lead and the fall


def held(built: SiteBuilder, name: str, on: str, *, gpus: int = 1, since_s: float = 60.0) -> None:
    """A job that was suspended for power so long ago."""
    built.running(name, on, gpus=gpus, min_cap_w=195.0)
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
    assert "it is number 2 of 2 that wait, 2 save, no more than 2 at a time" in reasons["j0"].text
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
    assert built.decided(obeyed=False).reasons["j3"].numbers["saving"] == 3
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


# -- so that nodes go to standby ---------------------------------------------------------------------------------------


def many_held(**policy: Any) -> SiteBuilder:
    """Three nodes that can go to standby, with three, two and one job that are held."""
    built = site(firm_w=9000.0, **policy)
    for name, jobs in (("a", 3), ("b", 2), ("c", 1)):
        built.node(name, standby_w=50.0)
        for number in range(jobs):
            held(built, f"{name}{number}", name)
    return built


def order_of_saves(built: SiteBuilder) -> list[str]:
    """Who saves now, and then who waits, where power is left for none of them."""
    plan = Plan(forgotten(built).snapshot())
    before = {a.id for a in plan.in_phase(Phase.SAVE_EXIT)}
    consolidate(plan, 100.0, 60.0)
    now = [a for a in plan.in_phase(Phase.SAVE_EXIT) if a.id not in before]
    return [a.job_id for a in (*now, *plan.save_lines[""])]


def test_nodes_are_cleared_one_after_the_other() -> None:
    """The one with the fewest saves to wait for first: it goes to standby soonest."""
    assert order_of_saves(many_held(saves_at_once=1)) == ["c0", "b0", "b1", "a0", "a1", "a2"]


def test_a_save_that_takes_long_is_worth_less() -> None:
    """Two short ones clear a node sooner than a long one."""
    built = many_held(saves_at_once=1)
    built.jobs["c0"] = replace(built.jobs["c0"], save_s=60.0)

    assert order_of_saves(built) == ["b0", "b1", "a0", "a1", "a2", "c0"]


def test_a_gang_goes_first_that_clears_two_nodes_with_one_save() -> None:
    """It frees two bases for the time of one save."""
    built = many_held(saves_at_once=1).node("d", standby_w=50.0).node("e", standby_w=50.0)
    held(built, "gang", "d", gpus=4)
    both = tuple(Placement(node_id=name, gpu_ids=("0", "1", "2", "3")) for name in ("d", "e"))
    built.attempts["gang.1"] = replace(built.attempts["gang.1"], placements=both)

    assert order_of_saves(built)[:2] == ["gang", "c0"]


def test_a_node_that_was_begun_is_done_before_others() -> None:
    """What is left of it takes one save, and not two."""
    built = many_held(saves_at_once=2)
    found, cause = built.attempts["a0.1"], PauseCause.POWER_FORECAST
    built.attempts["a0.1"] = replace(found, phase=Phase.SAVE_EXIT, pause_cause=cause)
    del built.attempts["c0.1"], built.jobs["c0"]
    built.jobs["a1"] = replace(built.jobs["a1"], save_s=2.0)
    built.jobs["a2"] = replace(built.jobs["a2"], save_s=2.0)

    assert order_of_saves(built) == ["a1", "a2", "b0", "b1"]


def resumed(built: SiteBuilder) -> list[str]:
    """Who goes on in one more round."""
    return [word.split()[1] for word in built.does() if word.startswith("resume ")]


def test_who_waits_for_its_turn_does_not_take_what_is_kept_for_others() -> None:
    """The fuller node is kept. It goes on once enough have left, and they do not, unless power comes back."""
    built = site(firm_w=9000.0, saves_at_once=1).node("a", standby_w=50.0).node("b", standby_w=50.0)
    held(built, "much", "a", gpus=4)
    for number in range(3):
        held(built, f"little{number}", "b")
    forgotten(built).limit_w(Plan(built.snapshot()).site_w() + 250.0)

    assert resumed(built) == []  # though the watts would do for a little one
    assert resumed(built) == []
    assert resumed(built.limit_w(9000.0)) == ["little2", "much"]


def test_nobody_starts_on_a_node_that_is_being_cleared() -> None:
    """He would be given up in turn, and the node never cleared. Once it goes down, the fuller one has its watts."""
    built = ToldSite(firm_w=9000.0, saves_at_once=1)
    built.node("a", standby_w=50.0).node("b", standby_w=50.0)
    held(built, "much", "a", gpus=4)
    for number in range(3):
        held(built, f"little{number}", "b")
    forgotten(built).limit_w(Plan(built.snapshot()).site_w() + 250.0)

    found = []
    for _ in range(8):
        found += built.does(obeyed=False)
        built.passes(1.0)
        built.all_obey()
    assert [word.split(" at ")[0] for word in found] == [
        "save little0",
        "end little0: PREEMPTED",
        "save little1",
        "end little1: PREEMPTED",
        "save little2",
        "end little2: PREEMPTED",
        "resume much",
    ]


# -- before a blackout that is announced -------------------------------------------------------------------------------


def before_blackout(jobs: int, *, in_s: float = 600.0, **policy: Any) -> SiteBuilder:
    """As many nodes, each with a job that runs, and a blackout that is announced."""
    built = site(firm_w=9000.0, fall_s=3.0, clock_uncertainty_s=0.5, **policy).limit_w(50_000.0)
    for number in range(jobs):
        built.node(f"n{number}").running(f"j{number}", f"n{number}")
    return built.falls_to_w(0.0, in_s=in_s)


def played(built: SiteBuilder, seconds: int, *, save_s: float = SAVE_S) -> dict[str, list[float]]:
    """What becomes of each job that saves, a round a second, where a save takes so long: when it begins and is over."""
    found: dict[str, list[float]] = {}
    for second in range(seconds):
        built.decided(obeyed=False)
        for attempt in list(built.attempts.values()):
            if attempt.phase is Phase.SAVE_EXIT:
                told = found.setdefault(attempt.job_id, [float(second)])
                if second - told[0] < save_s or len(told) > 1:
                    continue
                told.append(float(second))
            obey(built, attempt.placements[0].node_id)
        built.passes(1.0)
    return found


def most_at_once(spans: dict[str, list[float]]) -> int:
    """Of all that save."""
    closed = [(*span, 1e9)[:2] for span in spans.values()]
    return max(sum(begins <= t < over for begins, over in closed) for t, _ in closed)


def test_they_leave_one_after_the_other_so_that_the_last_one_is_through_in_time() -> None:
    """Seven, two at a time: four waves, and not a wave sooner. Each takes the save, and the way of the orders."""
    spans = played(before_blackout(7, in_s=200.0, saves_at_once=2), 200)

    assert len(spans) == 7
    assert most_at_once(spans) == 2
    assert max(over for _, over in spans.values()) <= 200.0
    assert min(told for told, _ in spans.values()) == 200 - 4 * LEAVE_S


def test_without_a_bound_they_all_leave_as_late_as_each_alone() -> None:
    """As they always did."""
    spans = played(before_blackout(3, in_s=50.0), 50)

    assert [told for told, _ in spans.values()] == [14.0, 14.0, 14.0]


def test_who_is_held_leaves_first_and_who_is_firm_last() -> None:
    """Whoever leaves early computes less; who is held computes nothing anyhow. Of two, the one with more GPUs stays."""
    built = before_blackout(2, in_s=200.0, saves_at_once=1)
    built.node("f").running("firm", "f", gpus=1, flex=0).node("s").running("small", "s", gpus=1)
    built.node("h").running("held", "h")
    held_one = replace(built.attempts["held.1"], phase=Phase.SUSPEND, pause_cause=PauseCause.OPERATOR)
    built.attempts["held.1"] = held_one
    spans = played(built, 200)

    assert [*spans] == ["held", "small", "j0", "j1", "firm"]
    assert max(over for _, over in spans.values()) <= 200.0


def test_where_it_is_too_late_for_all_those_come_too_late_who_lose_least() -> None:
    """There is time for three of five, and firm work is among them; none is slowed by the others."""
    built = before_blackout(4, in_s=105.0, saves_at_once=1)
    built.node("f").running("firm", "f", flex=0)
    spans = played(built, 102)

    assert [name for name, span in spans.items() if len(span) == 2] == ["j3", "j2", "firm"]
    assert most_at_once(spans) == 1


def test_a_save_that_takes_longer_than_thought_holds_up_those_behind_it() -> None:
    """No more at a time, whatever was expected: 10 s, and here it is 25, for which twice as much and the way does."""
    built = before_blackout(3, in_s=100.0, saves_at_once=1)
    built.jobs = {name: replace(job, save_s=10.0) for name, job in built.jobs.items()}
    spans = played(built, 100, save_s=25.0)

    assert most_at_once(spans) == 1
    assert min(told for told, _ in spans.values()) == 100 - 3 * (20 + 6.5) + 0.5


def test_nobody_starts_whose_save_would_not_get_its_turn() -> None:
    """Others save before the blackout, too. Said in numbers."""
    built = before_blackout(4, in_s=189.0, saves_at_once=1).node("free").job("late", gpus=4)
    decision = built.decided()

    assert decision.reasons["late"].code == "WindowTooShort"
    assert decision.reasons["late"].numbers == {"needed_s": 43.5, "turns_s": 146.0, "saves_at_once": 1}
    assert "others save for 146 s, no more than 1 at a time" in decision.reasons["late"].text
    assert before_blackout(4, in_s=190.0, saves_at_once=1).node("free").job("late", gpus=4).does() == [
        "start late on free at 400 W"
    ]


def test_of_those_that_start_in_one_round_each_needs_its_own_turn() -> None:
    """There is time for two."""
    built = site(firm_w=9000.0, saves_at_once=1).node("a").node("b").node("c").limit_w(50_000.0)
    for name in ("x", "y", "z"):
        built.job(name, gpus=4)
    built.falls_to_w(0.0, in_s=90.0)

    assert [word.split()[1] for word in built.does()] == ["x", "y"]


@given(st.lists(st.floats(1.0, 600.0), min_size=1, max_size=40), st.integers(1, 8))
def test_turns_before_an_end_never_overlap_more_than_they_may(saves_s: list[float], most: int) -> None:
    """Told back from the end; and no place is left empty while somebody could be later."""
    exits = Exits(most)
    spans = [(over_s := exits.take(save_s), over_s + save_s) for save_s in saves_s]

    assert all(sum(over <= t < begins for over, begins in spans) <= most for t, _ in spans)
    assert exits.over_s <= sum(saves_s) / most
    assert max(begins for _, begins in spans) <= sum(saves_s) / most + max(saves_s) + 1e-6
