"""The machines of miner groups on the wire: each with what it does, whose it is, and what people want of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from api.wire.parts import Sent, Shown, example
from api.wire.why import Why
from barq.request import Text

MAX_PAGE: Final = 1000
MAX_ID: Final = 200
MOST_AT_ONCE: Final = 10_000
WISH: Final[dict[str, Any]] = {
    "wish": "paused",
    "by": "ada",
    "reason": "its fan howls",
    "at": "2026-03-01T13:40:00Z",
    "over_at": None,
}
MINER: Final[dict[str, Any]] = {
    "id": "acme-7",
    "group": "acme",
    "partner": "acme-ltd",
    "address": "10.0.8.7",
    "condition": "asleep",
    "wish": WISH,
    "abilities": ["read", "sleep", "watts"],
    "make": "Antminer",
    "model": "S19j Pro",
    "firmware": "Braiins OS",
    "firmware_version": "25.07",
    "serial": "SN-0007",
    "mac": "02:00:00:00:00:07",
    "nameplate_w": 3250.0,
    "rest_w": 25.0,
    "target_w": 25.0,
    "draw_w": 26.0,
    "metered": False,
    "in_doubt_w": 0.0,
    "hashrate_th": 0.0,
    "joule_per_th": 30.8,
    "micro_per_mwh": 51_300_000,
    "why_no_revenue": "",
    "temperature_c": 31.0,
    "uptime_s": 86_400.0,
    "cycles_today": 2,
    "trouble": "",
    "seen_at": "2026-03-01T14:00:01Z",
}
POOL: Final[dict[str, Any]] = {
    "url": "stratum+tcp://pool.example:3333",
    "user": "acme.rig7",
    "active": True,
}
TOTALS: Final[dict[str, Any]] = {
    "miners": 1,
    "conditions": {"asleep": 1},
    "nameplate_w": 3250.0,
    "target_w": 25.0,
    "draw_w": 26.0,
    "in_doubt_w": 0.0,
    "troubled": 0,
}
CHANGE: Final[dict[str, Any]] = {
    "at": "2026-02-11T08:00:00Z",
    "what": "firmware",
    "group": "acme",
    "partner": "acme-ltd",
    "before": "Braiins OS 25.05",
    "after": "Braiins OS 25.07",
    "event": 4711,
    "sentence": "acme-7 of acme-ltd/acme: its firmware is Braiins OS 25.07, was Braiins OS 25.05",
}


class MachineWishView(Shown):
    """What a person wants of a miner, or wanted."""

    model_config = ConfigDict(json_schema_extra=example(**WISH))

    wish: str = Field(description="paused, protected, or inherit = as its fleet")
    by: str
    reason: str
    at: datetime
    over_at: datetime | None = Field(None, description="When another word took its place; null = it stands")


class MachineView(Shown):
    """One miner now. Watts are those at its plug, rest included."""

    model_config = ConfigDict(json_schema_extra=example(**MINER))

    id: str
    group: str
    partner: str = Field(description="Whose it is; house = the site's own")
    address: str
    condition: str = Field(
        description="running, ramping, asleep, faulted (answers, and does not do as told), stale (did not answer "
        "lately), lost (nobody hears of it: it counts at its nameplate) or unusable (cannot be told anything)"
    )
    wish: MachineWishView | None = Field(description="What a person wants of it; null = as its fleet")
    abilities: list[str] = Field(description="read, sleep, watts, percent, outlet: what can be asked of it")
    make: str
    model: str
    firmware: str
    firmware_version: str
    serial: str
    mac: str
    nameplate_w: float
    rest_w: float
    target_w: float = Field(description="What it was told to draw at most; its rest = to sleep")
    draw_w: float
    metered: bool = Field(description="Whether the draw is measured, not an estimate of its own")
    in_doubt_w: float = Field(description="May still flow although it was told otherwise")
    hashrate_th: float | None
    joule_per_th: float | None
    micro_per_mwh: int | None = Field(
        description="What a MWh brings it after its pool's fee, micro-units of the site's currency; null = not known"
    )
    why_no_revenue: str = Field(
        description="Why that is not known, as where figures are stale; empty = it is"
    )
    temperature_c: float | None = Field(description="Its hottest")
    uptime_s: float | None
    cycles_today: int = Field(description="How often it was woken since midnight UTC")
    trouble: str = Field(description="Why it is faulted, unusable or in doubt, with the remedy; empty = none")
    seen_at: datetime | None = Field(description="When it last answered; null = never")


class MinerTotals(Shown):
    """All miners that match, together."""

    miners: int
    conditions: dict[str, int] = Field(description="How many are in each condition that any is in")
    nameplate_w: float
    target_w: float
    draw_w: float
    in_doubt_w: float
    troubled: int = Field(description="How many are in trouble")


class Miners(Shown):
    """A page of miners, and the totals of all that match."""

    model_config = ConfigDict(
        json_schema_extra=example(miners=[MINER], totals=TOTALS, shadow=False, notices=[], next=None)
    )

    miners: list[MachineView]
    totals: MinerTotals
    shadow: Annotated[bool, Field(description="They are those of a twin: nothing is acted")] = False
    notices: list[str] = Field(
        [], description="What is wrong with whole groups: such as that nobody guards one"
    )
    next: str | None = Field(description="`after` of the next page; null = this is the last one")


class MinerQuery(Sent):
    """Which miners to list."""

    model_config = ConfigDict(strict=False)  # a query is text

    group: str | None = Field(None, max_length=MAX_ID, description="Only of this group", examples=["acme"])
    partner: str | None = Field(None, max_length=MAX_ID, description="Only of this partner")
    condition: str | None = Field(
        None, max_length=20, description="Only in this condition", examples=["asleep"]
    )
    limit: int = Field(100, ge=1, le=MAX_PAGE, description="How many at most")
    after: str | None = Field(None, max_length=2 * MAX_ID + 1, description="`next` of the page before")


class PoolView(Shown):
    """Where a miner mines to, as it was seen. Barq can read it, and has no way to write it."""

    url: str
    user: str
    active: bool


class MachineRecord(Shown):
    """A miner that is or was of the site: whose it is and since when it is known, beside what it does now."""

    model_config = ConfigDict(
        json_schema_extra=example(
            id="acme-7",
            group="acme",
            partner="acme-ltd",
            now=MINER,
            pools=[POOL],
            first_seen_at="2026-01-02T08:00:00Z",
            last_seen_at="2026-03-01T14:00:01Z",
            vanished_at=None,
        )
    )

    id: str
    group: str
    partner: str
    now: MachineView | None = Field(description="null = it is not among the machines of its group any more")
    pools: list[PoolView] | None = Field(description="null = they are for operators only")
    first_seen_at: datetime
    last_seen_at: datetime | None
    vanished_at: datetime | None


class IdentityChangeView(Shown):
    """One change of who a miner is, or whose."""

    at: datetime
    what: str = Field(
        description="appeared, identified, returned, vanished, owner, address, serial, mac, model, firmware or pools"
    )
    group: str
    partner: str
    before: str | None = Field(description="null = for operators only; of pools it is JSON")
    after: str | None = Field(description="As before")
    event: int = Field(description="Of the line in the log of events that tells it")
    sentence: str


class MachineHistory(Shown):
    """What changed of a miner, newest first, and what people wanted of it."""

    model_config = ConfigDict(json_schema_extra=example(changes=[CHANGE], wishes=[WISH], next=None))

    changes: list[IdentityChangeView]
    wishes: list[MachineWishView] = Field(description="The newest 100, newest first")
    next: str | None = Field(description="`after` of the next page of changes; null = this is the last one")


class HistoryQuery(Sent):
    """Which page of changes."""

    model_config = ConfigDict(strict=False)  # a query is text

    limit: int = Field(100, ge=1, le=MAX_PAGE, description="How many at most")
    after: str | None = Field(None, max_length=60, description="`next` of the page before")


WishWord = Literal["paused", "protected", "inherit"]


class MachineWishing(Sent):
    """Says what a person wants of a miner."""

    model_config = ConfigDict(json_schema_extra=example(wish="paused", reason="its fan howls"))

    wish: WishWord = Field(
        description="paused = asleep until it is said otherwise; protected = the last of its fleet to sleep, and "
        "the limit goes before it all the same; inherit = as its fleet"
    )
    reason: Why = Field(description="Why; it is on record, and told to who asks")


class MachinesWishing(MachineWishing):
    """Says the same of several miners, or of a whole group."""

    model_config = ConfigDict(
        json_schema_extra=example(miners=["acme-7", "acme-8"], wish="paused", reason="their hall is too hot")
    )

    miners: list[Annotated[Text, Field(max_length=MAX_ID)]] | None = Field(
        None, min_length=1, max_length=MOST_AT_ONCE, description="Ids: all of them, or none"
    )
    group: Annotated[Text, Field(max_length=MAX_ID)] | None = Field(
        None, description="All of this group that can do it"
    )

    @model_validator(mode="after")
    def _names_some(self) -> Self:
        if (self.miners is None) is (self.group is None):
            raise ValueError("name either miners or a group")
        return self


class CannotView(Shown):
    """A miner that cannot do what is wanted of its group, and why."""

    id: str
    reason: str


class MachinesWished(Shown):
    """Of which miners it is wanted now."""

    model_config = ConfigDict(
        json_schema_extra=example(
            miners=["acme-7"], cannot=[{"id": "acme-8", "reason": "wrong password; give another"}]
        )
    )

    miners: list[str]
    cannot: list[CannotView] = Field(description="Of a group: who cannot do it")
