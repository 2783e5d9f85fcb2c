"""The power series on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from api.wire.parts import Sent, Shown, example

MAX_POINTS: Final = 10_000
DEFAULT_SPAN: Final = timedelta(hours=1)
POINTS_WANTED: Final = 720
"""By default: about one for each pixel or two of a chart."""
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class HistoryQuery(Sent):
    """Which part of the power series to give. Times carry their zone: `2026-03-01T13:00:00Z`."""

    model_config = ConfigDict(strict=False)  # a query is text

    since: AwareDatetime | None = Field(
        None, ge=_FIRST, le=_LAST, description="From then on; absent = an hour before `until`"
    )
    until: AwareDatetime | None = Field(
        None, ge=_FIRST, le=_LAST, description="Until before then; absent = now"
    )
    resolution: int | None = Field(
        None, ge=1, le=86_400, description="Seconds that a point stands for; absent = some 720 points"
    )

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since must be before until")
        if self.since and self.until and self.resolution:
            wanted = (self.until - self.since).total_seconds() / self.resolution
            if wanted > MAX_POINTS:
                raise ValueError(
                    f"ask for at most {MAX_POINTS} points: a shorter span or a coarser resolution"
                )
        return self

    def span(self, now: datetime) -> tuple[datetime, datetime, int]:
        """Since when, until when, and in steps of how many seconds; never more than `MAX_POINTS` of them."""
        until = self.until or now
        since = min(self.since or until - DEFAULT_SPAN, until)
        length_s = (until - since).total_seconds()
        coarsest_s = int(length_s // MAX_POINTS) + 1
        return since, until, max(self.resolution or int(length_s / POINTS_WANTED), coarsest_s, 1)


class PowerHistory(Shown):
    """Mean watts over time, as columns of equal length: the i-th of each belong together.

    A stretch in which nothing was sampled is left out. Beyond the last hour there are only minutes, beyond
    90 days only quarters of an hour.
    """

    model_config = ConfigDict(
        json_schema_extra=example(
            since="2026-03-01T13:00:00Z",
            until="2026-03-01T13:00:10Z",
            resolution_s=5,
            at=["2026-03-01T13:00:00Z", "2026-03-01T13:00:05Z"],
            limit_w=[12_000.0, 4000.0],
            draw_w=[11_400.0, 3900.0],
            ai_w=[6000.0, 1500.0],
            rest_w=[3400.0, 2300.0],
            miners_w=[2000.0, 100.0],
        )
    )

    since: datetime
    until: datetime
    resolution_s: int = Field(description="Seconds that a point stands for, at least")
    at: list[datetime] = Field(description="Where each point begins")
    limit_w: list[float]
    draw_w: list[float] = Field(description="Measured by the site meter")
    ai_w: list[float]
    rest_w: list[float] = Field(description="Node bases, idle and held GPUs, overhead, auxiliary")
    miners_w: list[float]
