"""Settlement with mining partners on the wire. Energy in watt-seconds, money in micro-units: whole numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from api.wire.parts import Sent, Shown, example
from api.wire.reports import Month
from api.wire.signals import Instant
from api.wire.why import Why
from barq.request import Text
from scheduler.core.curtailment import Cause
from scheduler.core.settlement import Change

MOST: Final = 10**15
"""Of one change: a thousand million units of money, or 278 GWh. Sums of many still fit 64 bits."""
_CAUSES: Final = frozenset(Cause)

INTERVAL: Final[dict[str, Any]] = {
    "charge_micro": 47_250_000,
    "credit_due_micro": 500_000,
    "credit_micro": 500_000,
    "draft": {
        "covered_ms": 900_000,
        "credit": {
            "formula": "credit_per_mwh",
            "inputs": [
                {"as_of_at": None, "name": "credit_per_mwh", "source": "contract", "value": 5_000_000}
            ],
            "micro_per_mwh": 5_000_000,
            "why": "",
        },
        "credit_cap_micro": None,
        "energy": {
            "baseline_ws": 3_600_000_000,
            "confirmed_ms": 900_000,
            "covered_ms": 900_000,
            "curtailed_ms": 90_000,
            "curtailed_ws": {"grid": 360_000_000},
            "granted_ws": 3_240_000_000,
            "grants": [
                {
                    "begins_at": "2026-10-01T13:00:00Z",
                    "granted_w": 3_600_000,
                    "ms": 900_000,
                    "orders": {"miners-north": "3.100"},
                    "until_at": "2026-10-01T13:15:14Z",
                }
            ],
            "heard_ms": 900_000,
            "metered_ws": 3_240_000_000,
            "notices": [{"begun_at": "2026-10-01T13:05:00Z", "cause": "grid", "due_s": 600, "given_s": 740}],
            "orders": {"miners-north": ["3.100", "3.280"]},
            "overdraw_ws": 0,
            "reading_end_ws": 9_240_000_000,
            "reading_start_ws": 6_000_000_000,
            "unlisted_ms": 0,
        },
        "excused": ["comms_loss", "fault", "partner_request"],
        "max_curtailed_s": None,
        "metering": "metered",
        "notice_s": 600,
        "partner_id": "north",
        "price": {
            "formula": "price_per_mwh",
            "inputs": [
                {"as_of_at": None, "name": "price_per_mwh", "source": "contract", "value": 52_500_000}
            ],
            "micro_per_mwh": 52_500_000,
            "why": "",
        },
        "starts_at": "2026-10-01T13:00:00Z",
    },
    "quality": "metered",
}
LINK: Final[dict[str, Any]] = {
    "link": 54,
    "number": 0,
    "row": INTERVAL,
    "hash_before": "9f" * 32,
    "hash": "3c" * 32,
}
TOTALS: Final[dict[str, Any]] = {
    "metered_ws": 3_240_000_000,
    "granted_ws": 3_240_000_000,
    "overdraw_ws": 0,
    "baseline_ws": 3_600_000_000,
    "curtailed_ws": {"grid": 360_000_000},
    "charge_micro": 47_250_000,
    "credit_due_micro": 500_000,
    "credit_micro": 500_000,
    "due_micro": 46_750_000,
    "covered_ms": 900_000,
    "heard_ms": 900_000,
    "curtailed_ms": 90_000,
    "unpriced": 0,
    "notices": 1,
    "notices_missed": 0,
}
NOTHING: Final[dict[str, Any]] = dict.fromkeys(TOTALS, 0) | {"curtailed_ws": {}}
ADJUSTMENT: Final[dict[str, Any]] = {
    "partner_id": "north",
    "starts_at": "2026-10-01T13:00:00Z",
    "number": 1,
    "metered_ws": -36_000_000,
    "curtailed_ws": {},
    "charge_micro": -525_000,
    "credit_due_micro": 0,
    "credit_micro": 0,
    "reason": "submeter log, certificate 88",
    "by": "asma",
    "recorded_at": "2026-11-02T09:30:00Z",
}


class MonthQuery(BaseModel):
    """Which month, in UTC."""

    model_config = ConfigDict(extra="forbid")

    month: Month = Field(description="A month like 2026-10, in UTC")


class LinkView(Shown):
    """A row as it was written down, in the chain of its party.

    `hash` is blake2b-256 of `hash_before` followed by `row` as JSON with sorted keys and no spaces, in UTF-8.
    """

    link: int = Field(description="Its number in the chain, from 1 on")
    number: int = Field(description="0 = an interval, above = an adjustment of one")
    row: dict[str, JsonValue]
    hash_before: str
    hash: str


class BetweenView(Shown):
    """A row of another month that stands in the chain between those of this one: without what is in it."""

    link: int
    starts_at: datetime
    hash_before: str
    hash: str
    reading_start_ws: int | None = Field(description="Of the register; null = a person added it")
    reading_end_ws: int | None


class LoggedView(Shown):
    """What the site's event log, which is chained itself, knows of the newest interval of the month."""

    seq: int = Field(description="Of the event")
    link: int
    hash: str


