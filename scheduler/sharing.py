"""What a site file says of sharing: mining partners, the mode in which AI and mining share, and projects."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    model_validator,
)

from scheduler.contract_settings import ContractSettings
from scheduler.core.contracts import Terms
from scheduler.core.modes import AiFirst, Mode, Revenue, Shares, Threshold
from scheduler.core.partners import (
    HOUSE,
    TIERS,
    HashpriceShare,
    Partner,
    Price,
    check_partners,
    with_house,
)
from scheduler.core.projects import OTHERS, FairShare, Project
from scheduler.revenue_settings import HashpriceShareSettings, Money, PoolSettings, micro
from scheduler.strict import Strict

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
WholeWatts = Annotated[int, Field(ge=0, le=10**10)]


class PartnerSettings(PoolSettings):
    """One owner of miners and its part of the surplus; `scheduler.core.partners` says what each field means."""

    name: Name
    groups: tuple[Name, ...] = ()  #: none only of one that has a filler
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    floor_w: WholeWatts = 0
    cap_w: WholeWatts | None = None
    tier: Annotated[int, Field(ge=TIERS[0], le=TIERS[-1])] = TIERS[-1]
    price_per_mwh: Money | None = None
    price_as_of_at: AwareDatetime | None = None  #: None = fixed by contract: it does not age
    price_stale_after_s: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 86_400.0
    price: HashpriceShareSettings | None = (
        None  #: one that follows what hashing brings, in place of `price_per_mwh`
    )
    credit_per_mwh: Annotated[Money, Field(ge=0)] = Decimal(0)
    contract: ContractSettings = ContractSettings()

    @model_validator(mode="after")
    def _dates_only_a_price(self) -> Self:
        if self.price_as_of_at is not None and self.price_per_mwh is None:
            raise ValueError(
                "price_as_of_at: is the date of no price; give price_per_mwh too, or leave it out"
            )
        if self.price is not None and self.price_per_mwh is not None:
            raise ValueError("price: follows hashprice, and price_per_mwh is a contract's; keep one of them")
        return self

    def partner(self) -> Partner:
        """As the core knows it. Raises ValueError where the numbers contradict each other."""
        return Partner(
            partner_id=self.name,
            weight=self.weight,
            floor_w=self.floor_w,
            cap_w=self.cap_w,
            tier=self.tier,
            groups=self.groups,
            price=self._price(),
            follows=None if self.price is None else self.price.follows(),
            pool=self.pool(),
            credit_micro_per_mwh=micro(self.credit_per_mwh),
        )

    def terms(self) -> Terms:
        """What it is settled by."""
        return self.contract.terms(self.partner())

    def _price(self) -> Price | None:
        if self.price_per_mwh is None:
            return None
        return Price(
            micro_per_mwh=micro(self.price_per_mwh),
            source="contract" if self.price_as_of_at is None else "site file",
            as_of_at=self.price_as_of_at,
            stale_after_s=self.price_stale_after_s,
        )


_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def _seconds(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    """The seconds of "7d", "12h", "30m" or "90s"; a number is seconds already."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", value.strip(), re.ASCII)
    if found is None:
        raise ValueError("is no duration; write a number and a unit, such as 12h or 7d")
    return float(found[1]) * _UNIT_S[found[2]]


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=60, le=3.2e8, allow_inf_nan=False)]
Gpus = Annotated[int, Field(ge=0, le=10_000_000)]


