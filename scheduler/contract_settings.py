"""What a site file says of a mining partner's contract: `contract:` of a partner. docs/settlement.md says more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from scheduler.core.contracts import (
    EXCUSED,
    CreditModel,
    DrPassthrough,
    FixedCredit,
    FixedPrice,
    Hashing,
    HashpriceIndex,
    LostHashprice,
    Metering,
    NoCredit,
    NoPrice,
    PriceModel,
    ProfitShare,
    SeriesPrice,
    Terms,
)
from scheduler.core.curtailment import Cause
from scheduler.core.partners import Partner, Price
from scheduler.revenue_settings import Money, Part, micro, ppm
from scheduler.strict import Strict

Owed = Annotated[Money, Field(ge=0)]
SeriesName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _OfHashing(Strict):
    """What is reckoned from the chain's figures, for machines as the contract has them."""

    joule_per_th: Annotated[Decimal, Field(gt=0, le=1000, decimal_places=3)]
    pool_fee: Part = Decimal(0)

    def hashing(self) -> Hashing:
        """As the core knows it."""
        return Hashing(mj_per_th=int(self.joule_per_th * 1000), pool_fee_ppm=ppm(self.pool_fee))


class NoPriceSettings(Strict):
    """Energy is not charged for."""

    type: Literal["none"]

    def model(self) -> PriceModel:
        """As the core knows it."""
        return NoPrice()


class FixedPriceSettings(Strict):
    """The same for every MWh."""

    type: Literal["fixed"]
    per_mwh: Money

    def model(self) -> PriceModel:
        """As the core knows it."""
        return FixedPrice(price=Price(micro_per_mwh=micro(self.per_mwh), source="contract"))


class SeriesPriceSettings(Strict):
    """A named series of prices and an adder."""

    type: Literal["series"]
    series: SeriesName
    adder_per_mwh: Money = Decimal(0)

    def model(self) -> PriceModel:
        """As the core knows it."""
        return SeriesPrice(series=self.series, adder_micro=micro(self.adder_per_mwh))


class HashpriceSettings(_OfHashing):
    """A share of what a MWh brings by hashprice, and an adder."""

    type: Literal["hashprice"]
    share: Part = Decimal(1)
    adder_per_mwh: Money = Decimal(0)

    def model(self) -> PriceModel:
        """As the core knows it."""
        return HashpriceIndex(
            hashing=self.hashing(),
            share_ppm=ppm(self.share),
            adder_micro=micro(self.adder_per_mwh),
        )


class ProfitShareSettings(_OfHashing):
    """A share of what a MWh brings by hashprice, and no less than a floor."""

    type: Literal["profit_share"]
    share: Part
    floor_per_mwh: Money = Decimal(0)

    def model(self) -> PriceModel:
        """As the core knows it."""
        return ProfitShare(
            hashing=self.hashing(), share_ppm=ppm(self.share), floor_micro=micro(self.floor_per_mwh)
        )


PriceSettings = Annotated[
    NoPriceSettings | FixedPriceSettings | SeriesPriceSettings | HashpriceSettings | ProfitShareSettings,
    Field(discriminator="type"),
]


class NoCreditSettings(Strict):
    """Nothing is owed."""

    type: Literal["none"]

    def model(self) -> CreditModel:
        """As the core knows it."""
        return NoCredit()


class FixedCreditSettings(Strict):
    """The same for every MWh that could not be used."""

    type: Literal["fixed"]
    per_mwh: Owed

    def model(self) -> CreditModel:
        """As the core knows it."""
        return FixedCredit(micro_per_mwh=micro(self.per_mwh))


class LostHashpriceSettings(_OfHashing):
    """A share of what the MWh would have brought."""

    type: Literal["lost_hashprice"]
    share: Part = Decimal(1)

    def model(self) -> CreditModel:
        """As the core knows it."""
        return LostHashprice(hashing=self.hashing(), share_ppm=ppm(self.share))


class DrPassthroughSettings(Strict):
    """A share of what the site is paid for the reduction."""

    type: Literal["dr_passthrough"]
    series: SeriesName
    share: Part

    def model(self) -> CreditModel:
        """As the core knows it."""
        return DrPassthrough(series=self.series, share_ppm=ppm(self.share))


CreditSettings = Annotated[
    NoCreditSettings | FixedCreditSettings | LostHashpriceSettings | DrPassthroughSettings,
    Field(discriminator="type"),
]


class ContractSettings(Strict):
    """What a partner is settled by. What is left out is as `price_per_mwh` and `credit_per_mwh` say."""

    price: PriceSettings | None = None
    credit: CreditSettings | None = None
    credit_cap_per_month: Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=6)] | None = None
    max_curtailed_h_per_month: Annotated[float, Field(gt=0, le=744, allow_inf_nan=False)] | None = None
    notice_s: Annotated[int, Field(ge=0, le=10**7)] = 0
    excused: tuple[Cause, ...] = tuple(sorted(EXCUSED))
    metering: Metering = Metering.MINER_REPORTED

    def terms(self, partner: Partner) -> Terms:
        """As the core knows it; `partner` has the short form of the prices. Raises ValueError."""
        cap, hours = self.credit_cap_per_month, self.max_curtailed_h_per_month
        return Terms(
            partner_id=partner.partner_id,
            price=self.price.model() if self.price is not None else _short_price(partner),
            credit=self.credit.model() if self.credit is not None else _short_credit(partner),
            credit_cap_micro=None if cap is None else micro(cap),
            excused=frozenset(self.excused),
            max_curtailed_s=None if hours is None else round(hours * 3600),
            notice_s=self.notice_s,
            metering=self.metering,
        )


class PriceSeriesSettings(Strict):
    """A named series of prices per MWh: a CSV file in which each row holds from its time to the next."""

    name: SeriesName
    path: Annotated[str, Field(min_length=1, max_length=500)]
    time_column: str = "time"
    value_column: str = "price_per_mwh"
    zone: str | None = None  #: of times that name none
    stale_after_s: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 3600.0


def check_series(contracts: Iterable[Terms], series: Sequence[PriceSeriesSettings]) -> None:
    """That names are unique, and each series that a contract names is there. Raises ValueError."""
    names = [s.name for s in series]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"price_series: two are called {twice!r}; give each a name of its own")
    for terms in contracts:
        if unknown := sorted(terms.series - set(names)):
            known = f"use one of {', '.join(names)}" if names else "add it to price_series"
            raise ValueError(
                f"partner {terms.partner_id!r}: contract.series: {unknown[0]!r} is not there; {known}"
            )


def _short_price(partner: Partner) -> PriceModel:
    if partner.follows is not None:
        raise ValueError(
            f"partner {partner.partner_id!r}: contract.price: is missing: that its price follows hashprice ranks it "
            "by what its machines do; say what it is charged by, such as {type: hashprice, joule_per_th: 25}"
        )
    return NoPrice() if partner.price is None else FixedPrice(price=partner.price)


def _short_credit(partner: Partner) -> CreditModel:
    owed_micro = partner.credit_micro_per_mwh
    return FixedCredit(micro_per_mwh=owed_micro) if owed_micro else NoCredit()