class TotalsView(Shown):
    """Sums of rows: watt-seconds, micro-units, milliseconds."""

    metered_ws: int
    granted_ws: int
    overdraw_ws: int
    baseline_ws: int
    curtailed_ws: dict[Cause, int]
    charge_micro: int
    credit_due_micro: int = Field(description="Before the month's cap")
    credit_micro: int
    due_micro: int = Field(description="Charge less credit: what the partner owes")
    covered_ms: int
    heard_ms: int
    curtailed_ms: int = Field(description="Notably curtailed, by causes that are not excused")
    unpriced: int = Field(description="Intervals of which a charge or credit is not known")
    notices: int = Field(description="Curtailments of which the contract wants notice")
    notices_missed: int = Field(description="Of these, those of which there was less")


class Statement(Shown):
    """A partner's month: every interval and adjustment as written down, and what they come to."""

    model_config = ConfigDict(
        json_schema_extra=example(
            site="demo",
            partner="north",
            month="2026-10",
            since_at="2026-10-01T00:00:00Z",
            until_at="2026-11-01T00:00:00Z",
            made_at="2026-11-02T10:00:00Z",
            links=[LINK],
            between=[],
            logged={"seq": 9120, "link": 54, "hash": "3c" * 32},
            measured=TOTALS,
            adjusted=NOTHING,
        )
    )

    site: str
    partner: str
    month: str
    since_at: datetime
    until_at: datetime
    made_at: datetime
    links: list[LinkView] = Field(description="In the order in which they were written")
    between: list[BetweenView] = Field(
        description="Rows of other months between them, such as late adjustments: no link is left out"
    )
    logged: LoggedView | None = Field(description="What the log knows of it; null = nothing")
    measured: TotalsView = Field(description="What the intervals come to")
    adjusted: TotalsView = Field(description="What the adjustments add to that")


class BalanceView(Shown):
    """Where the energy at the site's meter went in a quarter of an hour; the parts add up to it."""

    starts_at: datetime
    covered_ms: int
    metered_ms: int = Field(description="With a reading of the meter; else the sum of what devices report")
    site_ws: int
    partners_ws: dict[str, int]
    ai_ws: int
    overhead_ws: int
    losses_ws: int = Field(description="What the site's meter saw and no other did; may be below 0")
    link: int
    hash: str


class Balances(Shown):
    """A month of balances, oldest first."""

    model_config = ConfigDict(
        json_schema_extra=example(
            site="demo",
            month="2026-10",
            balances=[
                {
                    "starts_at": "2026-10-01T13:00:00Z",
                    "covered_ms": 900_000,
                    "metered_ms": 900_000,
                    "site_ws": 9_000_000_000,
                    "partners_ws": {"house": 0, "north": 3_240_000_000},
                    "ai_ws": 4_500_000_000,
                    "overhead_ws": 1_200_000_000,
                    "losses_ws": 60_000_000,
                    "link": 54,
                    "hash": "3c" * 32,
                }
            ],
        )
    )

    site: str
    month: str
    balances: list[BalanceView]


Amount = Annotated[int, Field(ge=-MOST, le=MOST)]


def _are_causes(changes: dict[str, int]) -> dict[str, int]:
    if unknown := sorted(changes.keys() - _CAUSES):
        raise ValueError(f"{unknown[0]!r} is no cause; use {', '.join(sorted(_CAUSES))}")
    return changes


class NewAdjustment(Sent):
    """Adds to an interval of settlement that is over; below 0 takes away. The interval stays as it is."""

    model_config = ConfigDict(
        json_schema_extra=example(
            partner="north",
            starts_at="2026-10-01T13:00:00Z",
            metered_ws=-36_000_000,
            reason="submeter log, certificate 88",
        )
    )

    partner: Text = Field(min_length=1, max_length=64)
    starts_at: Instant = Field(description="When the interval begins: :00, :15, :30 or :45")
    metered_ws: Amount = 0
    curtailed_ws: Annotated[dict[str, Amount], AfterValidator(_are_causes)] = Field(
        default_factory=dict, description="By cause"
    )
    charge_micro: Amount | None = Field(None, description="Null = by the interval's price")
    credit_micro: Amount | None = Field(None, description="Null = by the interval's credit rate")
    reason: Why = Field(description="Shown in each statement of that month")

    def change(self) -> Change:
        """As the core knows it."""
        return Change(
            metered_ws=self.metered_ws,
            curtailed_ws={Cause(cause): ws for cause, ws in self.curtailed_ws.items()},
            charge_micro=self.charge_micro,
            credit_micro=self.credit_micro,
        )


class AdjustmentView(Shown):
    """What was added to an interval, by whom and why."""

    model_config = ConfigDict(json_schema_extra=example(**ADJUSTMENT))

    partner_id: str
    starts_at: datetime
    number: int
    metered_ws: int
    curtailed_ws: dict[Cause, int]
    charge_micro: int
    credit_due_micro: int
    credit_micro: int
    reason: str
    by: str
    recorded_at: datetime
