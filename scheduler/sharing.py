"""What a site file says of sharing: mining partners, and the mode in which AI and mining share."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from scheduler.core.machines import MachineKind
from scheduler.core.modes import AiFirst, Mode, Revenue, Shares, Threshold
from scheduler.core.partners import HOUSE, TIERS, Partner, Price, check_partners

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
WholeWatts = Annotated[int, Field(ge=0, le=10**10)]
Money = Annotated[Decimal, Field(ge=-(10**6), le=10**6, decimal_places=6, allow_inf_nan=False)]
"""Per MWh, in the site's currency, to the micro-unit."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartnerSettings(_Strict):
    """One owner of miners and its part of the surplus; `scheduler.core.partners` says what each field means."""

    name: Name
    groups: Annotated[tuple[Name, ...], Field(min_length=1)]
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    floor_w: WholeWatts = 0
    cap_w: WholeWatts | None = None
    tier: Annotated[int, Field(ge=TIERS[0], le=TIERS[-1])] = TIERS[-1]
    price_per_mwh: Money | None = None
    price_as_of_at: AwareDatetime | None = None  #: None = fixed by contract: it does not age
    price_stale_after_s: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 86_400.0
    credit_per_mwh: Annotated[Money, Field(ge=0)] = Decimal(0)

    @model_validator(mode="after")
    def _dates_only_a_price(self) -> Self:
        if self.price_as_of_at is not None and self.price_per_mwh is None:
            raise ValueError(
                "price_as_of_at: is the date of no price; give price_per_mwh too, or leave it out"
            )
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
            credit_micro_per_mwh=_micro(self.credit_per_mwh),
        )

    def _price(self) -> Price | None:
        if self.price_per_mwh is None:
            return None
        return Price(
            micro_per_mwh=_micro(self.price_per_mwh),
            source="contract" if self.price_as_of_at is None else "site file",
            as_of_at=self.price_as_of_at,
            stale_after_s=self.price_stale_after_s,
        )


class MachineSettings(_Strict):
    """How finely, and how often, the miners of a group can be told what to draw, where not any watt will do."""

    least_w: WholeWatts | None = (
        None  #: of one, rest included: the lowest it can be trimmed to; None = it cannot
    )
    joule_per_th: Annotated[float, Field(ge=0, le=1e4, allow_inf_nan=False)] = 0.0  #: 0 = not known
    min_on_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0  #: who was woken runs this long
    min_off_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0  #: who was put to sleep sleeps this long

    def kind(self, *, max_w: float, rest_w: float) -> MachineKind:
        """What each is like above its rest. Raises ValueError."""
        least_w = None if self.least_w is None else math.ceil(self.least_w - rest_w)
        above_w = math.floor(max_w - rest_w)
        if above_w < 1 or (least_w is not None and not 0 < least_w <= above_w):
            raise ValueError(
                f"machines.least_w = {self.least_w}: max_w = {max_w:g} W and rest_w = {rest_w:g} W; give more than "
                "rest_w and at most max_w, or leave it out if they cannot be trimmed"
            )
        return MachineKind(
            max_w=above_w,
            least_w=least_w,
            joule_per_th=self.joule_per_th,
            min_on_s=self.min_on_s,
            min_off_s=self.min_off_s,
        )


class AiFirstSettings(_Strict):
    """AI takes what it can use, miners the rest."""

    type: Literal["ai-first"] = "ai-first"

    def mode(self) -> Mode:
        """As the core knows it."""
        return AiFirst()


class SharesSettings(_Strict):
    """Mining is due a part of the surplus."""

    type: Literal["shares"]
    mining: Annotated[float, Field(ge=0.0, le=1.0)]

    def mode(self) -> Mode:
        """As the core knows it."""
        return Shares(mining=self.mining)


class RevenueSettings(_Strict):
    """The best MWh first."""

    type: Literal["revenue"]
    ai_per_gpu_h: Annotated[
        Money, Field(ge=0)
    ]  #: what a GPU-hour at priority 0 brings; ten more are worth twice that

    def mode(self) -> Mode:
        """As the core knows it."""
        return Revenue(gpu_h_micro=_micro(self.ai_per_gpu_h))


class ThresholdSettings(_Strict):
    """Below a surplus of `from_w` all is AI's."""

    type: Literal["threshold"]
    from_w: WholeWatts
    reserve_w: WholeWatts = 0

    def mode(self) -> Mode:
        """As the core knows it."""
        return Threshold(from_w=self.from_w, reserve_w=self.reserve_w)


ModeSettings = Annotated[
    AiFirstSettings | SharesSettings | RevenueSettings | ThresholdSettings, Field(discriminator="type")
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


def _micro(money: Decimal) -> int:
    return int(money * 1_000_000)
