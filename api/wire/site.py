"""The site on the wire: nodes, power, limits, counters."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.domains import DOMAIN, ChangeView, DomainView
from api.wire.flexibility import FLEX, FlexView
from api.wire.forecast import FORESEEN, ForeseenView
from api.wire.parts import Sent, Shown, example
from api.wire.shadow import ShadowNow
from api.wire.stops import StopView
from api.wire.why import Why

MAX_LIMIT_W: Final = 1e12
MAX_LIMIT_S: Final = 366 * 86_400.0

LIMIT: Final[dict[str, Any]] = {
    "id": "3",
    "limit_w": 200_000.0,
    "reason": "feeder work",
    "set_by": "admin",
    "set_at": "2026-03-01T13:00:00Z",
    "until_at": None,
    "remark": "",
}


NODE: Final[dict[str, Any]] = {
    "id": "node-1",
    "kind": "node",
    "simulated": True,
    "reachable": True,
    "in_fallback": False,
    "address": "10.0.0.1",
    "cordoned": False,
    "passed_over_until_at": None,
    "guard_on": "",
    "unguarded": False,
    "storage": "5f2c41",
    "topology": {"block": "b1", "rack": "r4"},
    "estop": None,
    "draw_w": 1875.0,
    "entitlement_w": 2000.0,
    "exposure_w": 2000.0,
    "base_w": 1200.0,
    "gpus": [
        {"id": "0", "model": "a100-sxm-400w", "draw_w": 337.0, "cap_w": 350.0, "attempt_id": "demo-12.1"}
    ],
    "miners": [],
    "last_report_at": "2026-03-01T13:20:05Z",
    "alarms": [],
}


class GpuView(Shown):
    """One GPU: measured draw and enforced cap, W."""

    id: str
    model: str
    draw_w: float
    cap_w: float | None
    attempt_id: str | None
    lost: bool = Field(
        default=False, description="It does not answer: counted as busy at its last enforced cap"
    )
    temperature_c: float | None = None
    energy_wh: float | None = Field(
        None, description="By the device's own counter, since its driver was loaded"
    )


class MinerView(Shown):
    """One miner: ordered target and measured draw, W."""

    id: str
    target_w: float
    draw_w: float
    state: str | None = Field(
        None, description="asleep, trimmed or running, as it was told; null where it takes any watt"
    )


class NodeView(Shown):
    """One node or group of miners. The GPUs of a node that never reported are not listed."""

    model_config = ConfigDict(json_schema_extra=example(**NODE))

    id: str
    kind: str
    simulated: bool = False
    shadow: bool = Field(default=False, description="The site acts nothing: this is its twin")
    reachable: bool
    in_fallback: bool = Field(description="Whether it lives by its fallback profile: no order stands")
    address: str = Field("127.0.0.1", description="By which the other nodes reach it")
    cordoned: bool = Field(default=False, description="Whether no new work goes there")
    passed_over_until_at: datetime | None = Field(
        None, description="No new work goes there before, for starts failed on it: an alarm says why"
    )
    guard_on: str = Field("", description="Machine that its guard runs on; empty = the head, or its own")
    unguarded: bool = Field(default=False, description="Miners that no guard is known to hold: all counts")
    storage: str = Field("", description="Nodes with the same one read the same checkpoints")
    topology: dict[str, str] = Field(
        {}, description="Where it is, by level, the outermost first; empty where it does not say"
    )
    estop: StopView | None = Field(None, description="The emergency stop that its guard holds to")
    draw_w: float
    entitlement_w: float = Field(description="What it may draw by the newest order")
    exposure_w: float | None = Field(None, description="What it could draw at most, whatever happens")
    base_w: float
    gpus: list[GpuView]
    miners: list[MinerView]
    last_report_at: datetime | None
    alarms: list[str]


class Nodes(Shown):
    """All nodes and groups of miners."""

    model_config = ConfigDict(json_schema_extra=example(nodes=[NODE]))

    nodes: list[NodeView]


class SourceView(Shown):
    """One source of the limit; a stale one contributes at most the firm level."""

    name: str
    domain: str | None = Field(None, description="Power domain that it limits; null = the site")
    limit_w: float | None
    provenance: str | None
    document: str = Field("", description="The document that says so; empty where none is named")
    feeder: str = ""
    since_at: datetime | None = Field(None, description="The limit holds from here on,")
    until_at: datetime | None = Field(None, description="to here; null = until further notice")
    age_s: float | None
    stale: bool
    stale_in_s: float | None = Field(None, description="Seconds until it is, if it is not heard again")
    reaction_s: float | None = None
    valid_until: datetime | None


class LimitView(Shown):
    """A limit that a person set; `until_at` null = until released."""

    model_config = ConfigDict(json_schema_extra=example(**LIMIT))

    id: str
    limit_w: float
    reason: str
    set_by: str | None = None
    set_at: datetime | None = None
    until_at: datetime | None = None
    remark: str = Field("", description="Right after it was set: why it binds nothing; empty = it may")


class Limits(Shown):
    """The manual limits that stand; the lowest binds."""

    model_config = ConfigDict(json_schema_extra=example(limits=[LIMIT]))

    limits: list[LimitView]


class Released(Shown):
    """The manual limits that were released by this request."""

    model_config = ConfigDict(json_schema_extra=example(released=[LIMIT]))

    released: list[LimitView]


class PowerView(Shown):
    """The site's power now, W at the site meter; `sentence` says it in words."""

    model_config = ConfigDict(
        json_schema_extra=example(
            at="2026-03-01T13:20:05Z",
            site="demo",
            limit_w=12_000.0,
            limit_source="surplus",
            limit_provenance="surplus.csv line 81",
            limit_document="surplus.csv (SHA-256 5d41402abc4b2a76)",
            limit_feeder="feeder-12",
            limit_since_at="2026-03-01T13:00:00Z",
            limit_until_at="2026-03-01T14:00:00Z",
            limit_stale=False,
            firm_w=8000.0,
            draw_w=11_400.0,
            draw_measured_at="2026-03-01T13:20:04Z",
            draw_quality="good",
            draw_source="main-incomer",
            trim_w=-150.0,
            trim_why="follows the meter",
            margin=0.011,
            margin_why="the meter shows that no more is needed",
            margin_most=0.03,
            margin_peak=-0.006,
            committed_w=11_600.0,
            planned_w=11_600.0,
            fallback_w=3300.0,
            ai_w=6000.0,
            rest_w=3400.0,
            miners_w=2000.0,
            unused_w=600.0,
            over_limit=False,
            over_limit_s=0.0,
            raises_allowed=True,
            next_change={"at": "2026-03-01T14:00:00Z", "limit_w": 4000.0},
            forecast=[FORESEEN],
            sources=[
                {
                    "name": "surplus",
                    "limit_w": 12_000.0,
                    "provenance": "surplus.csv line 81",
                    "document": "surplus.csv (SHA-256 5d41402abc4b2a76)",
                    "feeder": "feeder-12",
                    "since_at": "2026-03-01T13:00:00Z",
                    "until_at": "2026-03-01T14:00:00Z",
                    "age_s": 0.4,
                    "stale": False,
                    "stale_in_s": 29.6,
                    "reaction_s": 30.0,
                    "valid_until": None,
                }
            ],
            limits=[LIMIT],
            estop=None,
            shadow=None,
            lease_s=15.0,
            mode="shares",
            partners_w={"north": 1500.0, "south": 500.0},
            flex=FLEX,
            domains=[DOMAIN],
            sentence="Surplus 12.0 kW: AI 6.0, mining 2.0, site 3.4, unused 0.6. Firm until 14:00:00 UTC.",
        )
    )

    at: datetime
    site: str
    limit_w: float
    limit_source: str
    limit_provenance: str | None
    limit_document: str = Field("", description="The document that says so; empty where none is named")
    limit_feeder: str = ""
    limit_since_at: datetime | None = Field(None, description="The limit holds from here on,")
    limit_until_at: datetime | None = Field(None, description="to here; null = until further notice")
    limit_stale: bool = False
    firm_w: float
    nameplate_w: float | None = Field(None, description="What the site could draw at most, unlimited")
    draw_w: float
    draw_measured_at: datetime | None
    draw_quality: str | None = Field(
        None, description="good; stale or bad: the meter's last; estimated: the sum of what devices report"
    )
    draw_source: str | None = Field(None, description="Who measured it")
    trim_w: float | None = Field(
        None, description="Correction of the model by the meter: above 0 taken off, below given back"
    )
    trim_why: str | None = Field(None, description="Why it changes as it does, or stands still")
    margin: float | None = Field(None, description="Share of the limit that is kept free now")
    margin_why: str | None = Field(None, description="Why, where the meter may prove that less is enough")
    margin_most: float | None = Field(None, description="The same by the site file")
    margin_peak: float | None = Field(
        None,
        description="Highest draw that still counts above what orders allow, as a share; below 0: under it",
    )
    committed_w: float = Field(description="What could be drawn at most by all orders that may stand")
    planned_w: float | None = None
    fallback_w: float | None = Field(None, description="What is left once every order has expired")
    ai_w: float
    rest_w: float | None = Field(None, description="Node bases, idle and held GPUs, overhead, auxiliary")
    miners_w: float
    unused_w: float
    over_limit: bool = Field(default=False, description="Over the limit outside the reaction time")
    over_limit_s: float = Field(description="Seconds over the limit beyond the reaction time, in all")
    raises_allowed: bool = True
    next_change: ChangeView | None
    forecast: list[ForeseenView] = Field([], description="By source, for now and next; it is no limit")
    sources: list[SourceView]
    limits: list[LimitView]
    estop: StopView | None = Field(None, description="The emergency stop that stands, null if none does")
    shadow: ShadowNow | None = Field(None, description="What nothing is acted beside; null = the site acts")
    lease_s: float | None = Field(
        None, description="After this long without orders guards fall by themselves"
    )
    mode: str = Field("ai-first", description="How AI and mining share the surplus")
    partners_w: dict[str, float] = Field({}, description="What that gives each mining partner, by name")
    flex: FlexView | None = Field(None, description="What could be changed at short notice; null = not known")
    domains: list[DomainView] = Field(
        [], description="Limited feeders, halls and racks, the outer ones first"
    )
    sentence: str


