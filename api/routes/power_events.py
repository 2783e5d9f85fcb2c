"""Power events: what each fall of the limit came to, measured and provable."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path as InPath, Query

from api.context import Here
from api.openapi import errors
from api.wire import from_store
from api.wire.power_events import PlanShown, PowerEventQuery, PowerEvents, PowerEventShown
from scheduler.store.power_events import EventFilter

router = APIRouter(prefix="/power/events", tags=["power"])

EventId = Annotated[int, InPath(ge=1, lt=2**63, description="`id` of the event")]


@router.get("")
def list_power_events(query: Annotated[PowerEventQuery, Query()], here: Here) -> PowerEvents:
    """List falls of the limit below what the site drew or was entitled to, newest first, in pages."""
    which = EventFilter(since_at=query.since, until_at=query.until)
    page = here.desk.power_events(which, limit=query.limit, after=query.after)
    return PowerEvents(events=[from_store.power_event(view) for view in page.events], next=page.next)


@router.get("/{event_id}", responses=errors(404))
def show_power_event(event_id: EventId, here: Here) -> PowerEventShown:
    """Show one fall of the limit, with the plan of what would have been drawn without it and the proof of that."""
    view, proof = here.desk.power_event(event_id)
    plan = None if proof is None else PlanShown.model_validate(proof)
    return PowerEventShown(**from_store.power_event(view).model_dump(), plan=plan)
