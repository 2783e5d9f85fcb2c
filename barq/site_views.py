"""What the API shows of the site as a whole: its power, limits, projects and counters. As `barq.views`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from barq.shadow_views import ShadowNow


class StopView(TypedDict):
    """An emergency stop, until a person releases it."""

    engaged: bool
    id: str
    reason: str
    by: str
    at: str


class SourceView(TypedDict):
    """One source of the limit; a stale one contributes at most the firm level."""

    name: str
    limit_w: float | None
    provenance: str | None
    document: NotRequired[str]
    feeder: NotRequired[str]
    since_at: NotRequired[str | None]
    until_at: NotRequired[str | None]
    age_s: float | None
    stale: bool
    stale_in_s: NotRequired[float | None]
    valid_until: str | None
    domain: NotRequired[str | None]


class LimitView(TypedDict):
    """A limit that a person set; `until_at` None = until released."""

    id: str
    limit_w: float
    reason: str
    set_at: NotRequired[str | None]
    until_at: NotRequired[str | None]
    remark: NotRequired[str]  #: right after it was set: why it binds nothing; "" = it may


class ChangeView(TypedDict):
    """The next known change of the limit."""

    at: str
    limit_w: float


class DomainView(TypedDict):
    """A power domain below the site's meter, W at its own meter."""

    name: str
    limit_w: float
    limit_source: NotRequired[str]
    limit_provenance: NotRequired[str | None]
    limit_stale: NotRequired[bool]
    firm_w: NotRequired[float | None]
    draw_w: float
    committed_w: float
    next_change: NotRequired[ChangeView | None]


class FlexStepView(TypedDict):
    """What could go and what could be added so many seconds after a signal, W at the site meter."""

    within_s: float
    down_w: float
    up_w: float
    left_w: float


class FlexMeansView(TypedDict):
    """One way to lower or to raise the draw; `holds_s` None = no end."""

    name: str
    power_w: float
    within_s: float
    holds_s: float | None
    again_after_s: float
    tiers_w: dict[str, float]


class FlexView(TypedDict):
    """What the site could change at short notice."""

    at: str
    planned_w: float
    steps: list[FlexStepView]
    down: list[FlexMeansView]
    up: list[FlexMeansView]


class QuantileView(TypedDict):
    """The limit will be below `limit_w` with a probability of `share`."""

    share: float
    name: str
    limit_w: float


class ForeseenView(TypedDict):
    """What a source foresees from `at` on. It is planned on, and no limit."""

    source: str
    at: str
    quantiles: list[QuantileView]


class PowerView(TypedDict):
    """The site's power now, W at the site meter; `sentence` says it in words."""

    at: str
    site: str
    limit_w: float
    limit_source: str
    limit_provenance: str | None
    limit_document: NotRequired[str]
    limit_feeder: NotRequired[str]
    limit_since_at: NotRequired[str | None]
    limit_until_at: NotRequired[str | None]
    firm_w: float
    draw_w: float
    draw_measured_at: str | None
    draw_quality: NotRequired[str | None]
    draw_source: NotRequired[str | None]
    trim_w: NotRequired[float | None]
    trim_why: NotRequired[str | None]
    margin: NotRequired[float | None]
    margin_why: NotRequired[str | None]
    margin_most: NotRequired[float | None]
    margin_peak: NotRequired[float | None]
    committed_w: float
    ai_w: float
    rest_w: NotRequired[float | None]
    miners_w: float
    unused_w: float
    next_change: ChangeView | None
    forecast: NotRequired[list[ForeseenView]]
    sources: list[SourceView]
    limits: list[LimitView]
    estop: NotRequired[StopView | None]
    lease_s: NotRequired[float | None]
    mode: NotRequired[str]
    partners_w: NotRequired[dict[str, float]]
    flex: NotRequired[FlexView | None]
    domains: NotRequired[list[DomainView]]
    shadow: NotRequired[ShadowNow | None]
    over_limit_s: float
    sentence: str


class ProjectView(TypedDict):
    """One project: GPUs promised, held, borrowed and lent; what it used so far, decayed; its rank among equals."""

    name: str
    weight: float
    nominal_gpus: int | None
    borrowing_limit_gpus: int | None
    lending_limit_gpus: int | None
    used_gpus: int
    borrowed_gpus: int | None
    lent_gpus: int | None
    gpu_h: float
    energy_wh: float
    used_share: float
    due_share: float
    factor: float
    rank: int


class PotView(TypedDict):
    """The GPUs that are nobody's nominal."""

    nominal_gpus: int
    used_gpus: int
    borrowed_gpus: int
    lent_gpus: int


class ProjectsView(TypedDict):
    """All projects of a site, and how what they used is remembered."""

    half_life_s: NotRequired[float | None]
    energy_weight: NotRequired[float | None]
    used_at: NotRequired[str | None]
    unassigned: NotRequired[PotView | None]
    projects: list[ProjectView]


class SummaryView(TypedDict):
    """Counters since the site started."""

    withdrawals: int
    comply_p50_s: float | None
    comply_max_s: float | None
    over_limit_s: float
    steps_lost: int
    checkpoints_verified: int
    checkpoints_quarantined: int
    energy: dict[str, float]
