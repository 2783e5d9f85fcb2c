"""The site's power, the limits that people set, and the emergency stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from api.context import Here, Person
from api.openapi import errors
from api.problems import Refused
from api.routes.health import SILENT_AFTER_S
from api.wire import from_store
from api.wire.history import HistoryQuery, PowerHistory
from api.wire.site import (
    Limits,
    LimitView,
    NewLimit,
    PowerView,
    Release,
    Released,
)
from api.wire.stops import NewStop, StopRelease, StopReleased, StopView
from barq.units import format_duration, format_power
from scheduler.shadow import SHADOW
from scheduler.store import wishes
from scheduler.store.desk import Desk

router = APIRouter(prefix="/power", tags=["power"])

SANE: Final = 10
"""A limit of more than so many times the site's nameplate is a slip, as of MW for kW; less may be for later."""


@router.get("", responses=errors(503))
def show_power(here: Here) -> PowerView:
    """Show the site's power now: limit, draw, who uses it, what changes next."""
    view = known_power(here.desk, over_limit_s=here.desk.summary().over_limit_s)
    if view is None:
        remedy = "wait until /readyz says ready"
        raise Refused(503, "not_ready", "the scheduler has not looked at the site yet", remedy=remedy)
    return view


def known_power(desk: Desk, *, over_limit_s: float) -> PowerView | None:
    """The site's power as the scheduler last told, None before it did. Raises `StoreError`."""
    document = desk.current("power")
    if document is None:
        return None
    stops = desk.standing_stops()
    told = json.loads(document.text)
    facts = {
        **told,
        **(_of_shadow(desk) if desk.is_shadow else {}),
        "sentence": f"{_before(desk, told)}{told['sentence']}",
        "limits": [from_store.limit(view) for view in desk.limits()],
        "estop": from_store.stop(stops[0]) if stops else None,
        "over_limit_s": over_limit_s,
    }
    return PowerView.model_validate(facts)


def _of_shadow(desk: Desk) -> dict[str, Any]:
    """All that is shown is the twin's; what the real site draws meanwhile stands beside it."""
    seen = desk.current(SHADOW)
    return {"shadow": json.loads(seen.text) if seen else None}


def _before(desk: Desk, told: Mapping[str, Any]) -> str:
    """What has to be known before anything that the scheduler told is read."""
    shadow = "SHADOW: nothing is acted. " if desk.is_shadow else ""
    age_s = (datetime.now(UTC) - datetime.fromisoformat(told["at"])).total_seconds()
    if age_s <= SILENT_AFTER_S:
        return shadow
    silent = f"The scheduler has told nothing for {format_duration(age_s)}, and all of this is as old"
    return f"{shadow}{silent}; the guards keep the site safe by themselves. "


@router.get("/history")
def show_history(query: Annotated[HistoryQuery, Query()], here: Here) -> PowerHistory:
    """Show the limit and who drew what under it over time: by default the last hour."""
    since, until, resolution_s = query.span(datetime.now(UTC))
    points = here.desk.power_history(since=since, until=until, resolution_s=resolution_s)
    return from_store.history(points, since=since, until=until, resolution_s=resolution_s)


@router.get("/limits")
def list_limits(here: Here) -> Limits:
    """List the manual limits that stand."""
    return Limits(limits=[from_store.limit(view) for view in here.desk.limits()])


@router.post("/limits", status_code=201)
def set_limit(body: NewLimit, here: Here, person: Person) -> LimitView:
    """Limit the site, until released or for a while. The lowest of all limits binds.

    One far above all that the site could ever draw is refused: it was meant in another unit.
    """
    remark = _beyond(body.limit_w, _nameplate_w(here.desk))
    new = wishes.NewLimit(limit_w=body.limit_w, reason=body.reason, by=person, for_s=body.for_s)
    view = here.desk.add_limit(new)
    here.waker.wake(at_once=True)
    return from_store.limit(view).model_copy(update={"remark": remark})


def _nameplate_w(desk: Desk) -> float | None:
    """What the site could draw at most, as the scheduler last told; None before it did."""
    document = desk.current("power")
    value = json.loads(document.text).get("nameplate_w") if document else None
    return float(value) if isinstance(value, int | float) else None


def _beyond(limit_w: float, nameplate_w: float | None) -> str:
    """Why a limit binds nothing, empty if it may. Raises `Refused` for one that no such site can mean."""
    if not nameplate_w or limit_w <= nameplate_w:
        return ""
    most = f"the site draws {format_power(nameplate_w)} at most, with all of it at its nameplate"
    if limit_w > SANE * nameplate_w:
        detail = f"limit_w: {format_power(limit_w)} is more than {SANE} times all that is here: {most}"
        remedy = f"check the unit, and give up to {format_power(SANE * nameplate_w)}"
        raise Refused(422, "invalid_field", detail, field="limit_w", value=limit_w, remedy=remedy)
    return f"it binds nothing: {most}"


@router.post("/release", responses=errors(404))
def release_limits(here: Here, person: Person, body: Release | None = None) -> Released:
    """Release one manual limit, or all that stand, and say which they were."""
    body = body or Release()
    limit_id = None if body.id is None else int(body.id)
    released = here.desk.release_limits(by=person, reason=body.reason or "", limit_id=limit_id)
    here.waker.wake(at_once=True)
    return Released(released=[from_store.limit(view) for view in released])


@router.post("/estop")
def engage_stop(body: NewStop, here: Here, person: Person) -> StopView:
    """Stop everything: all to its fallback at once, until a person releases it. Again is one more to release."""
    stop = here.desk.engage_stop(by=person, reason=body.reason, stop_id=body.id or "")
    here.waker.wake()
    return from_store.stop(stop)


@router.post("/estop/release")
def release_stop(body: StopRelease, here: Here, person: Person) -> StopReleased:
    """Release every emergency stop that stands, and say which they were. Work goes on by itself."""
    released = here.desk.release_stops(by=person, reason=body.reason)
    here.waker.wake()
    return StopReleased(released=[from_store.stop(one, engaged=False) for one in released])
