"""What the API shows of what mining brings. As `barq.views`; money is micro-units of the site's currency."""

from __future__ import annotations

from typing import TypedDict


class FiguresView(TypedDict):
    """Figures of the chain, on whose word and since when."""

    number: int
    as_of_at: str
    told_at: str
    origin: str
    by: str | None
    source: str
    btc_micro: int
    difficulty: int
    height: int
    fees_sat: int
    subsidy_sat: int
    hashprice_micro: int
    stale_after_s: float
    corrects: bool


class FiguresPage(TypedDict):
    """A page of them, what was told last first."""

    figures: list[FiguresView]
    next: str | None


class PerMwhView(TypedDict):
    """What a MWh brings at one efficiency; None = nobody can say now."""

    joule_per_th: float
    micro_per_mwh: int | None


class EarnsView(TypedDict):
    """What a MWh brings to a machine or fleet, or why nobody can say."""

    name: str
    draw_w: float
    joule_per_th: float | None
    known_share: float
    micro_per_mwh: int | None
    why: str | None


class FleetEarnsView(EarnsView):
    """A miner group; its machines where they were asked for."""

    machines: list[EarnsView] | None


class PartnerEarnsView(EarnsView):
    """A partner, and where it hashes."""

    pool_fee: float
    pool_scheme: str | None
    follows: bool
    groups: list[FleetEarnsView]


class HashpriceView(TypedDict):
    """What mining brings now."""

    at: str
    figures: FiguresView | None
    age_s: float | None
    is_stale: bool
    why: str | None
    per_mwh: list[PerMwhView]
    read_at: str | None
    partners: list[PartnerEarnsView]
