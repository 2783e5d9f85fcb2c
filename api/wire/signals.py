"""Limits that their givers push, on the wire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from api.wire.site import MAX_LIMIT_W
from barq.request import Text
from scheduler.core.envelope import Segment
from scheduler.signals.http_push import Push

MAX_STEPS = 500
MAX_TEXT = 200
_YEARS = range(2000, 2200)


def _of_our_times(at: datetime) -> datetime:
    if at.year not in _YEARS:
        raise ValueError(f"write a time of the years {_YEARS.start} to {_YEARS.stop - 1}")
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_of_our_times)]
"""JSON has no times, only text."""
Watts = Annotated[float, Field(ge=0, le=MAX_LIMIT_W)]


class PushedStep(Sent):
    """What holds from a later time on."""

    starts_at: Instant
    limit_w: Watts


class PushedLimit(Sent):
    """A limit of the whole site, and what follows it. Signed by its giver; names and times as in webhooks."""

    model_config = ConfigDict(
        json_schema_extra=example(
            delivery="7f1c0a52",
            at="2026-03-01T13:00:00Z",
            limit_w=200_000.0,
            steps=[{"starts_at": "2026-03-01T18:00:00Z", "limit_w": 120_000.0}],
            valid_until="2026-03-02T00:00:00Z",
            document="day-ahead notice 118",
        )
    )

    delivery: Text = Field(min_length=1, max_length=MAX_TEXT, description="Its id, the same on every retry")
    at: Instant = Field(description="When it was decided: later than that of the one before, and not to come")
    limit_w: Watts = Field(description="What the site may draw from `at` on, W")
    steps: list[PushedStep] = Field(
        default_factory=list, max_length=MAX_STEPS, description="What follows, rising in time"
    )
    valid_until: Instant | None = Field(None, description="Null: until further notice")
    document: Text = Field(
        "", max_length=MAX_TEXT, description="What the giver calls it; shown as the reason"
    )

    def push(self) -> Push:
        """As the scheduler's source knows it."""
        push = Push(
            delivery=self.delivery,
            at=self.at,
            limit_w=self.limit_w,
            valid_until=self.valid_until,
            document=self.document,
        )
        steps = (
            Segment(starts_at=s.starts_at, limit_w=s.limit_w, provenance=push.provenance, document=push.named)
            for s in self.steps
        )
        return replace(push, steps=tuple(steps))


class PushTaken(Shown):
    """What counts for this source from now on."""

    model_config = ConfigDict(
        json_schema_extra=example(
            source="feeder-12",
            delivery="7f1c0a52",
            at="2026-03-01T13:00:00Z",
            limit_w=200_000.0,
            heard_at="2026-03-01T13:00:01Z",
        )
    )

    source: str
    delivery: str
    at: datetime
    limit_w: float
    heard_at: datetime = Field(description="When the giver signed it last: from here it ages")
