"""How AI and mining share a surplus, mode by mode, with the sentence that says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.modes import (
    AiBlock,
    AiFirst,
    Division,
    DivisionCode,
    Mode,
    Revenue,
    Shares,
    Surplus,
    Threshold,
    divide,
)
from scheduler.core.partners import Partner, Price
from tests.builders import T0

MWH = 1_000_000


def partner(name: str, price: int | None = None, **changes: Any) -> Partner:
    """A partner of one group, and what it pays per MWh in whole units."""
    quoted = None if price is None else Price(micro_per_mwh=price * MWH, source="contract")
    return Partner(partner_id=name, groups=(f"{name}-miners",), price=quoted, **changes)


def block(watts: int, value: int | None = None) -> AiBlock:
    """AI work that brings so many whole units per MWh."""
    return AiBlock(watts=watts, micro_per_mwh=None if value is None else value * MWH)


def surplus(
    room_w: float, *, ai: int | tuple[AiBlock, ...] = 12_000, takes_w: float = 50_000, **changes: Any
) -> Surplus:
    """A surplus, AI that can use 12 kW of it, one partner."""
    partners = changes.pop("partners", (partner("p", 50),))
    return Surplus(
        room_w=room_w,
        ai=ai if isinstance(ai, tuple) else (block(ai, 90),),
        partners=partners,
        available_w={g: takes_w for p in partners for g in p.groups},
        at=T0,
        **changes,
    )


def watts(division: Division) -> tuple[int, int, int]:
    """AI's, mining's, nobody's."""
    return division.ai_w, division.mining_w, division.unused_w


def said(division: Division) -> list[tuple[str, str]]:
    """Its reasons."""
    return [(r.code, r.text) for r in division.reasons]


# -- ai-first ----------------------------------------------------------------------------------------------------------


def test_ai_takes_what_it_can_use_and_miners_the_rest() -> None:
    """Of 20 kW, 12 and 8."""
    division = divide(AiFirst(), surplus(20_000))

    assert watts(division) == (12_000, 8000, 0)
    assert said(division) == [
        (
            DivisionCode.DIVIDED,
            "AI comes first: it gets 12.0 of the 12.0 kW that it can use, mining 8.0 kW of the 8.0 kW left",
        )
    ]
    assert division.reasons[0].numbers == {
        "room_w": 20_000,
        "ai_w": 12_000,
        "ai_wanted_w": 12_000,
        "mining_w": 8000,
    }


def test_mining_goes_first_when_the_surplus_falls() -> None:
    """AI loses its first watt after mining has lost its last; a floor of mining does not stand against it."""
    partners = (partner("p", floor_w=3000),)
    division = divide(AiFirst(), surplus(12_500, partners=partners))

    assert watts(division) == (12_000, 500, 0)
    assert said(division)[1:] == [
        (
            DivisionCode.FLOOR_MISSED,
            "partner p gets 0.5 of the 3.0 kW of its floor: no more is left for mining",
        )
    ]
    assert watts(divide(AiFirst(), surplus(9000, partners=partners))) == (9000, 0, 0)


def test_what_neither_can_use_is_nobodys() -> None:
    """The miners are at their most."""
    assert watts(divide(AiFirst(), surplus(20_000, takes_w=5000))) == (12_000, 5000, 3000)


def test_a_fraction_of_a_watt_is_nobodys_and_a_surplus_below_zero_is_none() -> None:
    """Whole watts only."""
    assert watts(divide(AiFirst(), surplus(10.9))) == (10, 0, 0)
    assert watts(divide(AiFirst(), surplus(-10.0))) == (0, 0, 0)


# -- shares ------------------------------------------------------------------------------------------------------------


def test_mining_is_due_its_share() -> None:
    """30 % of 15 kW, though AI could use 12."""
    division = divide(Shares(mining=0.3), surplus(15_000))

    assert watts(division) == (10_500, 4500, 0)
    assert said(division)[0][1] == (
        "mining is due 30.0% of 15.0 kW and gets 4.5 kW, AI gets 10.5 of the 12.0 kW that it can use; what one cannot "
        "use is the other's"
    )


def test_an_unused_share_flows_over_both_ways() -> None:
    """Miners take what AI leaves beyond their share; AI takes what they cannot."""
    assert watts(divide(Shares(mining=0.3), surplus(20_000, ai=6000))) == (6000, 14_000, 0)
    assert watts(divide(Shares(mining=0.3), surplus(10_000, takes_w=1000))) == (9000, 1000, 0)


def test_floors_lift_a_small_share_but_not_over_firm_work() -> None:
    """10 % of 10 kW is less than the floor of 3 kW; firm work keeps its 8 kW all the same."""
    partners = (partner("p", floor_w=3000),)

    assert watts(divide(Shares(mining=0.1), surplus(10_000, partners=partners))) == (7000, 3000, 0)
    firm = surplus(10_000, partners=partners, ai_firm_w=8000)
    assert watts(divide(Shares(mining=0.1), firm)) == (8000, 2000, 0)
    assert watts(divide(Shares(mining=1.0), surplus(10_000, ai_firm_w=8000))) == (8000, 2000, 0)


# -- revenue -----------------------------------------------------------------------------------------------------------


