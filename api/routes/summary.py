"""How the site did since its store was made."""

from __future__ import annotations

from fastapi import APIRouter

from api.context import Here
from api.wire import from_store
from api.wire.site import SummaryView

router = APIRouter(tags=["site"])


@router.get("/summary")
def show_summary(here: Here) -> SummaryView:
    """Count withdrawals, seconds to comply, steps lost, checkpoints, and where the energy went."""
    return from_store.summary(here.desk.summary())
