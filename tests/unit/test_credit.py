"""Whole machines for several partners: fair over time, within the room in every round."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.credit import CreditRule, Round, carried, land
from scheduler.core.machines import Landing, Machine, MachineState, Trim, most_w
from scheduler.core.split import Claim, split
from tests.builders import T0

RULE = CreditRule()


def miners(prefix: str, count: int, nameplate_w: int = 3500, **changes: object) -> list[Machine]:
    """Like miners that sleep."""
    plain = {"nameplate_w": nameplate_w, "rest_w": 0, **changes}
    return [Machine(machine_id=f"{prefix}{i}", **plain) for i in range(count)]  # type: ignore[arg-type]


class Site:
    """Partners with their miners, that obey at once, round by round."""

    def __init__(self, rule: CreditRule = RULE, **fleets: list[Machine]) -> None:
        self.rule, self.fleets, self.at = rule, fleets, T0
        self.weights = dict.fromkeys(fleets, 1)
        self.credit_ws: dict[str, int] = {}
        self.used_ws = dict.fromkeys(fleets, 0.0)
        self.due_ws = dict.fromkeys(fleets, 0.0)
        self.wakes = 0

    def round(self, room_w: int, *, seconds: float = 60.0, emergency: bool = False) -> dict[str, Landing]:
        """One round, and the time after it."""
        claims = [
            Claim(name=n, weight=self.weights[n], cap_w=most_w(f, self.at)) for n, f in self.fleets.items()
        ]
        shares_w = split(room_w, claims).grants_w
        now = Round(
            room_w=room_w,
            claims=claims,
            shares_w=shares_w,
            fleets=self.fleets,
            credit_ws=self.credit_ws,
            at=self.at,
            emergency=emergency,
        )
        landings = land(now, self.rule)
        self._obey({k: w for x in landings.values() for k, w in x.targets_w.items()})
        used_w = {n: float(x.landed_w) for n, x in landings.items()}
        self.credit_ws = carried(self.credit_ws, shares_w, used_w, seconds, self.rule)
        for name in self.fleets:
            self.used_ws[name] += used_w[name] * seconds
            self.due_ws[name] += shares_w[name] * seconds
        self.at += timedelta(seconds=seconds)
        return landings

    def _obey(self, targets_w: Mapping[str, int]) -> None:
        for name, fleet in self.fleets.items():
            self.fleets[name] = [self._told(m, targets_w[m.machine_id] != m.rest_w) for m in fleet]

    def _told(self, machine: Machine, runs: bool) -> Machine:
        if runs is machine.runs:
            return machine
        assert not machine.bound(self.at)
        self.wakes += runs
        state = MachineState.RUNNING if runs else MachineState.ASLEEP
        return replace(machine, state=state, changed_at=self.at)


def landed(landings: Mapping[str, Landing]) -> dict[str, int]:
    """Watts by partner."""
    return {name: x.landed_w for name, x in landings.items()}


def test_what_two_cannot_use_alone_one_can() -> None:
    """Each is due 1750 W, half a machine: one of them runs its machine rather than none."""
    assert landed(Site(a=miners("a", 1), b=miners("b", 1)).round(3500)) == {"a": 3500, "b": 0}


def test_who_is_owed_most_comes_first() -> None:
    """B has been short for an hour."""
    site = Site(a=miners("a", 1), b=miners("b", 1))
    site.credit_ws = {"a": -1750 * 3600, "b": 1750 * 3600}

    assert landed(site.round(3500)) == {"a": 0, "b": 3500}


def test_they_take_turns_and_no_machine_is_cycled_for_little() -> None:
    """Two days, one machine's worth of room: both get half of it, in turns of hours."""
    site = Site(a=miners("a", 1), b=miners("b", 1))
    for _ in range(2 * 1440):
        assert sum(landed(site.round(3500)).values()) <= 3500

    assert site.used_ws["a"] == pytest.approx(site.used_ws["b"], rel=0.1)
    assert sum(site.used_ws.values()) >= 0.98 * 3500 * 2 * 86_400
    assert 2 <= site.wakes <= 48


def test_room_that_nobody_can_use_is_owed_to_nobody() -> None:
    """Both are short by 1500 W in every round for a week; still they take turns."""
    site = Site(a=miners("a", 1), b=miners("b", 1))
    for _ in range(7 * 288):
        site.round(6500, seconds=300)

    assert abs(site.credit_ws["a"]) < RULE.bound_ws
    assert site.used_ws["a"] == pytest.approx(site.used_ws["b"], rel=0.05)


def test_over_days_of_changing_room_everybody_gets_its_weight() -> None:
    """Three partners of 5 to 3 to 2, whole machines of three sizes, within one percent."""
    site = Site(a=miners("a", 8), b=miners("b", 6, 3276), c=miners("c", 4, 5300))
    site.weights = {"a": 5, "b": 3, "c": 2}
    for i in range(4 * 288):
        room_w = round(30_000 + 12_000 * math.sin(i / 40) + 3000 * math.sin(i / 3))
        held_w = sum(m.extra_w for f in site.fleets.values() for m in f if m.runs and m.bound(site.at))
        assert sum(landed(site.round(room_w, seconds=300)).values()) <= max(room_w, held_w)

    whole_ws = sum(site.used_ws.values())
    for name, due_ws in site.due_ws.items():
        assert site.used_ws[name] / whole_ws == pytest.approx(due_ws / sum(site.due_ws.values()), rel=0.01)
    assert whole_ws >= 0.93 * sum(site.due_ws.values())


