"""What the API shows of mining partners. As `barq.views`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from barq.site_views import ChangeView


class WhyLess(TypedDict):
    """One reason why a partner may draw less than its machines could."""

    code: str
    text: str
    numbers: NotRequired[dict[str, float]]
    remedy: NotRequired[str]


class FillerOfPartner(TypedDict):
    """A program on the idle GPUs of one node."""

    name: str
    node: str


class SoFarView(TypedDict):
    """What was settled: watt-seconds, micro-units, seconds. Money is None for who may not see it."""

    since_at: str
    until_at: str
    metered_ws: int
    granted_ws: int
    curtailed_ws: int
    curtailed_s: float
    charge_micro: int | None
    credit_micro: int | None
    share: float | None
    due_share: float
    unpriced: int
    notices: int
    notices_missed: int


class PartnerView(TypedDict):
    """One mining partner. Watts are above `rest_w`, what its machines draw asleep."""

    name: str
    groups: list[str]
    fillers: NotRequired[list[FillerOfPartner]]
    weight: int
    tier: int
    floor_w: float
    cap_w: float | None
    granted_w: float
    until_at: str | None  #: None = no order stands
    then_w: float
    acknowledged: bool
    rest_w: float
    draw_w: float
    due_w: float | None
    wants_w: float
    owed_wh: float | None
    machines: int
    machines_on: int
    why: list[WhyLess]
    max_curtailed_s: NotRequired[int | None]
    hours_spent: NotRequired[bool]
    month: NotRequired[SoFarView | None]
    today: NotRequired[SoFarView | None]


class PartnersView(TypedDict):
    """All of them, how the surplus is divided, and what is known to change next."""

    at: NotRequired[str | None]
    shadow: NotRequired[bool]
    mode: NotRequired[str | None]
    division: NotRequired[str]
    next_change: NotRequired[ChangeView | None]
    partners: list[PartnerView]
