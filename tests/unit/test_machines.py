"""Granted watts on whole machines: the thriftiest run, one is trimmed, and nobody is cycled too fast."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.machines import Landing, Machine, MachineState, Trim, least_w, most_w, quantise
from tests.builders import T0


def machine(name: str, **changes: Any) -> Machine:
    """A miner of 3500 W that rests at 100 W."""
    plain: dict[str, Any] = {"machine_id": name, "nameplate_w": 3500, "rest_w": 100}
    return Machine(**(plain | changes))


def running(name: str, *, for_s: float = 1e6, **changes: Any) -> Machine:
    """One that runs."""
    return machine(name, state=MachineState.RUNNING, changed_at=T0 - timedelta(seconds=for_s), **changes)


def asleep(name: str, *, for_s: float = 1e6, **changes: Any) -> Machine:
    """One that sleeps."""
    return machine(name, changed_at=T0 - timedelta(seconds=for_s), **changes)


def trimmable(name: str, **changes: Any) -> Machine:
    """One that takes a target in watts, and sleeps."""
    plain: dict[str, Any] = {"trim": Trim.WATTS, "least_w": 2000}
    return asleep(name, **(plain | changes))


def land(*fleet: Machine, granted_w: int, emergency: bool = False) -> Landing:
    """How the fleet lands on a grant."""
    return quantise(fleet, granted_w, T0, emergency=emergency)


def awake(landing: Landing, rest_w: int = 100) -> set[str]:
    """Who runs."""
    return {name for name, target_w in landing.targets_w.items() if target_w > rest_w}


# -- whole machines ----------------------------------------------------------------------------------------------------


def test_the_thriftiest_run() -> None:
    """With watts for two of three, the least efficient one sleeps."""
    fleet = [
        asleep("old", joule_per_th=29.5),
        asleep("new", joule_per_th=15),
        asleep("mid", joule_per_th=21.5),
    ]

    assert land(*fleet, granted_w=7100) == Landing(
        targets_w={"old": 100, "new": 3500, "mid": 3500}, landed_w=7100
    )


def test_it_lands_at_or_under_the_grant() -> None:
    """What no machine fits into is said."""
    assert land(asleep("a"), asleep("b"), granted_w=6999) == Landing(
        targets_w={"a": 3500, "b": 100}, landed_w=3600, unmet_w=3399
    )


def test_a_smaller_one_fills_the_gap() -> None:
    """The second best does not fit, a small one does."""
    fleet = [
        asleep("a", joule_per_th=15),
        asleep("b", joule_per_th=16),
        asleep("small", joule_per_th=30, nameplate_w=1100),
    ]

    assert awake(land(*fleet, granted_w=5000)) == {"a", "small"}


def test_those_asleep_draw_too() -> None:
    """Of 3600 W a fleet of three, two of them asleep, cannot run one; of 3700 W it can."""
    fleet = [asleep("a"), asleep("b"), asleep("c")]

    assert awake(land(*fleet, granted_w=3600)) == set()
    assert awake(land(*fleet, granted_w=3700)) == {"a"}


def test_of_two_that_are_nearly_alike_the_one_that_runs_goes_on() -> None:
    """Three percent are noise, ten are not."""
    assert awake(land(running("a", joule_per_th=20), asleep("b", joule_per_th=19.4), granted_w=3600)) == {"a"}
    assert awake(land(running("a", joule_per_th=20), asleep("b", joule_per_th=18), granted_w=3600)) == {"b"}


def test_one_that_ramps_counts_as_running() -> None:
    """At its nameplate, before it is there."""
    ramping = machine("a", state=MachineState.RAMPING)

    assert awake(land(ramping, asleep("b"), granted_w=3600)) == {"a"}


# -- trimming ----------------------------------------------------------------------------------------------------------


def test_one_is_trimmed_to_land_on_the_number() -> None:
    """A whole one and one at what is left."""
    landing = land(trimmable("a", joule_per_th=1), trimmable("b", joule_per_th=2), granted_w=6000)

    assert landing == Landing(targets_w={"a": 3500, "b": 2500}, landed_w=6000, trimmed=("b",))


def test_too_little_for_the_next_is_made_up_by_another() -> None:
    """B cannot run on the 1400 W left; so it runs whole and A gives way for it."""
    landing = land(trimmable("a", joule_per_th=1, least_w=1000), asleep("b", joule_per_th=2), granted_w=5000)

    assert landing == Landing(targets_w={"a": 1500, "b": 3500}, landed_w=5000, trimmed=("a",))


def test_what_cannot_be_trimmed_that_far_leaves_the_rest_unmet() -> None:
    """A may not go below 2000 W."""
    landing = land(trimmable("a", joule_per_th=1), asleep("b", joule_per_th=2), granted_w=5000)

    assert landing == Landing(targets_w={"a": 3500, "b": 100}, landed_w=3600, unmet_w=1400)


def test_percent_are_whole_and_never_above_the_grant() -> None:
    """85 % of 3500 W are 2975 W; 86 % would be 3010 W."""
    one = asleep("a", trim=Trim.PERCENT, least_w=1800)

    assert land(one, granted_w=3000) == Landing(
        targets_w={"a": 2975}, landed_w=2975, unmet_w=25, trimmed=("a",)
    )


@pytest.mark.parametrize(
    "nameplate_w, least, lowest_w", [(3500, 1800, 1820), (3276, 1000, 1016), (333, 101, 104)]
)
def test_the_lowest_percent_is_at_or_above_what_it_can(nameplate_w: int, least: int, lowest_w: int) -> None:
    """52 %, 31 % and 31 %, rounded up to the watt that they may draw; each can be told just that."""
    one = asleep("a", nameplate_w=nameplate_w, trim=Trim.PERCENT, least_w=least)

    assert one.lowest_w == lowest_w
    assert one.trimmed_w(lowest_w) == lowest_w
    assert one.trimmed_w(lowest_w - 1) is None


def test_rather_one_that_is_awake_is_trimmed_than_one_woken() -> None:
    """B runs and does not fit whole any more: it is trimmed, though A is a little thriftier and asleep."""
    fleet = [
        trimmable("a", joule_per_th=19.5, nameplate_w=4000),
        running("b", joule_per_th=20, trim=Trim.WATTS, least_w=2000),
    ]

    assert land(*fleet, granted_w=3000).targets_w == {"a": 100, "b": 2900}


# -- minimum times -----------------------------------------------------------------------------------------------------


def test_one_that_just_woke_runs_on() -> None:
    """The grant is too low for it, and it says so; after its ten minutes it sleeps."""
    assert land(running("a", for_s=599), granted_w=1000) == Landing(
        targets_w={"a": 3500}, landed_w=3500, over_w=2500, held=("a",)
    )
    assert land(running("a", for_s=600), granted_w=1000) == Landing(
        targets_w={"a": 100}, landed_w=100, unmet_w=900
    )


def test_one_that_just_woke_goes_before_a_thriftier_one() -> None:
    """B would be better, and A has to run anyway."""
    landing = land(running("a", for_s=5, joule_per_th=30), asleep("b", joule_per_th=15), granted_w=3600)

    assert awake(landing) == {"a"}
    assert (landing.over_w, landing.held) == (0, ())


def test_those_that_must_run_on_are_trimmed_as_far_as_they_can() -> None:
    """The least efficient first, and as many as it takes."""
    fleet = [
        running("good", for_s=5, joule_per_th=15, trim=Trim.WATTS, least_w=2000),
        running("bad", for_s=5, joule_per_th=30, trim=Trim.WATTS, least_w=2000),
    ]

    assert land(*fleet, granted_w=6000).targets_w == {"good": 3500, "bad": 2500}
    assert land(*fleet, granted_w=4500).targets_w == {"good": 2500, "bad": 2000}
    assert land(*fleet, granted_w=3000) == Landing(
        targets_w={"good": 2000, "bad": 2000},
        landed_w=4000,
        over_w=1000,
        trimmed=("good", "bad"),
        held=("good", "bad"),
    )


def test_an_emergency_ends_a_run_early() -> None:
    """Nothing is over then."""
    assert land(running("a", for_s=1), granted_w=1000, emergency=True) == Landing(
        targets_w={"a": 100}, landed_w=100, unmet_w=900
    )


def test_nothing_wakes_one_that_just_fell_asleep() -> None:
    """For five minutes, whatever is granted."""
    assert awake(land(asleep("a", for_s=299), granted_w=9000)) == set()
    assert awake(land(asleep("a", for_s=300), granted_w=9000)) == {"a"}


def test_an_emergency_wakes_nobody() -> None:
    """A thriftier one is asleep and stays so; what runs stays if it fits."""
    fleet = [asleep("a", joule_per_th=15), running("b", joule_per_th=30), running("c", joule_per_th=31)]

    assert awake(land(*fleet, granted_w=3700, emergency=True)) == {"b"}


# -- who does not obey -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [MachineState.FAULTED, MachineState.STALE])
def test_who_does_not_obey_counts_in_full(state: MachineState) -> None:
    """It is told to sleep, and the others have its nameplate less."""
    landing = land(machine("lost", state=state), asleep("b"), granted_w=6000)

    assert landing == Landing(targets_w={"lost": 100, "b": 100}, landed_w=3600, unmet_w=2400)


def test_a_meter_says_otherwise() -> None:
    """The outlet of the lost one shows 10 W."""
    landing = land(machine("lost", state=MachineState.STALE, metered_w=10), asleep("b"), granted_w=3510)

    assert landing == Landing(targets_w={"lost": 100, "b": 3500}, landed_w=3510)


# -- what a fleet can do -----------------------------------------------------------------------------------------------


def test_a_fleet_knows_the_least_and_the_most_it_can_draw() -> None:
    """A has to run, B may not yet, C may, D is lost."""
    fleet = [
        running("a", for_s=5),
        asleep("b", for_s=5),
        asleep("c"),
        machine("d", state=MachineState.STALE, metered_w=700),
    ]

    assert least_w(fleet, T0) == 3500 + 100 + 100 + 700
    assert least_w(fleet, T0, emergency=True) == 100 + 100 + 100 + 700
    assert most_w(fleet, T0) == 3500 + 100 + 3500 + 700


def test_an_empty_fleet_draws_nothing() -> None:
    """And is granted for nothing."""
    assert land(granted_w=500) == Landing(targets_w={}, landed_w=0, unmet_w=500)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"rest_w": 3500}, "rest_w = 3500 W: give 0 or more, and less than nameplate_w = 3500 W"),
        ({"trim": Trim.WATTS}, "trim = watts and least_w = None: a machine that can be trimmed has both"),
        ({"least_w": 1000}, "trim = none and least_w = 1000"),
        ({"trim": Trim.WATTS, "least_w": 100}, "least_w = 100 W: give more than rest_w = 100 W"),
        ({"min_on_s": -1.0}, "min_on_s and min_off_s are 0 or more"),
    ],
)
def test_a_machine_that_contradicts_itself_is_refused(wrong: dict[str, Any], words: str) -> None:
    """With its name, the field, the value, and what to do."""
    with pytest.raises(ValueError, match="machine 'a'") as refused:
        machine("a", **wrong)

    assert words in str(refused.value)