class ProjectSettings(Strict):
    """One project; `scheduler.core.projects` says what each field means."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    weight: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    nominal_gpus: Gpus | None = None
    borrowing_limit_gpus: Gpus | None = None
    lending_limit_gpus: Gpus | None = None

    @model_validator(mode="after")
    def _limits_only_a_nominal(self) -> Self:
        if self.name == OTHERS:
            raise ValueError(
                f"name: {OTHERS!r} is what all projects that are not named count as; use another name"
            )
        limits = {
            "borrowing_limit_gpus": self.borrowing_limit_gpus,
            "lending_limit_gpus": self.lending_limit_gpus,
        }
        for field, limit in limits.items():
            if limit is not None and self.nominal_gpus is None:
                raise ValueError(
                    f"{field} = {limit} of project {self.name!r} limits nothing without a nominal; give "
                    "nominal_gpus too, 0 if all is to be borrowed, or leave it out"
                )
        lent, nominal = self.lending_limit_gpus, self.nominal_gpus
        if lent is not None and nominal is not None and lent > nominal:
            raise ValueError(
                f"lending_limit_gpus = {lent} of project {self.name!r} is above nominal_gpus = {nominal}: nobody "
                "lends more than is his own; lower it, or leave it out to lend all"
            )
        return self


def _each_once(projects: tuple[ProjectSettings, ...]) -> tuple[ProjectSettings, ...]:
    names = [p.name for p in projects]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise ValueError(f"two projects are called {twice!r}; give each a name of its own")
    return projects


Projects = Annotated[tuple[ProjectSettings, ...], AfterValidator(_each_once)]


class FairShareSettings(Strict):
    """How what projects use is remembered."""

    half_life: Duration = 7 * 86_400.0
    energy_weight: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5

    def fair_share(self) -> FairShare:
        """As the core knows it."""
        return FairShare(half_life_s=self.half_life, energy_weight=self.energy_weight)


class AiFirstSettings(Strict):
    """AI takes what it can use, miners the rest."""

    type: Literal["ai-first"] = "ai-first"

    def mode(self) -> Mode:
        """As the core knows it."""
        return AiFirst()


class SharesSettings(Strict):
    """Mining is due a part of the surplus."""

    type: Literal["shares"]
    mining: Annotated[float, Field(ge=0.0, le=1.0)]

    def mode(self) -> Mode:
        """As the core knows it."""
        return Shares(mining=self.mining)


class RevenueSettings(Strict):
    """The best MWh first."""

    type: Literal["revenue"]
    ai_per_gpu_h: Annotated[
        Money, Field(ge=0)
    ]  #: what a GPU-hour at priority 0 brings; ten more are worth twice that

    def mode(self) -> Mode:
        """As the core knows it."""
        return Revenue(gpu_h_micro=micro(self.ai_per_gpu_h))


class ThresholdSettings(Strict):
    """Below a surplus of `from_w` all is AI's."""

    type: Literal["threshold"]
    from_w: WholeWatts
    reserve_w: WholeWatts = 0

    def mode(self) -> Mode:
        """As the core knows it."""
        return Threshold(from_w=self.from_w, reserve_w=self.reserve_w)


_Acting = AiFirstSettings | SharesSettings | RevenueSettings | ThresholdSettings


class ShadowSettings(Strict):
    """Nothing is acted: the site is watched, and a twin of it does what would be done, shared as `of` says."""

    type: Literal["shadow"]
    of: Annotated[_Acting, Field(discriminator="type")] = AiFirstSettings()

    def mode(self) -> Mode:
        """As the core knows it: it decides as if all were real."""
        return self.of.mode()


def _spelled_out(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    """`mode: shadow` is short for `mode: {type: shadow}`; so it is with any other."""
    return {"type": value} if isinstance(value, str) else value


ModeSettings = Annotated[
    Annotated[_Acting | ShadowSettings, Field(discriminator="type")], BeforeValidator(_spelled_out)
]


def partners_of(settings: Sequence[PartnerSettings], miner_groups: Collection[str]) -> tuple[Partner, ...]:
    """The partners, once they fit the site's miners. Raises ValueError."""
    partners = tuple(p.partner() for p in settings)
    if HOUSE in (p.partner_id for p in partners):
        raise ValueError(
            f"partners.name: {HOUSE!r} is the site itself, for miners that nobody owns; use another name"
        )
    check_partners(partners, miner_groups)
    return partners


def ranked_with_house(
    partners: tuple[Partner, ...], miner_groups: Collection[str], house: PoolSettings | None
) -> tuple[Partner, ...]:
    """The partners, and the site itself as one whose price is what hashing brings, for miners that nobody owns."""
    if house is None:
        return partners
    every = with_house(partners, miner_groups)
    return tuple(
        replace(p, follows=HashpriceShare(), pool=house.pool()) if p.partner_id == HOUSE else p for p in every
    )


def shared(
    mode: ModeSettings, projects: Sequence[ProjectSettings], fair_share: FairShareSettings
) -> dict[str, Any]:
    """How AI and mining share, and how projects do, as `SitePolicy` names it."""
    named = tuple(Project(**p.model_dump()) for p in projects)
    return {"mode": mode.mode(), "projects": named, "fair_share": fair_share.fair_share()}
