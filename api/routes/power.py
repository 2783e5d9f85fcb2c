"""The site's power, and the limits that people set."""

from __future__ import annotations

import json

from fastapi import APIRouter

from api.context import Here, Person
from api.openapi import errors
from api.problems import Refused
from api.wire import from_store
from api.wire.site import Limits, LimitView, NewLimit, PowerView, Release, Released
from scheduler.store import wishes

router = APIRouter(prefix="/power", tags=["power"])


@router.get("", responses=errors(503))
def show_power(here: Here) -> PowerView:
    """Show the site's power now: limit, draw, who uses it, what changes next."""
    document = here.desk.current("power")
    if document is None:
        remedy = "wait until /readyz says ready"
        raise Refused(503, "not_ready", "the scheduler has not looked at the site yet", remedy=remedy)
    facts = {
        **json.loads(document.text),
        "limits": [from_store.limit(view) for view in here.desk.limits()],
        "over_limit_s": here.desk.summary().over_limit_s,
    }
    return PowerView.model_validate(facts)


@router.get("/limits")
def list_limits(here: Here) -> Limits:
    """List the manual limits that stand."""
    return Limits(limits=[from_store.limit(view) for view in here.desk.limits()])


@router.post("/limits", status_code=201)
def set_limit(body: NewLimit, here: Here, person: Person) -> LimitView:
    """Limit the site, until released or for a while. The lowest of all limits binds."""
    new = wishes.NewLimit(limit_w=body.limit_w, reason=body.reason, by=person, for_s=body.for_s)
    view = here.desk.add_limit(new)
    here.waker.wake(at_once=True)
    return from_store.limit(view)


@router.post("/release")
def release_limits(here: Here, person: Person, body: Release | None = None) -> Released:
    """Release all manual limits that stand, and say which they were."""
    reason = (body.reason if body else None) or ""
    released = here.desk.release_limits(by=person, reason=reason)
    here.waker.wake(at_once=True)
    return Released(released=[from_store.limit(view) for view in released])
