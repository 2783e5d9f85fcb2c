"""What happened on the site: limits, sources, stops, nodes and jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.context import Here
from api.wire import from_store
from api.wire.jobs import EventQuery, Events

router = APIRouter(tags=["site"])


@router.get("/events")
def site_events(query: Annotated[EventQuery, Query()], here: Here) -> Events:
    """Tell what happened on the site, oldest first: the newest events, or those after a given one."""
    if query.after is None:
        found = here.desk.recent_events(limit=query.limit)
    else:
        found = here.desk.events(after=query.after, limit=query.limit)
    return Events(events=[from_store.event(view) for view in found])
