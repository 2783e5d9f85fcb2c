"""What would have happened: the days of shadow mode."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.context import Here
from api.wire.shadow import DaysQuery, ShadowDays, ShadowDayView

router = APIRouter(prefix="/shadow", tags=["power"])


@router.get("/days")
def list_days(query: Annotated[DaysQuery, Query()], here: Here) -> ShadowDays:
    """List days of shadow mode: the real site by its own meter beside its twin, by the same rules."""
    now = datetime.now(UTC)
    found = here.desk.shadow_days(limit=query.limit, day=query.day)
    days = [ShadowDayView.of(day, now) for day in found]
    return ShadowDays(shadow=here.settings.is_shadow, days=days)
