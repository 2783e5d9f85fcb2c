"""Named series of prices from files, and contracts as site files say them."""

from __future__ import annotations

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scheduler.contract_settings import ContractSettings, PriceSeriesSettings, check_series
from scheduler.core.contracts import (
    EXCUSED,
    DrPassthrough,
    FixedCredit,
    FixedPrice,
    Hashing,
    HashpriceIndex,
    LostHashprice,
    Metering,
    NoCredit,
    NoPrice,
    ProfitShare,
    SeriesPrice,
)
from scheduler.core.curtailment import Cause
from scheduler.core.partners import Partner
from scheduler.errors import SignalError
from scheduler.price_files import SitePrices
from scheduler.sharing import PartnerSettings
from tests.settled import AT, S21, figures

DAY_AHEAD = PriceSeriesSettings(name="day-ahead", path="prices.csv")
TEXT = "time,price_per_mwh\n2026-10-01T00:00Z,52.5\n2026-10-01T01:00Z,-3.000001\n"


def prices(folder: Path, text: str = TEXT) -> SitePrices:
    """The series from a file with this text."""
    (folder / "prices.csv").write_text(text, "utf-8")
    return SitePrices((DAY_AHEAD,), folder, figures=figures)


def test_a_row_holds_until_the_next(tmp_path: Path) -> None:
    """With the file and its hash as the source; before the first nothing is known, long after the last it is old."""
    site = prices(tmp_path)
    first, second = (site.price_at("day-ahead", AT + timedelta(minutes=m)) for m in (59, 60))
    assert first is not None
    assert second is not None
    assert (first.micro_per_mwh, second.micro_per_mwh) == (52_500_000, -3_000_001)
    assert first.source.startswith("prices.csv (SHA-256 ")
    assert (first.as_of_at, first.is_stale(AT + timedelta(minutes=59))) == (AT, False)
    assert second.is_stale(AT + timedelta(hours=3))
    assert site.price_at("day-ahead", AT - timedelta(seconds=1)) is None
    assert site.price_at("other", AT) is None
    assert site.figures_at(AT) == figures()


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    """And only then."""
    site = prices(tmp_path)
    assert site.price_at("day-ahead", AT) is not None
    prices(tmp_path, TEXT.replace("52.5", "60"))
    os.utime(tmp_path / "prices.csv", ns=(1, 1))
    found = site.price_at("day-ahead", AT)
    assert found is not None
    assert found.micro_per_mwh == 60_000_000


@pytest.mark.parametrize(
    "text,told",
    [
        (TEXT.replace("52.5", "much"), "line 2: price: 'much' is no price per MWh"),
        (TEXT.replace("52.5", "1e9"), "line 2: price"),
        ("time,other\n2026-10-01T00:00Z,1\n", "there is no column 'price_per_mwh'"),
        (None, "No such file"),
    ],
)
def test_a_file_that_makes_no_sense_gives_no_price(tmp_path: Path, text: str | None, told: str) -> None:
    """And it is said where and why: it may be put right."""
    site = prices(tmp_path, text or TEXT)
    if text is None:
        (tmp_path / "prices.csv").unlink()
    with pytest.raises(SignalError) as unread:
        site.price_at("day-ahead", AT)
    assert told in str(unread.value)


PLAIN = Partner(partner_id="north")
HASHED: dict[str, Any] = {"joule_per_th": Decimal("17.5"), "pool_fee": Decimal("0.02")}
FEED = Hashing(mj_per_th=17_500, pool_fee_ppm=20_000)


@pytest.mark.parametrize(
    "price,credit,models",
    [
        ({"type": "none"}, {"type": "none"}, (NoPrice(), NoCredit())),
        (
            {"type": "series", "series": "day-ahead", "adder_per_mwh": Decimal("1.5")},
            {"type": "dr_passthrough", "series": "day-ahead", "share": Decimal("0.8")},
            (
                SeriesPrice(series="day-ahead", adder_micro=1_500_000),
                DrPassthrough(series="day-ahead", share_ppm=800_000),
            ),
        ),
        (
            {"type": "hashprice", "share": Decimal("0.6"), **HASHED},
            {"type": "lost_hashprice", "joule_per_th": Decimal("17.5")},
            (HashpriceIndex(hashing=FEED, share_ppm=600_000), LostHashprice(hashing=S21)),
        ),
        (
            {"type": "profit_share", "share": Decimal("0.5"), "floor_per_mwh": Decimal(30), **HASHED},
            {"type": "fixed", "per_mwh": Decimal(5)},
            (
                ProfitShare(hashing=FEED, share_ppm=500_000, floor_micro=30_000_000),
                FixedCredit(micro_per_mwh=5_000_000),
            ),
        ),
    ],
)
def test_a_contract_is_what_the_site_file_says(
    price: dict[str, Any], credit: dict[str, Any], models: tuple[object, object]
) -> None:
    """To the micro-unit and the millionth."""
    terms = ContractSettings.model_validate({"price": price, "credit": credit}).terms(PLAIN)
    assert (terms.price, terms.credit) == models


def test_the_short_form_is_a_fixed_price_and_a_fixed_credit() -> None:
    """Of a partner without a contract; with neither it is charged nothing and owed nothing."""
    short = PartnerSettings(
        name="north", groups=("a",), price_per_mwh=Decimal("52.5"), credit_per_mwh=Decimal(5)
    ).terms()
    assert isinstance(short.price, FixedPrice)
    assert short.price.price.micro_per_mwh == 52_500_000
    assert short.credit == FixedCredit(micro_per_mwh=5_000_000)
    assert (short.excused, short.metering) == (EXCUSED, Metering.MINER_REPORTED)
    bare = PartnerSettings(name="south", groups=("b",)).terms()
    assert (bare.price, bare.credit) == (NoPrice(), NoCredit())


def test_the_rest_of_a_contract_is_kept() -> None:
    """Cap, hours, notice, what is excused, what stands behind the draw."""
    told = {"credit_cap_per_month": Decimal(4000), "max_curtailed_h_per_month": 1.5, "notice_s": 600}
    made = ContractSettings(**told, excused=(Cause.FAULT,), metering=Metering.PDU).terms(PLAIN)
    assert (made.credit_cap_micro, made.max_curtailed_s, made.notice_s) == (4_000_000_000, 5400, 600)
    assert (made.excused, made.metering) == (frozenset({Cause.FAULT}), Metering.PDU)


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": {"type": "fixed"}},
        {"price": {"type": "profit_share", "share": Decimal("1.5"), "joule_per_th": Decimal(17)}},
        {"credit": {"type": "fixed", "per_mwh": Decimal(-1)}},
        {"credit_cap_per_month": Decimal(-1)},
        {"excused": ("weather",)},
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """When the site file is read."""
    with pytest.raises(ValidationError):
        ContractSettings.model_validate(wrong)


def test_a_series_that_is_not_there_is_refused() -> None:
    """With those that are; and so are two of one name."""
    contract = ContractSettings.model_validate({"price": {"type": "series", "series": "spot"}}).terms(PLAIN)
    check_series([contract], [DAY_AHEAD.model_copy(update={"name": "spot"})])
    with pytest.raises(ValueError, match="'spot' is not there; use one of day-ahead"):
        check_series([contract], [DAY_AHEAD])
    with pytest.raises(ValueError, match="add it to price_series"):
        check_series([contract], [])
    with pytest.raises(ValueError, match="two are called 'day-ahead'"):
        check_series([], [DAY_AHEAD, DAY_AHEAD])
