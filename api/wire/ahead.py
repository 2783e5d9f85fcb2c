"""What is to be expected of the limit, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from api.wire.parts import Sent, Shown, example

ROW: Final[dict[str, Any]] = {
    "at": "2026-03-01T14:00:00Z",
    "p10_w": 160_000.0,
    "p50_w": 420_000.0,
    "p90_w": 610_000.0,
    "by": "history",
    "source": "history",
}
LEAD: Final[dict[str, Any]] = {
    "until_h": 6,
    "quarters": 3120,
    "pinball_w": [9800.0, 21_500.0, 11_200.0],
    "covered": 0.81,
}


class ForecastQuery(Sent):
    """How fine it is wanted."""

    model_config = ConfigDict(strict=False)  # a query is text

    step_s: int = Field(
        900,
        ge=900,
        le=3600,
        multiple_of=900,
        description="Seconds between rows; each tells its lowest quarter",
    )


class ExpectedView(Shown):
    """What is expected from `at` on: published, foreseen by a source, or made from history. It is no limit."""

    model_config = ConfigDict(json_schema_extra=example(**ROW))

    at: datetime
    p10_w: float = Field(description="In nine of ten cases there is more")
    p50_w: float
    p90_w: float = Field(description="In one of ten cases there is more")
    by: Literal["published", "foreseen", "history"] = Field(description="Whose word it is")
    source: str = Field(description="The source that publishes or foresees the lowest")


class LeadView(Shown):
    """How far off forecasts of the last days were, in one range of lead times."""

    model_config = ConfigDict(json_schema_extra=example(**LEAD))

    until_h: int = Field(description="Where the range ends; it begins where the one before it ends")
    quarters: int = Field(description="Quarters of an hour that came")
    pinball_w: list[float] | None = Field(
        description="Mean pinball loss of p10, p50 and p90; null = none came"
    )
    covered: float | None = Field(description="Share that came between p10 and p90: 0.8 is right")


class ScoreView(Shown):
    """How good one method was."""

    method: Literal["learned", "yesterday", "last"]
    loss_w: float | None = Field(description="Mean pinball loss, each range of lead times counting alike")
    by_lead: list[LeadView]


class ForecastView(Shown):
    """The 48 hours to come, and how good forecasts from history have been, beside persistence."""

    model_config = ConfigDict(
        json_schema_extra=example(
            at="2026-03-01T13:20:00Z",
            state="made",
            why="learned from history: over the last 7 days 24% better than persistence (yesterday)",
            history_days=41.5,
            made_at="2026-03-01T13:01:15Z",
            method="learned",
            is_used=True,
            skill=0.24,
            against="yesterday",
            scores=[{"method": "learned", "loss_w": 13_900.0, "by_lead": [LEAD]}],
            rows=[ROW],
        )
    )

    at: datetime
    state: Literal["off", "missing", "too_short", "failed", "made"] | None = Field(
        description="Of forecasts from history; null = none was tried yet"
    )
    why: str = Field(description="What there is, or why there is none")
    history_days: float | None
    made_at: datetime | None = Field(description="Null = there is no forecast from history")
    method: Literal["learned", "yesterday", "last"] | None = Field(
        description="That is shown, and planned on"
    )
    is_used: bool = Field(description="Whether starts are planned on a forecast from history")
    skill: float | None = Field(description="1 - loss / loss of persistence; negative = worse than that")
    against: Literal["learned", "yesterday", "last"] | None = Field(description="The better persistence")
    scores: list[ScoreView]
    rows: list[ExpectedView]
