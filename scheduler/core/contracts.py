"""Contracts with mining partners: what a MWh costs them, and what the site owes for one that they could not use.

Money is in whole micro-units of the site's currency, energy in whole watt-seconds. The one rule of rounding: an amount
of an interval is `energy x rate / 3.6e9`, to the nearest micro-unit, half of one away from zero. Rates that come from
others (hashprice, a share of a price) are whole micro-units per MWh, rounded down before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from scheduler.core.curtailment import Cause
from scheduler.core.hashprice import ChainFigures
from scheduler.core.partners import Price

WS_PER_MWH: Final = 3_600_000_000
PPM: Final = 1_000_000
EXCUSED: Final = frozenset({Cause.PARTNER_REQUEST, Cause.COMMS_LOSS, Cause.FAULT})
"""Causes for which no credit is owed, unless the contract says otherwise."""


class Metering(StrEnum):
    """What stands behind the draw that a partner's groups report."""

    METERED = "metered"  #: a meter of its own
    PDU = "pdu"
    MINER_REPORTED = "miner_reported"  #: the machines say so themselves: 5 to 20 % off


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """Which machines revenue is reckoned for, and what the pool keeps. Raises ValueError."""

    mj_per_th: int  #: mJ/TH by contract: 17,500 = 17.5 J/TH
    pool_fee_ppm: int = 0

    def __post_init__(self) -> None:
        if self.mj_per_th < 1:
            raise ValueError(f"mj_per_th = {self.mj_per_th}: give the efficiency by contract, above 0")
        if not 0 <= self.pool_fee_ppm <= PPM:
            raise ValueError(f"pool_fee_ppm = {self.pool_fee_ppm}: give 0 to {PPM}")

    def micro_per_mwh(self, figures: ChainFigures) -> int:
        """What a MWh brings these machines, rounded down."""
        kept = figures.hashprice_micro * (PPM - self.pool_fee_ppm) // PPM
        return kept * 1_000_000 // (24 * self.mj_per_th)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPrice:
    """Energy is not charged for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPrice:
    """The same for every MWh."""

    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPrice:
    """A named series of prices, and what is added to it."""

    series: str
    adder_micro: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HashpriceIndex:
    """A share of what a MWh brings by hashprice, and what is added to it."""

    hashing: Hashing
    share_ppm: int = PPM
    adder_micro: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitShare:
    """A share of what a MWh brings by hashprice, and no less than a floor."""

    hashing: Hashing
    share_ppm: int
    floor_micro: int = 0


PriceModel = NoPrice | FixedPrice | SeriesPrice | HashpriceIndex | ProfitShare


@dataclass(frozen=True, slots=True, kw_only=True)
class NoCredit:
    """Nothing is owed for a MWh that could not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCredit:
    """The same for every MWh that could not be used."""

    micro_per_mwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostHashprice:
    """A share of what the MWh would have brought by hashprice."""

    hashing: Hashing
    share_ppm: int = PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class DrPassthrough:
    """A share of what the site is paid for the reduction, by a named series of prices."""

    series: str
    share_ppm: int


CreditModel = NoCredit | FixedCredit | LostHashprice | DrPassthrough


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A contract, as far as it is settled by. Raises ValueError that names field, value and remedy."""

    partner_id: str
    price: PriceModel = NoPrice()
    credit: CreditModel = NoCredit()
    credit_cap_micro: int | None = None  #: of a calendar month in UTC; None = no cap
    excused: frozenset[Cause] = EXCUSED
    max_curtailed_s: int | None = None  #: of a month, not excused; None = any number
    notice_s: int = 0  #: that is due before a curtailment; shown, and judged by people
    metering: Metering = Metering.MINER_REPORTED

    def __post_init__(self) -> None:
        if self.credit_cap_micro is not None and self.credit_cap_micro < 0:
            raise ValueError(f"credit_cap_micro = {self.credit_cap_micro}: give 0 or more, or no cap")

    @property
    def series(self) -> frozenset[str]:
        """Names of the price series that it is settled by."""
        models = (self.price, self.credit)
        return frozenset(m.series for m in models if isinstance(m, SeriesPrice | DrPassthrough))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """What is known of prices for one interval, and since when. Whether it may be used, `rate_of` says."""

    at: datetime
    figures: ChainFigures | None = None
    series: Mapping[str, Price] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceInput:
    """One number that went into a rate, on whose word and since when."""

    name: str
    value: int
    source: str
    as_of_at: datetime | None = None  #: None = by contract: it does not age


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Micro-units per MWh, with all that it was made of. None = it cannot be known; `why` says what lacks."""

    micro_per_mwh: int | None
    formula: str
    inputs: tuple[PriceInput, ...] = ()
    why: str = ""


def amount_micro(energy_ws: int, micro_per_mwh: int) -> int:
    """What so much energy comes to: to the nearest micro-unit, half of one away from zero."""
    product = energy_ws * micro_per_mwh
    rounded = (2 * abs(product) + WS_PER_MWH) // (2 * WS_PER_MWH)
    return rounded if product >= 0 else -rounded


