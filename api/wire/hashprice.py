"""What mining brings, on the wire. Money is whole micro-units of the site's currency."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from api.wire.power_events import MAX_PAGE, PowerEventQuery
from api.wire.signals import Instant
from barq.request import Text
from scheduler.core.chain_news import MOST_BTC_MICRO, MOST_DIFFICULTY, MOST_FEES_SAT

__all__ = [
    "MAX_PAGE",
    "FiguresQuery",
    "FiguresTold",
    "FiguresView",
    "HashpriceQuery",
    "HashpriceView",
    "NewFigures",
]

_FIGURES: Final[dict[str, Any]] = {
    "number": 12,
    "as_of_at": "2026-03-01T13:00:00Z",
    "told_at": "2026-03-01T13:02:11Z",
    "origin": "operator",
    "by": "dana",
    "source": "desk",
    "btc_micro": 91_000_000_000,
    "difficulty": 152_000_000_000_000,
    "height": 925_000,
    "fees_sat": 3_000_000,
    "subsidy_sat": 312_500_000,
    "hashprice_micro": 38_000_000,
    "stale_after_s": 86_400.0,
    "corrects": False,
}
_EARNS: Final[dict[str, Any]] = {
    "name": "miners-north",
    "draw_w": 34_000.0,
    "joule_per_th": 17.6,
    "known_share": 1.0,
    "micro_per_mwh": 88_200_000,
    "why": None,
}
_PARTNER: Final[dict[str, Any]] = {
    **_EARNS,
    "name": "north",
    "pool_fee": 0.02,
    "pool_scheme": "fpps",
    "follows": True,
    "groups": [{**_EARNS, "machines": None}],
}


class HashpriceQuery(Sent):
    """How much to show."""

    model_config = ConfigDict(strict=False)  # a query is text

    machines: bool = Field(default=False, description="Each machine too")


class FiguresQuery(PowerEventQuery):
    """Which figures to list, by their date. Times carry their zone: `2026-03-01T13:00:00Z`."""


class NewFigures(Sent):
    """Figures that a person tells. They have to be able to follow from those that are known, or to `corrects` them."""

    model_config = ConfigDict(
        json_schema_extra=example(
            btc_micro=91_000_000_000,
            difficulty=152_000_000_000_000,
            height=925_000,
            fees_sat=3_000_000,
            source="desk",
        )
    )

    btc_micro: int = Field(ge=1, le=MOST_BTC_MICRO, description="Price of a bitcoin in the site's currency")
    difficulty: int = Field(ge=1, le=MOST_DIFFICULTY)
    height: int = Field(ge=0, le=10**9, description="Of the chain: decides the subsidy")
    fees_sat: int = Field(ge=0, le=MOST_FEES_SAT, description="Mean fees of a block")
    source: Annotated[Text, Field(min_length=1, max_length=200)] = Field(
        description="Where they are from: document, address, person"
    )
    as_of_at: Instant | None = Field(None, description="Their date; absent = now")
    corrects: bool = Field(
        default=False, description="Those that are known are wrong: these need not follow from them"
    )


class FiguresView(Shown):
    """Figures as they were written down, and what follows from them."""

    model_config = ConfigDict(json_schema_extra=example(**_FIGURES))

    number: int
    as_of_at: datetime
    told_at: datetime
    origin: str = Field(description='Name of the source in the site file, or "operator"')
    by: str | None = Field(description="The person; null = a source")
    source: str = Field(description="On whose word: document, address, person")
    btc_micro: int
    difficulty: int
    height: int
    fees_sat: int
    subsidy_sat: int = Field(description="New coins of a block at this height")
    hashprice_micro: int = Field(description="What a PH/s brings in a day, before the pool's fee")
    stale_after_s: float
    corrects: bool


class FiguresTold(Shown):
    """A page of the series, what was told last first."""

    model_config = ConfigDict(json_schema_extra=example(figures=[_FIGURES], next="bnVtYmVyOjEy"))

    figures: list[FiguresView]
    next: str | None = Field(description="Where to go on: `after` of the next request; null at the end")


class PerMwhView(Shown):
    """What a MWh brings at one efficiency, before the pool's fee."""

    joule_per_th: float
    micro_per_mwh: int | None = Field(description="Null while figures are stale or missing")


class EarnsView(Shown):
    """What a MWh brings to a machine or fleet, by its efficiency as measured and weighed by watts, after the fee."""

    model_config = ConfigDict(json_schema_extra=example(**_EARNS))

    name: str
    draw_w: float
    joule_per_th: float | None = Field(description="Null = not measured")
    known_share: float = Field(description="Of its watts, those of machines that tell their efficiency")
    micro_per_mwh: int | None
    why: str | None = Field(description="Why that cannot be said")


class FleetEarnsView(EarnsView):
    """One miner group."""

    model_config = ConfigDict(json_schema_extra=example(**_EARNS, machines=None))

    machines: list[EarnsView] | None = Field(None, description="Null unless asked for")


class PartnerEarnsView(EarnsView):
    """One partner."""

    model_config = ConfigDict(json_schema_extra=example(**_PARTNER))

    pool_fee: float = Field(description="Part that the pool keeps")
    pool_scheme: str | None
    follows: bool = Field(description="Its price is a part of what hashing brings")
    groups: list[FleetEarnsView]


class HashpriceView(Shown):
    """What mining brings now, on whose word, and how old that is."""

    model_config = ConfigDict(
        json_schema_extra=example(
            at="2026-03-01T14:00:00Z",
            figures=_FIGURES,
            age_s=3600.0,
            is_stale=False,
            why=None,
            per_mwh=[{"joule_per_th": 17.5, "micro_per_mwh": 90_480_000}],
            read_at="2026-03-01T13:59:30Z",
            partners=[_PARTNER],
        )
    )

    at: datetime
    figures: FiguresView | None = Field(description="Null before anybody told any")
    age_s: float | None
    is_stale: bool = Field(description="Nothing is reckoned or ranked by them")
    why: str | None = Field(description="Why nothing is")
    per_mwh: list[PerMwhView]
    read_at: datetime | None = Field(description="When the machines were read; null = not yet")
    partners: list[PartnerEarnsView]
