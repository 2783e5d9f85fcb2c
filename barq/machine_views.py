"""The machines of miner groups as the API shows them. As `barq.views`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class MachineWishView(TypedDict):
    """What a person wants of a miner, or wanted; `over_at` None = it stands."""

    wish: str
    by: str
    reason: str
    at: str
    over_at: str | None


class MachineView(TypedDict):
    """One miner now, W at its plug, rest included."""

    id: str
    group: str
    partner: str
    address: str
    condition: str
    wish: MachineWishView | None
    abilities: list[str]
    make: str
    model: str
    firmware: str
    firmware_version: str
    serial: str
    mac: str
    nameplate_w: float
    rest_w: float
    target_w: float
    draw_w: float
    metered: bool
    in_doubt_w: float
    hashrate_th: float | None
    joule_per_th: float | None
    micro_per_mwh: int | None
    why_no_revenue: str
    temperature_c: float | None
    uptime_s: float | None
    cycles_today: int
    trouble: str
    seen_at: str | None


class MinerTotals(TypedDict):
    """All miners that match, together."""

    miners: int
    conditions: dict[str, int]
    nameplate_w: float
    target_w: float
    draw_w: float
    in_doubt_w: float
    troubled: int


class MinerPage(TypedDict):
    """Some miners, the totals of all that match, and where the next page begins (None = there is none)."""

    miners: list[MachineView]
    totals: MinerTotals
    shadow: bool
    notices: NotRequired[list[str]]  #: what is wrong with whole groups
    next: str | None


class PoolView(TypedDict):
    """Where a miner mines to, as it was seen."""

    url: str
    user: str
    active: bool


class MachineRecord(TypedDict):
    """A miner that is or was of the site; `now` None = it is no more; `pools` None = for operators only."""

    id: str
    group: str
    partner: str
    now: MachineView | None
    pools: list[PoolView] | None
    first_seen_at: str
    last_seen_at: str | None
    vanished_at: str | None


class IdentityChangeView(TypedDict):
    """One change of who a miner is, or whose; `before` and `after` None = for operators only."""

    at: str
    what: str
    group: str
    partner: str
    before: str | None
    after: str | None
    event: int
    sentence: str


class MachineHistory(TypedDict):
    """What changed of a miner, newest first, and what people wanted of it."""

    changes: list[IdentityChangeView]
    wishes: list[MachineWishView]
    next: str | None


class CannotView(TypedDict):
    """A miner that cannot do what is wanted of its group, and why."""

    id: str
    reason: str


class MachinesWished(TypedDict):
    """Of which miners something is wanted now, and which of the group cannot do it."""

    miners: list[str]
    cannot: list[CannotView]
