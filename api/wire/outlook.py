"""When a job that waits may start, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example

LACKS: Final[dict[str, Any]] = {"gpus": 2, "power_w": 0.0}
EXPECTED_START: Final[dict[str, Any]] = {
    "earliest_at": "2026-03-01T14:10:00Z",
    "latest_at": "2026-03-01T15:40:00Z",
    "assumption": "running jobs use their whole time limits",
    "snapshot_at": "2026-03-01T13:20:05Z",
    "snapshot_age_s": 12.5,
}


DEADLINE: Final[dict[str, Any]] = {
    "at": "2026-03-01T18:00:00Z",
    "slack_s": 4200.0,
    "work_left_s": 7200.0,
    "text": "due at 2026-03-01 18:00:00 UTC; it has 2 h of work left by its estimate and may be held up for 1 h 10 min",
}


class DeadlineView(Shown):
    """By when a job is to be done, and how much room it has."""

    model_config = ConfigDict(json_schema_extra=example(**DEADLINE))

    at: datetime
    slack_s: float = Field(description="How long it may be held up and be in time; below 0 it cannot be")
    work_left_s: float | None = Field(description="By its estimate or time limit; null = nobody said")
    text: str


class Lacks(Shown):
    """What is missing for a start, as the reason has it."""

    model_config = ConfigDict(json_schema_extra=example(**LACKS))

    gpus: int
    power_w: float = Field(description="At the site meter")


class ExpectedStart(Shown):
    """A range for the start, and what it rests on. An end that nobody can tell is null, and no guess."""

    model_config = ConfigDict(json_schema_extra=example(**EXPECTED_START))

    earliest_at: datetime | None
    latest_at: datetime | None
    assumption: str = Field(description="In words; says why there is no estimate where there is none")
    snapshot_at: datetime = Field(description="As of when this is told")
    snapshot_age_s: float
