"""Mining partners: contradictions are refused with field, value and remedy; prices age; every miner has an owner."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.partners import HOUSE, Partner, Price, check_partners, with_house
from tests.builders import T0


def refusal(**changes: Any) -> str:
    """What is said about a partner that makes no sense."""
    with pytest.raises(ValueError, match="partner 'p'") as refused:
        Partner(partner_id="p", **changes)
    return str(refused.value)


def test_the_plainest_partner_takes_what_it_can_and_is_shed_first() -> None:
    """Weight one, no floor, no cap but its machines, tier 4, no price."""
    partner = Partner(partner_id="p")

    assert (partner.weight, partner.floor_w, partner.cap_w, partner.tier) == (1, 0, None, 4)
    assert partner.worth_micro_per_mwh is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"weight": 0}, "weight = 0: give a whole number of 1 or more"),
        ({"floor_w": -1}, "floor_w = -1 W is below 0"),
        ({"floor_w": 5, "cap_w": 4}, "cap_w = 4 W is below floor_w = 5 W; raise the cap or lower the floor"),
        ({"tier": 5}, "tier = 5: use 0 (shed last) to 4 (shed first)"),
        ({"credit_micro_per_mwh": -1}, "credit_micro_per_mwh = -1 is below 0"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    """The partner, the field, the value, and what to do."""
    assert words in refusal(**changes)


def test_a_mwh_is_worth_its_price_and_the_credit_that_is_not_owed() -> None:
    """40 are paid for it, and 5 would be owed for not giving it."""
    partner = Partner(
        partner_id="p",
        price=Price(micro_per_mwh=40_000_000, source="contract"),
        credit_micro_per_mwh=5_000_000,
    )

    assert partner.worth_micro_per_mwh == 45_000_000


def test_a_price_of_the_contract_never_ages() -> None:
    """It is as good after a year."""
    price = Price(micro_per_mwh=1, source="contract")

    assert price.age_s(T0 + timedelta(days=365)) == 0.0
    assert not price.is_stale(T0 + timedelta(days=365))


@pytest.mark.parametrize("age_s, stale", [(0, False), (3600, False), (3601, True), (-60, False), (-61, True)])
def test_a_price_is_stale_after_its_time_or_before_it(age_s: float, stale: bool) -> None:
    """Older than it may be, or dated later than clocks may differ."""
    price = Price(micro_per_mwh=1, source="index", as_of_at=T0, stale_after_s=3600)

    assert price.is_stale(T0 + timedelta(seconds=age_s)) is stale


def test_a_price_without_a_time_zone_or_a_life_is_refused() -> None:
    """Nobody could tell when it is stale."""
    with pytest.raises(ValueError, match="no time zone; write it in UTC"):
        Price(micro_per_mwh=1, source="index", as_of_at=T0.replace(tzinfo=None))
    with pytest.raises(ValueError, match="give more than 0"):
        Price(micro_per_mwh=1, source="index", stale_after_s=0)


def test_partners_that_fit_the_site_pass() -> None:
    """Each group is there, and has one owner."""
    check_partners(
        [Partner(partner_id="a", groups=("m1", "m2")), Partner(partner_id="b")], {"m1", "m2", "m3"}
    )


@pytest.mark.parametrize(
    "partners, words",
    [
        ([Partner(partner_id="a"), Partner(partner_id="a")], "two are called 'a'"),
        (
            [Partner(partner_id="a", groups=("m1",)), Partner(partner_id="b", groups=("m1",))],
            "'m1' is listed twice",
        ),
        ([Partner(partner_id="a", groups=("x",))], "'x' is no miner group of this site; use one of: m1, m2"),
    ],
)
def test_partners_that_do_not_fit_are_refused(partners: list[Partner], words: str) -> None:
    """Twice the same name, twice the same group, a group that is not there."""
    with pytest.raises(ValueError, match="partner") as refused:
        check_partners(partners, ["m2", "m1"])

    assert words in str(refused.value)


def test_miners_that_nobody_owns_are_the_sites_own() -> None:
    """With no partners at all, all of them."""
    owner = Partner(partner_id="a", groups=("m1",))

    assert with_house([owner], ["m1", "m3", "m2"]) == (owner, Partner(partner_id=HOUSE, groups=("m2", "m3")))
    assert with_house([], ["m1"]) == (Partner(partner_id=HOUSE, groups=("m1",)),)
    assert with_house([owner], ["m1"]) == (owner,)