def price_rate(model: PriceModel, quotes: Quotes) -> Rate:
    """What a MWh costs."""
    match model:
        case NoPrice():
            return Rate(micro_per_mwh=0, formula="not charged for")
        case FixedPrice(price=price):
            return _of_price(price, quotes.at, "price_per_mwh", "price_per_mwh")
        case SeriesPrice(series=series, adder_micro=adder):
            return _of_series(series, quotes, PPM, adder, f"{series} + adder")
        case HashpriceIndex(hashing=hashing, share_ppm=share, adder_micro=adder):
            return _of_hashing(hashing, quotes, share, adder, None)
        case ProfitShare(hashing=hashing, share_ppm=share, floor_micro=floor):
            return _of_hashing(hashing, quotes, share, 0, floor)
    assert_never(model)


def credit_rate(model: CreditModel, quotes: Quotes) -> Rate:
    """What is owed for a MWh that could not be used and is not excused."""
    match model:
        case NoCredit():
            return Rate(micro_per_mwh=0, formula="no credit")
        case FixedCredit(micro_per_mwh=micro):
            given = PriceInput(name="credit_per_mwh", value=micro, source="contract")
            return Rate(micro_per_mwh=micro, formula="credit_per_mwh", inputs=(given,))
        case LostHashprice(hashing=hashing, share_ppm=share):
            return _of_hashing(hashing, quotes, share, 0, None)
        case DrPassthrough(series=series, share_ppm=share):
            return _at_least_nothing(_of_series(series, quotes, share, 0, f"{series} x share, at least 0"))
    assert_never(model)


def _at_least_nothing(rate: Rate) -> Rate:
    """Nobody pays for having been curtailed, whatever a price is."""
    known = rate.micro_per_mwh
    return rate if known is None or known >= 0 else replace(rate, micro_per_mwh=0)


def _of_price(price: Price, at: datetime, name: str, formula: str) -> Rate:
    given = PriceInput(name=name, value=price.micro_per_mwh, source=price.source, as_of_at=price.as_of_at)
    if price.is_stale(at):
        why = (
            f"{name} ({price.source}) is {price.age_s(at):.0f} s old, trusted for {price.stale_after_s:.0f} s"
        )
        return Rate(micro_per_mwh=None, formula=formula, inputs=(given,), why=why)
    return Rate(micro_per_mwh=price.micro_per_mwh, formula=formula, inputs=(given,))


def _of_series(series: str, quotes: Quotes, share_ppm: int, adder_micro: int, formula: str) -> Rate:
    price = quotes.series.get(series)
    if price is None:
        return Rate(micro_per_mwh=None, formula=formula, why=f"the price series {series} has no value then")
    found = _of_price(price, quotes.at, series, formula)
    if found.micro_per_mwh is None:
        return found
    micro = found.micro_per_mwh * share_ppm // PPM + adder_micro
    return Rate(
        micro_per_mwh=micro,
        formula=formula,
        inputs=(*found.inputs, *_by_contract(share_ppm=share_ppm, adder_micro=adder_micro)),
    )


def _of_hashing(
    hashing: Hashing, quotes: Quotes, share_ppm: int, adder_micro: int, floor_micro: int | None
) -> Rate:
    formula = "hashing revenue x share" + (" + adder" if floor_micro is None else ", at least the floor")
    figures = quotes.figures
    if figures is None:
        return Rate(micro_per_mwh=None, formula=formula, why="no figures of the chain are known for then")
    inputs = (
        *_by_contract(
            mj_per_th=hashing.mj_per_th,
            pool_fee_ppm=hashing.pool_fee_ppm,
            share_ppm=share_ppm,
            **({"adder_micro": adder_micro} if floor_micro is None else {"floor_micro": floor_micro}),
        ),
        *_of_chain(figures),
    )
    if figures.is_stale(quotes.at):
        age_s, most_s = figures.age_s(quotes.at), figures.stale_after_s
        why = f"the chain's figures ({figures.source}) are {age_s:.0f} s old, trusted for {most_s:.0f} s"
        return Rate(micro_per_mwh=None, formula=formula, inputs=inputs, why=why)
    micro = hashing.micro_per_mwh(figures) * share_ppm // PPM + adder_micro
    micro = micro if floor_micro is None else max(floor_micro, micro)
    return Rate(micro_per_mwh=micro, formula=formula, inputs=inputs)


def _by_contract(**values: int) -> tuple[PriceInput, ...]:
    return tuple(PriceInput(name=name, value=value, source="contract") for name, value in values.items())


def _of_chain(figures: ChainFigures) -> tuple[PriceInput, ...]:
    values = {
        "btc_micro": figures.btc_micro,
        "difficulty": figures.difficulty,
        "height": figures.height,
        "fees_sat": figures.fees_sat,
        "hashprice_micro": figures.hashprice_micro,
    }
    return tuple(
        PriceInput(name=name, value=value, source=figures.source, as_of_at=figures.as_of_at)
        for name, value in values.items()
    )
