"""What the API shows of the limit to come. As `barq.views`."""

from __future__ import annotations

from typing import Literal, TypedDict


class ExpectedView(TypedDict):
    """What is expected from `at` on, and whose word it is."""

    at: str
    p10_w: float
    p50_w: float
    p90_w: float
    by: Literal["published", "foreseen", "history"]
    source: str


class LeadView(TypedDict):
    """How far off forecasts were, in one range of lead times; None = nothing of it came yet."""

    until_h: int
    quarters: int
    pinball_w: list[float] | None
    covered: float | None


class ScoreView(TypedDict):
    """How good one method was."""

    method: Literal["learned", "yesterday", "last"]
    loss_w: float | None
    by_lead: list[LeadView]


class ForecastView(TypedDict):
    """The 48 hours to come, and how good forecasts from history have been, beside persistence."""

    at: str
    state: Literal["off", "missing", "too_short", "failed", "made"] | None
    why: str
    history_days: float | None
    made_at: str | None
    method: Literal["learned", "yesterday", "last"] | None
    is_used: bool
    skill: float | None
    against: str | None
    scores: list[ScoreView]
    rows: list[ExpectedView]
