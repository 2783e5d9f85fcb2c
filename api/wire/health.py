"""Whether the API lives and the site ticks, on the wire."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from api.wire.parts import Shown, example


class Health(Shown):
    """The API process answers."""

    model_config = ConfigDict(json_schema_extra=example(status="ok", version="0.1.0"))

    status: str
    version: str


class Readiness(Shown):
    """The database answers and the scheduler ticks."""

    model_config = ConfigDict(
        json_schema_extra=example(
            status="ready", database=True, epoch=3, ticked_at="2026-03-01T13:20:05Z", tick_age_s=0.4
        )
    )

    status: str
    database: bool
    epoch: int | None = Field(None, description="Of the leader")
    ticked_at: datetime | None = None
    tick_age_s: float | None = None
