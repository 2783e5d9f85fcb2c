"""Power events on the wire: falls of the limit, and what each came to. The formulas are in docs/verification.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from api.wire.parts import Sent, Shown, example

MAX_PAGE: Final = 1000
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_SHA256: Final = "9f2c41d0a7b35e68c1f0947ad2836b5e9f2c41d0a7b35e68c1f0947ad2836b5e"
_EXAMPLE: Final[dict[str, Any]] = {
    "id": "12",
    "began_at": "2026-03-01T13:00:00Z",
    "ended_at": "2026-03-01T13:30:00Z",
    "is_final": True,
    "source": "grid",
    "provenance": "dispatch 2026-117, feeder 7",
    "reaction_s": 30.0,
    "limit_before_w": 12_000.0,
    "limit_w": 4000.0,
    "draw_at_fall_w": 11_400.0,
    "entitled_w": 11_640.0,
    "baseline_w": 11_300.0,
    "baseline_since_at": "2026-03-01T12:45:00Z",
    "baseline_covered_s": 900.0,
    "commanded_w": 3880.0,
    "measured_mean_w": 3810.0,
    "measured_min_w": 3700.0,
    "measured_max_w": 11_400.0,
    "complied_at": "2026-03-01T13:00:01.500000Z",
    "released_at": None,
    "time_to_comply_s": 1.5,
    "held_mean_w": 3800.0,
    "depth_w": 7500.0,
    "depth_share": 0.664,
    "duration_s": 1800.0,
    "covered_s": 1800.0,
    "unmetered_s": 0.0,
    "drawn_wh": 1905.0,
    "not_drawn_wh": 3745.0,
    "over_curtailment_w": 200.0,
    "over_curtailment_share": 0.05,
    "over_limit_s": 0.0,
    "after_covered_s": 900.0,
    "after_peak_w": 11_200.0,
    "rebound_ratio": 0.991,
    "plan_sha256": _SHA256,
    "plan_seq": 4711,
}


_LINE: Final[dict[str, Any]] = {
    "seq": 4711,
    "at": "2026-03-01T12:59:00.000000+00:00",
    "kind": "power.baseline",
    "text": "the limit falls at 13:00:00 UTC; what the site would draw without it is on record",
    "data": f'{{"plan_sha256":"{_SHA256}","falls_at":"2026-03-01T13:00:00+00:00"}}',
    "hash": "b0" * 32,
    "hash_before": "a7" * 32,
}
_PLAN: Final[dict[str, Any]] = {
    "text": '{"fall":{"at":"2026-03-01T13:00:00.000000+00:00","limit_w":4000.0,"source":"grid"},"version":1}',
    "made_at": "2026-03-01T12:59:00Z",
    "falls_at": "2026-03-01T13:00:00Z",
    "line": _LINE,
}


class PowerEventQuery(Sent):
    """Which power events to list. Times carry their zone: `2026-03-01T13:00:00Z`."""

    model_config = ConfigDict(strict=False)  # a query is text

    since: AwareDatetime | None = Field(None, ge=_FIRST, le=_LAST, description="Begun from then on")
    until: AwareDatetime | None = Field(None, ge=_FIRST, le=_LAST, description="Begun before then")
    limit: int = Field(100, ge=1, le=MAX_PAGE)
    after: str | None = Field(None, max_length=200, description="`next` of the page before")

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since must be before until")
        return self


class PowerEventView(Shown):
    """One fall of the limit below what the site drew or was entitled to. Null = it cannot be said, or not yet."""

    model_config = ConfigDict(json_schema_extra=example(**_EXAMPLE))

    id: str
    began_at: datetime
    ended_at: datetime | None = Field(
        description="The limit is back at what it was, or the site was entitled to"
    )
    is_final: bool = Field(description="Nothing of it changes any more")
    source: str = Field(description="Of the limit")
    provenance: str = Field(description="Document, feeder, reason")
    reaction_s: float
    limit_before_w: float
    limit_w: float
    draw_at_fall_w: float = Field(description="By the first reading of the meter under the new limit")
    entitled_w: float = Field(description="The most that was drawn or commanded in the 90 s before")
    baseline_w: float | None = Field(description="Mean draw before it: meter before / meter after")
    baseline_since_at: datetime | None
    baseline_covered_s: float = Field(description="Of the 900 s before it, those that were read")
    commanded_w: float | None = Field(
        description="Mean of what orders allowed once it was complied with or released"
    )
    measured_mean_w: float | None
    measured_min_w: float | None
    measured_max_w: float | None
    complied_at: datetime | None = Field(description="First reading at or under the limit that was told")
    released_at: datetime | None = Field(
        description="The limit was raised again before that: first reading at or under the one in force then"
    )
    time_to_comply_s: float | None
    held_mean_w: float | None = Field(description="Mean draw once it was complied with or released")
    depth_w: float | None = Field(description="baseline_w - held_mean_w")
    depth_share: float | None = Field(description="Of the baseline")
    duration_s: float | None
    covered_s: float = Field(description="Of its duration, what readings speak for")
    unmetered_s: float = Field(description="Of that, when the meter did not measure")
    drawn_wh: float
    not_drawn_wh: float | None = Field(
        description="What the baseline would have drawn in covered_s, less drawn_wh"
    )
    over_curtailment_w: float | None = Field(description="Mean of limit less draw in that time")
    over_curtailment_share: float | None = Field(description="Of the limit then")
    over_limit_s: float = Field(description="Beyond the reaction time")
    after_covered_s: float = Field(description="Of the 900 s behind it, those that were read in calm")
    after_peak_w: float | None = Field(description="The highest minute of them")
    rebound_ratio: float | None = Field(description="after_peak_w / baseline_w")
    plan_sha256: str | None = Field(description="Of what would have been drawn without it")
    plan_seq: int | None = Field(description="Number of the event in the log that holds this hash")


class PowerEvents(Shown):
    """A page of power events, newest first."""

    model_config = ConfigDict(json_schema_extra=example(events=[_EXAMPLE], next="bnVtYmVyOjEy"))

    events: list[PowerEventView]
    next: str | None = Field(description="Where to go on: `after` of the next request; null at the end")


class LogLine(Shown):
    """A line of the log of events with all that its hash was made of."""

    model_config = ConfigDict(json_schema_extra=example(**_LINE))

    seq: int
    at: str
    kind: str
    text: str
    job_id: str | None = None
    attempt_id: str | None = None
    data: str
    hash: str = Field(description="blake2b-256 of hash_before and the rest as canonical JSON")
    hash_before: str = Field(description="Hash of the line before")


class PlanShown(Shown):
    """What the site would have drawn without the event, as it was planned right before it."""

    model_config = ConfigDict(json_schema_extra=example(**_PLAN))

    text: str = Field(description="Canonical JSON; its SHA-256 is `plan_sha256`")
    made_at: datetime
    falls_at: datetime
    line: LogLine | None = Field(description="The line of the log that holds the hash")


class PowerEventShown(PowerEventView):
    """A power event with the plan of what would have been drawn without it; null where nobody could say."""

    model_config = ConfigDict(json_schema_extra=example(**_EXAMPLE, plan=_PLAN))

    plan: PlanShown | None