class NewLimit(Sent):
    """A limit for the site, on top of all others. It stands until it is released, or for `for_s` if given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"limit_w": 200_000, "reason": "feeder work"},
                {"limit_w": 0, "reason": "drill", "for_s": 1800},
            ]
        }
    )

    limit_w: float = Field(ge=0, le=MAX_LIMIT_W, description="W at the site meter")
    reason: Why = Field(description="Shown wherever the limit is")
    for_s: float | None = Field(None, gt=0, le=MAX_LIMIT_S, description="Seconds; absent = until released")


class Release(Sent):
    """Releases one manual limit, or all that stand."""

    model_config = ConfigDict(json_schema_extra=example(reason="work is done"))

    reason: Why | None = None
    id: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="Only this one; absent = all")


class Energy(Shown):
    """Where the energy went, Wh, since the site was made."""

    offered_wh: float
    ai_wh: float
    miners_wh: float
    unused_wh: float
    overhead_wh: float


class SummaryView(Shown):
    """Counters since the site was made. The times to comply are null before the first withdrawal."""

    model_config = ConfigDict(
        json_schema_extra=example(
            withdrawals=6,
            comply_p50_s=0.9,
            comply_max_s=2.1,
            over_limit_s=0.0,
            steps_lost=0,
            checkpoints_verified=41,
            checkpoints_quarantined=0,
            energy={
                "offered_wh": 900.0,
                "ai_wh": 420.0,
                "miners_wh": 200.0,
                "unused_wh": 40.0,
                "overhead_wh": 240.0,
            },
        )
    )

    withdrawals: int
    comply_p50_s: float | None
    comply_max_s: float | None
    over_limit_s: float
    steps_lost: int
    checkpoints_verified: int
    checkpoints_quarantined: int
    energy: Energy
