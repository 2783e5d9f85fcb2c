"""What the API shows of settlement with mining partners. As `barq.views`: watt-seconds, micro-units, milliseconds."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class PriceInputView(TypedDict):
    """One number that went into a rate."""

    name: str
    value: int
    source: str
    as_of_at: str | None


class RateView(TypedDict):
    """Micro-units per MWh, and what they were made of; null = not known, `why` says what lacks."""

    micro_per_mwh: int | None
    formula: str
    inputs: list[PriceInputView]
    why: str


class GrantedView(TypedDict):
    """A stretch in which a partner was told to draw no more than so much, rest included."""

    begins_at: str
    ms: int
    granted_w: int
    orders: dict[str, str]
    until_at: str | None


class NoticeView(TypedDict):
    """A curtailment, and what notice there was of it and was due."""

    begun_at: str
    cause: str
    given_s: int
    due_s: int


class EnergyView(TypedDict):
    """What a partner's interval came to."""

    metered_ws: int
    granted_ws: int
    overdraw_ws: int
    baseline_ws: int
    curtailed_ws: dict[str, int]
    reading_start_ws: int
    reading_end_ws: int
    covered_ms: int
    heard_ms: int
    curtailed_ms: int
    confirmed_ms: int
    orders: dict[str, list[str]]
    grants: NotRequired[list[GrantedView]]  #: rows of older versions have none, nor the next two
    unlisted_ms: NotRequired[int]
    notices: NotRequired[list[NoticeView]]


class DraftView(TypedDict):
    """An interval with its rates."""

    partner_id: str
    starts_at: str
    covered_ms: int
    energy: EnergyView
    price: RateView
    credit: RateView
    excused: list[str]
    credit_cap_micro: int | None
    metering: str
    max_curtailed_s: int | None
    notice_s: int


class IntervalView(TypedDict):
    """An interval as it was written down."""

    draft: DraftView
    quality: str
    charge_micro: int | None
    credit_due_micro: int | None
    credit_micro: int | None


class AdjustmentView(TypedDict):
    """What was added to an interval."""

    partner_id: str
    starts_at: str
    number: int
    metered_ws: int
    curtailed_ws: dict[str, int]
    charge_micro: int
    credit_due_micro: int
    credit_micro: int
    reason: str
    by: str
    recorded_at: str
    reading_start_ws: NotRequired[int | None]
    reading_end_ws: NotRequired[int | None]
    curtailed_ms: NotRequired[int]
    notices: NotRequired[list[NoticeView]]


class LinkView(TypedDict):
    """A row in its chain: an `IntervalView` where `number` is 0, else an `AdjustmentView`."""

    link: int
    number: int
    row: object
    hash_before: str
    hash: str


class BetweenView(TypedDict):
    """A row of another month that stands in the chain between those of this one."""

    link: int
    starts_at: str
    hash_before: str
    hash: str
    reading_start_ws: int | None
    reading_end_ws: int | None


class LoggedView(TypedDict):
    """What the event log knows of the newest interval."""

    seq: int
    link: int
    hash: str


class TotalsView(TypedDict):
    """Sums of rows."""

    metered_ws: int
    granted_ws: int
    overdraw_ws: int
    baseline_ws: int
    curtailed_ws: dict[str, int]
    charge_micro: int
    credit_due_micro: int
    credit_micro: int
    due_micro: int
    covered_ms: int
    heard_ms: int
    curtailed_ms: int
    unpriced: int
    notices: NotRequired[int]
    notices_missed: NotRequired[int]


class StatementView(TypedDict):
    """A partner's month."""

    site: str
    partner: str
    month: str
    since_at: str
    until_at: str
    made_at: str
    links: list[LinkView]
    between: NotRequired[list[BetweenView]]
    logged: NotRequired[LoggedView | None]
    measured: TotalsView
    adjusted: TotalsView


class BalanceView(TypedDict):
    """Where the energy of a quarter of an hour went."""

    starts_at: str
    covered_ms: int
    metered_ms: int
    site_ws: int
    partners_ws: dict[str, int]
    ai_ws: int
    overhead_ws: int
    losses_ws: int
    link: int
    hash: str


class BalancesView(TypedDict):
    """A month of them."""

    site: str
    month: str
    balances: list[BalanceView]
