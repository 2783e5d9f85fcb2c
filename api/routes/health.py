"""Whether the process answers, and whether the site works. Open to everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter

import barq
from api.context import Here
from api.openapi import errors
from api.problems import Refused
from api.wire.health import Health, Readiness
from barq.units import format_duration

router = APIRouter(tags=["health"])

SILENT_AFTER_S: Final = 10.0
"""A scheduler that wrote nothing for this long is not at work."""


@router.get("/healthz")
def healthz() -> Health:
    """Say that the process answers."""
    return Health(status="ok", version=barq.__version__)


@router.get("/readyz", responses=errors(503))
def readyz(here: Here) -> Readiness:
    """Say that the database answers and the scheduler ticks; 503 with what is missing otherwise."""
    leader = here.desk.leader()
    if leader.ticked_at is None:
        raise _not_ready("the scheduler has not ticked yet")
    age_s = (datetime.now(UTC) - leader.ticked_at).total_seconds()
    if age_s > SILENT_AFTER_S:
        since = f"{leader.ticked_at:%Y-%m-%d %H:%M:%S} UTC"
        raise _not_ready(f"the scheduler has told nothing for {format_duration(age_s)}, since {since}")
    return Readiness(
        status="ready",
        database=True,
        epoch=leader.epoch,
        ticked_at=leader.ticked_at,
        tick_age_s=round(age_s, 3),
    )


def _not_ready(detail: str) -> Refused:
    remedy = "see that the scheduler's process runs: `barq up` where the site's head is starts it, or shows why not"
    return Refused(503, "not_ready", detail, remedy=remedy)
