"""What a MWh costs a partner, and what is owed for one that it could not use."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.core.contracts import (
    CreditModel,
    DrPassthrough,
    FixedCredit,
    Hashing,
    HashpriceIndex,
    LostHashprice,
    NoCredit,
    NoPrice,
    PriceModel,
    ProfitShare,
    Quotes,
    SeriesPrice,
    credit_rate,
    price_rate,
)
from scheduler.core.partners import Price
from tests.settled import AT, S21, figures, fixed

DAY_AHEAD = Price(micro_per_mwh=40_000_001, source="day-ahead", as_of_at=AT)
KNOWN = Quotes(at=AT, figures=figures(), series={"dayahead": DAY_AHEAD})


@pytest.mark.parametrize(
    "model, micro",
    [
        (NoPrice(), 0),
        (fixed(52_500_000), 52_500_000),
        (SeriesPrice(series="dayahead", adder_micro=2_000_000), 42_000_001),
        (HashpriceIndex(hashing=S21, share_ppm=500_000, adder_micro=1), None),
        (ProfitShare(hashing=S21, share_ppm=500_000), None),
        (ProfitShare(hashing=S21, share_ppm=10_000, floor_micro=30_000_000), 30_000_000),
    ],
)
def test_a_price_is_reckoned_by_its_model(model: PriceModel, micro: int | None) -> None:
    """From what is known; by hashprice it is the same as the core's own formula says."""
    rate = price_rate(model, KNOWN)
    assert rate.why == ""
    if micro is not None:
        assert rate.micro_per_mwh == micro
    else:
        revenue = figures().hashprice_micro * 1000 / (24 * 17.5)
        assert rate.micro_per_mwh == pytest.approx(revenue / 2, abs=2)
        assert {"difficulty", "btc_micro", "mj_per_th", "share_ppm"} <= {i.name for i in rate.inputs}
        assert {i.source for i in rate.inputs} == {"contract", "figures.csv"}


@pytest.mark.parametrize(
    "model, micro",
    [
        (NoCredit(), 0),
        (FixedCredit(micro_per_mwh=7), 7),
        (DrPassthrough(series="dayahead", share_ppm=500_000), 20_000_000),
        (LostHashprice(hashing=S21, share_ppm=0), 0),
    ],
)
def test_a_credit_is_reckoned_by_its_model(model: CreditModel, micro: int) -> None:
    """Rounded down to the micro-unit, where it is a share."""
    assert credit_rate(model, KNOWN).micro_per_mwh == micro


@pytest.mark.parametrize(
    "quotes, why",
    [
        (Quotes(at=AT), "no figures of the chain"),
        (Quotes(at=AT + timedelta(days=2), figures=figures()), "are 172800 s old, trusted for 86400 s"),
        (Quotes(at=AT - timedelta(days=2), figures=figures()), "old"),
    ],
)
def test_what_lacks_its_figures_has_no_price(quotes: Quotes, why: str) -> None:
    """Missing ones, stale ones and ones from later: it says so, and guesses nothing."""
    for rate in (
        price_rate(ProfitShare(hashing=S21, share_ppm=1, floor_micro=30), quotes),
        credit_rate(LostHashprice(hashing=S21), quotes),
    ):
        assert rate.micro_per_mwh is None
        assert why in rate.why


def test_a_series_without_a_fresh_value_has_no_price() -> None:
    """Nor has a price of the site file that is out of date."""
    stale = Quotes(at=AT + timedelta(days=2), series={"dayahead": DAY_AHEAD})
    for quotes in (Quotes(at=AT), stale):
        assert price_rate(SeriesPrice(series="dayahead"), quotes).micro_per_mwh is None
        assert credit_rate(DrPassthrough(series="dayahead", share_ppm=1), quotes).micro_per_mwh is None


@pytest.mark.parametrize("wrong", [{"mj_per_th": 0}, {"mj_per_th": 1, "pool_fee_ppm": 1_000_001}])
def test_machines_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    """With the field and the remedy."""
    with pytest.raises(ValueError, match="give"):
        Hashing(**wrong)


def test_nobody_pays_for_having_been_curtailed() -> None:
    """Where the price that is passed on is below zero, the credit is nothing; a charge may be below it."""
    price = Price(micro_per_mwh=-40_000_001, source="day-ahead.csv")
    quotes = Quotes(at=AT, series={"dayahead": price})
    credit = credit_rate(DrPassthrough(series="dayahead", share_ppm=500_000), quotes)
    assert (credit.micro_per_mwh, credit.inputs[0].value) == (0, -40_000_001)
    assert price_rate(SeriesPrice(series="dayahead"), quotes).micro_per_mwh == -40_000_001
