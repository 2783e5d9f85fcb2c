"""Mining partners on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example

WHY: Final[dict[str, Any]] = {
    "code": "SurplusShared",
    "text": "mining is left 40.1 kW; with a weight of 3 it is due 24.1 of the 28.0 kW that it could take",
    "numbers": {"mining_w": 40_100.0, "due_w": 24_060.0, "wants_w": 28_000.0},
    "remedy": "",
}
SO_FAR: Final[dict[str, Any]] = {
    "since_at": "2026-03-01T00:00:00Z",
    "until_at": "2026-03-01T13:30:00Z",
    "metered_ws": 1_140_000_000,
    "granted_ws": 1_152_000_000,
    "curtailed_ws": 96_000_000,
    "curtailed_s": 5400.0,
    "charge_micro": 16_625_000,
    "credit_micro": 133_333,
    "share": 0.748,
    "due_share": 0.75,
    "unpriced": 0,
    "notices": 2,
    "notices_missed": 1,
}
PARTNER: Final[dict[str, Any]] = {
    "name": "north",
    "groups": ["miners-north"],
    "fillers": [{"name": "rig", "node": "node-1"}],
    "weight": 3,
    "tier": 2,
    "floor_w": 3500.0,
    "cap_w": None,
    "granted_w": 24_060.0,
    "until_at": "2026-03-01T13:40:15Z",
    "then_w": 0.0,
    "acknowledged": True,
    "rest_w": 200.0,
    "draw_w": 23_980.0,
    "due_w": 24_060.0,
    "wants_w": 28_000.0,
    "owed_wh": 412.5,
    "machines": 8,
    "machines_on": 7,
    "why": [WHY],
    "max_curtailed_s": 216_000,
    "hours_spent": False,
    "month": SO_FAR,
    "today": SO_FAR,
}


class WhyLess(Shown):
    """One reason why a partner may draw less than its machines could."""

    code: str
    text: str
    numbers: dict[str, float] = Field({}, description="Those of the text, in base units")
    remedy: str = ""


class FillerOfPartner(Shown):
    """A filler of the partner on one node."""

    model_config = ConfigDict(json_schema_extra=example(name="rig", node="node-1"))

    name: str
    node: str


class SoFarView(Shown):
    """What was settled with a partner, adjustments included: watt-seconds, micro-units, seconds."""

    model_config = ConfigDict(json_schema_extra=example(**SO_FAR))

    since_at: datetime
    until_at: datetime = Field(description="Up to when it is settled: the end of the newest interval")
    metered_ws: int
    granted_ws: int
    curtailed_ws: int = Field(description="For all causes")
    curtailed_s: float = Field(
        description="For how long notably, for causes that the contract does not excuse"
    )
    charge_micro: int | None = Field(description="Null = shown to operators only; so is the next")
    credit_micro: int | None
    share: float | None = Field(description="Of what all partners drew; null = nobody drew anything")
    due_share: float = Field(description="Its weight beside those of all partners")
    unpriced: int = Field(description="Intervals whose charge or credit is not known, and in no sum")
    notices: int = Field(description="Curtailments of which the contract wants notice")
    notices_missed: int = Field(description="Of these, those of which there was less")


class PartnerView(Shown):
    """One mining partner: what it may draw, until when, and why it is no more.

    Watts are above `rest_w`, so are floor and cap.
    """

    model_config = ConfigDict(json_schema_extra=example(**PARTNER))

    name: str = Field(description="`house` = the site itself, for miners that nobody else owns")
    groups: list[str] = Field(description="Of miners")
    fillers: list[FillerOfPartner] = Field(
        default_factory=list, description="Programs on idle GPUs; each GPU of theirs is one of its machines"
    )
    weight: int = Field(description="Its part of what is mined, beside the weights of the others")
    tier: int = Field(description="0 gives way last, 4 first")
    floor_w: float = Field(description="Kept first for it")
    cap_w: float | None = Field(description="Never more; null = what its machines take")
    granted_w: float = Field(
        description="What its machines may draw now, by the newest orders to their guards"
    )
    until_at: datetime | None = Field(
        description="Good until then if nothing more is said; null = no order stands. It is renewed all the time"
    )
    then_w: float = Field(description="What they may draw once it has expired")
    acknowledged: bool = Field(description="Whether its guards said that they have these orders")
    rest_w: float = Field(description="What all its machines draw asleep")
    draw_w: float = Field(description="What they draw now, as they tell it themselves")
    due_w: float | None = Field(description="Its part of the surplus; null = nothing is divided")
    wants_w: float = Field(description="What its machines that are heard of take, up to its cap")
    owed_wh: float | None = Field(
        description="What rounding to whole machines took from it so far, below 0 = gave it; null = they take any watt"
    )
    machines: int
    machines_on: int
    why: list[WhyLess] = Field(description="Why it is less than it could take; the weightiest first")
    max_curtailed_s: int | None = Field(
        None, description="For so long a month may it be curtailed by contract; null = for any time"
    )
    hours_spent: bool = Field(
        default=False, description="Whether it was, this month: until the next it is shed last of its tier"
    )
    month: SoFarView | None = Field(None, description="This month, UTC; null = nothing was settled in it yet")
    today: SoFarView | None = Field(None, description="This day, UTC")


class LimitChange(Shown):
    """The next change of the site's limit that is known."""

    at: datetime
    limit_w: float


class Partners(Shown):
    """All mining partners of the site."""

    model_config = ConfigDict(
        json_schema_extra=example(
            at="2026-03-01T13:40:02Z",
            shadow=False,
            mode="shares",
            division="mining is due 20.0% of 53.6 kW and gets 40.1 kW",
            next_change={"at": "2026-03-01T14:00:00Z", "limit_w": 20_000.0},
            partners=[PARTNER],
        )
    )

    at: datetime | None = Field(
        None, description="When this was decided; null = the scheduler did not run yet"
    )
    shadow: bool = Field(
        default=False, description="Whether it is the twin's of a site in shadow mode: nothing is acted"
    )
    mode: str | None = None
    division: str = Field("", description="How the surplus is divided, in words")
    next_change: LimitChange | None = Field(
        None, description="Of the site's limit; what it leaves a partner depends on what AI uses then"
    )
    partners: list[PartnerView] = Field(description="Empty where there are no miners")