def test_machines_that_must_run_on_are_paid_by_the_others() -> None:
    """A's machine just woke; the room fell to one machine, and B's goes to sleep for it, to be repaid."""
    site = Site(a=miners("a", 1), b=miners("b", 1))
    site.fleets["b"] = [replace(site.fleets["b"][0], state=MachineState.RUNNING)]
    site.fleets["a"] = [replace(site.fleets["a"][0], state=MachineState.RUNNING, changed_at=T0)]

    assert landed(site.round(3500)) == {"a": 3500, "b": 0}
    assert site.credit_ws == {"a": -1750 * 60, "b": 1750 * 60}


def test_if_all_must_run_on_it_says_by_how_much_it_is_over() -> None:
    """For whoever decides whether it is an emergency; in one, they sleep."""
    just_woken = [replace(m, state=MachineState.RUNNING, changed_at=T0) for m in miners("a", 2)]

    assert Site(a=list(just_woken)).round(3500)["a"].over_w == 3500
    now = Round(room_w=3500, claims=[Claim(name="a", cap_w=7000)], shares_w={"a": 3500},
                fleets={"a": just_woken}, credit_ws={}, at=T0, emergency=True)  # fmt: skip
    assert landed(land(now, RULE)) == {"a": 3500}


def test_one_machine_that_can_be_trimmed_uses_what_the_others_cannot() -> None:
    """A lands on its share, and takes what B's half machine leaves."""
    site = Site(a=miners("a", 2, trim=Trim.WATTS, least_w=1000), b=miners("b", 1))

    assert landed(site.round(6000)) == {"a": 6000, "b": 0}
    assert site.credit_ws == {"a": -3000 * 60, "b": 3000 * 60}


def test_who_lands_on_its_share_pays_who_cannot() -> None:
    """A's machines can be trimmed, B's cannot: in three days both get half all the same, and B's seldom switch."""
    site = Site(a=miners("a", 2, trim=Trim.WATTS, least_w=1000), b=miners("b", 2))
    for _ in range(3 * 288):
        assert sum(landed(site.round(9000, seconds=300)).values()) <= 9000

    assert site.used_ws["b"] == pytest.approx(site.used_ws["a"], rel=0.02)
    assert sum(site.used_ws.values()) >= 0.97 * 9000 * 3 * 86_400
    assert site.wakes <= 3 * 24


def test_nobody_is_paid_beyond_its_cap() -> None:
    """However much is owed: a contract's cap stands."""
    fleets = {"a": miners("a", 2, trim=Trim.WATTS, least_w=1000), "b": miners("b", 2)}
    claims = [Claim(name="a", cap_w=7000), Claim(name="b", cap_w=5000)]
    now = Round(
        room_w=9000,
        claims=claims,
        shares_w={"a": 4500, "b": 4500},
        fleets=fleets,
        credit_ws={"b": 10**9},
        at=T0,
    )

    assert landed(land(now, RULE)) == {"a": 5500, "b": 3500}


@pytest.mark.parametrize("floor_w, left", [(0, {"b": 3500, "c": 0}), (3500, {"b": 0, "c": 3500})])
def test_for_machines_that_must_run_on_the_largest_tier_gives_way_down_to_its_floor(
    floor_w: int, left: dict[str, int]
) -> None:
    """A's two just woke, though it is due one; of the others C is of the larger tier, and owed more."""
    runs, woke_at = MachineState.RUNNING, T0 - timedelta(seconds=60)
    claims = [
        Claim(name="a", cap_w=7000, tier=2),
        Claim(name="b", cap_w=3500, tier=2),
        Claim(name="c", cap_w=3500, tier=4, floor_w=floor_w),
    ]
    now = Round(
        room_w=10_500,
        claims=claims,
        shares_w={"a": 3500, "b": 3500, "c": 3500},
        fleets={
            "a": miners("a", 2, state=runs, changed_at=woke_at),
            "b": miners("b", 1, state=runs),
            "c": miners("c", 1, state=runs),
        },
        credit_ws={"c": 10**7},
        at=T0,
    )

    assert landed(land(now, RULE)) == {"a": 7000, **left}


def test_nobody_gets_more_than_its_cap() -> None:
    """Nothing of what is left goes to a partner that has all that its contract allows."""
    fleets = {"a": miners("a", 2), "b": miners("b", 1)}
    claims = [Claim(name="a", cap_w=3500), Claim(name="b", cap_w=3500)]
    now = Round(
        room_w=9000,
        claims=claims,
        shares_w={"a": 3500, "b": 3500},
        fleets=fleets,
        credit_ws={"a": 10**9},
        at=T0,
    )

    assert landed(land(now, RULE)) == {"a": 3500, "b": 3500}


def test_debts_are_bounded() -> None:
    """One machine for a day, either way."""
    rule = CreditRule(bound_ws=1000, swap_ws=10)

    assert carried({"a": 900}, {"a": 100, "b": 100}, {"a": 0.0, "b": 200.0}, 5.0, rule) == {
        "a": 1000,
        "b": -500,
    }


def test_a_rule_under_which_no_debt_is_ever_paid_is_refused() -> None:
    """The bound has to be above the swap."""
    with pytest.raises(
        ValueError, match="bound_ws = 5, swap_ws = 5: give swap_ws of 0 or more and a larger bound_ws"
    ):
        CreditRule(bound_ws=5, swap_ws=5)
