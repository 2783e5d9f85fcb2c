"""Splitting watts between partners: by weights, up to caps, floors first, to the watt."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.core.partners import Partner
from scheduler.core.split import Claim, Pool, Split, by_group, claims_of, cut, shed_order, split


def claim(name: str, cap_w: int = 100_000, **changes: Any) -> Claim:
    """One partner's claim."""
    return Claim(name=name, cap_w=cap_w, **changes)


def test_equals_share_alike() -> None:
    """Half and half, and nothing is left."""
    assert split(9000, [claim("a"), claim("b")]) == Split(grants_w={"a": 4500, "b": 4500}, short_w={})


def test_weights_are_parts() -> None:
    """70 to 30."""
    assert split(10_000, [claim("a", weight=70), claim("b", weight=30)]).grants_w == {"a": 7000, "b": 3000}


def test_what_one_cannot_use_goes_to_the_others_by_weight() -> None:
    """A takes its 1000 W; B and C share the other 9000 W two to one."""
    claims = [claim("a", 1000), claim("b", weight=2), claim("c", weight=1)]

    assert split(10_000, claims).grants_w == {"a": 1000, "b": 6000, "c": 3000}


def test_a_floor_is_part_of_the_share() -> None:
    """With room for all, who has a floor gets no more than its weight says; with little room it gets its floor."""
    claims = [claim("a", floor_w=3000), claim("b")]

    assert split(10_000, claims).grants_w == {"a": 5000, "b": 5000}
    assert split(4000, claims).grants_w == {"a": 3000, "b": 1000}


def test_floors_are_kept_by_tier() -> None:
    """Tier 0 gets all of its floor before tier 4 gets anything of its own."""
    claims = [claim("late", floor_w=2000, tier=4), claim("first", floor_w=2000, tier=0)]

    assert split(2500, claims) == Split(grants_w={"first": 2000, "late": 500}, short_w={"late": 1500})


def test_floors_of_one_tier_shrink_in_proportion() -> None:
    """A third of each where there is a third of the sum, whatever the weights."""
    claims = [claim("a", floor_w=3000, weight=9), claim("b", floor_w=6000), claim("c")]

    assert split(3000, claims) == Split(
        grants_w={"a": 1000, "b": 2000, "c": 0}, short_w={"a": 2000, "b": 4000}
    )


def test_what_nobody_can_use_is_said() -> None:
    """All are at their caps."""
    assert split(9000, [claim("a", 1000), claim("b", 2000)]) == Split(
        grants_w={"a": 1000, "b": 2000}, unused_w=6000, short_w={}
    )


def test_odd_watts_go_to_whoever_is_next_to_reach_one() -> None:
    """Of 10 W in three parts the last goes to the first by name; a fraction of a watt goes to nobody."""
    assert split(10.9, [claim("c"), claim("a"), claim("b")]).grants_w == {"a": 4, "b": 3, "c": 3}


@pytest.mark.parametrize("room_w", [0.0, -500.0, 0.99])
def test_without_room_nobody_gets_anything(room_w: float) -> None:
    """Nor less than nothing."""
    assert split(room_w, [claim("a", floor_w=1)]) == Split(grants_w={"a": 0}, short_w={"a": 1})


def test_without_partners_all_is_unused() -> None:
    """Nothing to divide by."""
    assert split(100, []) == Split(grants_w={}, unused_w=100, short_w={})


@pytest.mark.parametrize("wrong", [{"weight": 0}, {"floor_w": -1}, {"floor_w": 11}])
def test_a_claim_that_contradicts_itself_is_refused(wrong: dict[str, int]) -> None:
    """With its numbers."""
    with pytest.raises(ValueError, match=r"claim of 'a': weight = .*floor_w <= cap_w"):
        Claim(name="a", cap_w=10, **wrong)


# -- partners and their groups -----------------------------------------------------------------------------------------


def test_a_partner_claims_what_all_its_groups_can_take() -> None:
    """Up to its cap; a group that is not heard of takes nothing."""
    partners = [
        Partner(partner_id="a", weight=3, tier=1, groups=("m1", "m2")),
        Partner(partner_id="b", cap_w=1500, groups=("m3", "gone")),
    ]

    assert claims_of(partners, {"m1": 1000.7, "m2": 500.0, "m3": 9000.0}) == [
        Claim(name="a", weight=3, cap_w=1500, tier=1),
        Claim(name="b", cap_w=1500),
    ]


def test_no_watts_are_kept_for_machines_that_are_not_there() -> None:
    """A floor of 3 kW shrinks to the 2 kW that the partner's machines can take."""
    (claimed,) = claims_of([Partner(partner_id="a", floor_w=3000, groups=("m",))], {"m": 2000.0})

    assert (claimed.floor_w, claimed.cap_w) == (2000, 2000)


def test_within_a_partner_the_thriftiest_group_runs_first() -> None:
    """Fairness is between partners, efficiency within one; equals share by size; another's group gets nothing of it."""
    partners = [
        Partner(partner_id="a", groups=("old", "new", "new2")),
        Partner(partner_id="b", groups=("other",)),
    ]
    pools = [
        Pool(group_id="old", max_w=3000, joule_per_th=29.5),
        Pool(group_id="new", max_w=1000, joule_per_th=17.5),
        Pool(group_id="new2", max_w=2000, joule_per_th=17.5),
        Pool(group_id="other", max_w=5000),
    ]

    assert by_group(partners, {"a": 1500, "b": 700}, pools) == {
        "new": 500,
        "new2": 1000,
        "old": 0,
        "other": 700,
    }
    assert by_group(partners, {"a": 4000}, pools) == {"new": 1000, "new2": 2000, "old": 1000, "other": 0}


# -- cuts --------------------------------------------------------------------------------------------------------------


def test_the_largest_tier_gives_way_first_and_who_was_curtailed_most_last() -> None:
    """Per weight: 100 Wh of a partner of weight 4 are less than 50 Wh of one of weight 1."""
    claims = [claim("firm", tier=0), claim("big", weight=4), claim("small"), claim("spared")]

    assert shed_order(claims, {"big": 100.0, "small": 50.0}) == ["spared", "big", "small", "firm"]


def test_a_cut_touches_as_few_as_it_can() -> None:
    """The first in order gives all it has above its floor before the next loses a watt."""
    claims = [claim("a", floor_w=500), claim("b")]
    grants = {"a": 2000, "b": 2000}

    assert cut(grants, 1000.2, claims, ["a", "b"]) == Split(grants_w={"a": 999, "b": 2000}, short_w={})
    assert cut(grants, 2000, claims, ["a", "b"]).grants_w == {"a": 500, "b": 1500}


def test_a_cut_goes_below_floors_only_if_it_must() -> None:
    """Then it says by how much, and takes no more than there is."""
    claims = [claim("a", floor_w=500), claim("b")]

    assert cut({"a": 2000, "b": 2000}, 3800, claims, ["a", "b"]) == Split(
        grants_w={"a": 200, "b": 0}, short_w={"a": 300}
    )
    assert cut({"a": 2000, "b": 2000}, 9e9, claims, ["a", "b"]).grants_w == {"a": 0, "b": 0}


def test_a_cut_of_nothing_changes_nothing() -> None:
    """Nor does one below zero raise anybody; a floor that was missed before is not its doing."""
    claims = [claim("a", floor_w=500)]

    assert cut({"a": 300}, 0.0, claims, ["a"]) == Split(grants_w={"a": 300}, short_w={})
    assert cut({"a": 300}, -100.0, claims, ["a"]).grants_w == {"a": 300}