def test_the_best_mwh_comes_first() -> None:
    """AI at 90, then a partner at 60, then AI at 50; the partner at 40 gets nothing of 10 kW."""
    partners = (partner("rich", 60, cap_w=4000), partner("poor", 40))
    ai = (block(3000, 90), block(5000, 50))
    division = divide(Revenue(), surplus(10_000, ai=ai, partners=partners))

    assert (division.ai_w, division.partners_w) == (6000, {"rich": 4000, "poor": 0})
    assert [r.code for r in division.reasons] == [DivisionCode.DIVIDED]
    assert division.reasons[0].text == (
        "the best MWh first: AI gets 6.0 of the 8.0 kW that it can use, mining 4.0 kW; the last watt goes to AI at "
        "50.00 per MWh"
    )


def test_a_credit_that_would_be_owed_counts() -> None:
    """45 and a credit of 10 are worth more than 50."""
    partners = (partner("a", 50), partner("b", 45, credit_micro_per_mwh=10 * MWH))

    assert divide(Revenue(), surplus(1000, ai=(), partners=partners)).partners_w == {"a": 0, "b": 1000}


def test_at_the_same_worth_ai_comes_before_mining_and_partners_share_by_weight() -> None:
    """AI takes its 4 kW, the rest is split two to one."""
    partners = (partner("a", 50, weight=2), partner("b", 50))
    division = divide(Revenue(), surplus(7000, ai=(block(4000, 50),), partners=partners))

    assert (division.ai_w, division.partners_w) == (4000, {"a": 2000, "b": 1000})


def test_firm_work_and_floors_come_before_the_ranking() -> None:
    """By contract, whatever they bring; a floor is part of what the ranking gives."""
    partners = (partner("a", 60), partner("b", 10, floor_w=2000))
    division = divide(Revenue(), surplus(10_000, ai=(block(6000, 20),), partners=partners, ai_firm_w=1000))

    assert (division.ai_w, division.partners_w) == (1000, {"a": 7000, "b": 2000})


def test_what_costs_more_than_it_brings_gets_nothing() -> None:
    """A price below zero: the watts stay unused."""
    assert watts(divide(Revenue(), surplus(5000, ai=(block(1000, -1),), partners=(partner("a", -5),)))) == (
        0,
        0,
        5000,
    )


@pytest.mark.parametrize(
    "changes, why",
    [
        (
            {"partners": (partner("p"),)},
            "partner p has no price",
        ),
        (
            {
                "partners": (
                    Partner(
                        partner_id="p",
                        groups=("p-miners",),
                        price=Price(micro_per_mwh=MWH, source="index.csv", as_of_at=T0 - timedelta(hours=30)),
                    ),
                )
            },
            "the price of partner p (index.csv) is 30.0 h old, and trusted for 24.0 h",
        ),
        (
            {"ai": (block(12_000),)},
            "the value of some AI work is not known",
        ),
    ],
)
def test_nothing_is_ranked_by_what_is_not_known(changes: dict[str, Any], why: str) -> None:
    """It says so, and divides as `ai-first` does."""
    division = divide(Revenue(), surplus(20_000, **changes))

    assert watts(division) == (12_000, 8000, 0)
    text = f"not ranked by revenue: {why}; AI comes first meanwhile"
    assert said(division)[0] == (DivisionCode.NOT_RANKED, text)
    assert said(division)[1][0] == DivisionCode.DIVIDED


def test_who_can_take_nothing_needs_no_price() -> None:
    """A partner whose machines are all away does not hold up the ranking."""
    partners = (partner("a", 60), partner("away"))
    there = Surplus(room_w=1000, partners=partners, available_w={"a-miners": 5000.0}, at=T0)

    assert [code for code, _ in said(divide(Revenue(), there))] == [DivisionCode.DIVIDED]


# -- threshold ---------------------------------------------------------------------------------------------------------


def test_below_the_threshold_all_is_ais() -> None:
    """Also what it cannot use."""
    division = divide(Threshold(from_w=15_000), surplus(14_999))

    assert watts(division) == (12_000, 0, 2999)
    assert said(division)[0][1] == "a surplus of 14.999 kW is below 15 kW: all of it is AI's"


def test_above_it_mining_takes_what_ai_and_the_reserve_leave() -> None:
    """Of 20 kW: 12, 6, and 2 for AI that comes."""
    division = divide(Threshold(from_w=15_000, reserve_w=2000), surplus(20_000))

    assert watts(division) == (12_000, 6000, 2000)
    assert said(division)[0][1] == (
        "a surplus of 20 kW reaches 15 kW: mining takes what AI's 12.0 kW and the reserve of 2.0 kW leave, 6.0 kW"
    )


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_modes_that_make_no_sense_are_refused() -> None:
    """With field, value and remedy."""
    with pytest.raises(ValueError, match=r"shares.mining = 30: give a part of the surplus, 0 to 1"):
        Shares(mining=30)
    with pytest.raises(ValueError, match=r"threshold: from_w = -1 W, reserve_w = 0 W; give 0 W or more"):
        Threshold(from_w=-1)


def test_ai_blocks_come_the_most_valuable_first() -> None:
    """Else a fill from the top would not be the best."""
    with pytest.raises(ValueError, match="sort them, the most valuable first"):
        surplus(1, ai=(block(1, 10), block(1, 20)))
    with pytest.raises(ValueError, match=r"watts = -1 is below 0"):
        block(-1)


@pytest.mark.parametrize("mode", [AiFirst(), Shares(mining=0.5), Revenue(), Threshold(from_w=0)])
def test_a_site_without_miners_leaves_the_rest_unused(mode: Mode) -> None:
    """And one without work mines nothing."""
    assert watts(divide(mode, surplus(20_000, partners=()))) == (12_000, 0, 8000)
