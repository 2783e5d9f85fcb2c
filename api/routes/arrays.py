"""Arrays: what became of all jobs of one, and one word to all of them. They are submitted and listed as jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from api.context import Asking, Context, Here, Person, check_business, is_job_id
from api.openapi import errors
from api.wire.arrays import ArrayView
from scheduler.core.jobs import Desired
from scheduler.store import views
from scheduler.store.refusals import ArrayNotFound

router = APIRouter(prefix="/arrays/{array_id}", tags=["arrays"])


async def _array_id(array_id: str) -> str:
    """An id that a database can look for. Raises `ArrayNotFound` for what cannot be one."""
    if not is_job_id(array_id):
        raise ArrayNotFound(array_id[:200])
    return array_id


ArrayId = Annotated[str, Depends(_array_id)]
"""The array that the path names."""


def _own_array(array_id: ArrayId, here: Here, asking: Asking) -> str:
    """Raises `ArrayNotFound`, and 403 for an array that is somebody else's business."""
    check_business(asking.caller, f"{array_id}, an array", lambda: here.desk.array(array_id).owner)
    return array_id


OwnArray = Annotated[str, Depends(_own_array)]
"""The array that the path names, if it is the caller's business."""


@router.get("", responses=errors(404))
def show_array(array_id: ArrayId, here: Here) -> ArrayView:
    """Say in which states the jobs of an array are; `GET /api/v1/jobs?array=ID` lists them."""
    return _shown(here.desk.array(array_id))


@router.post("/cancel", responses=errors(404, 409))
def cancel_array(array_id: OwnArray, here: Here, person: Person) -> ArrayView:
    """End all its jobs for good. Again is no change; 409 if all have ended otherwise."""
    return _wish(array_id, Desired.CANCEL, here, person)


@router.post("/hold", responses=errors(404, 409))
def hold_array(array_id: OwnArray, here: Here, person: Person) -> ArrayView:
    """Stop all its jobs that have not ended until they are released. Again is no change; 409 if all have ended."""
    return _wish(array_id, Desired.HOLD, here, person)


@router.post("/release", responses=errors(404, 409))
def release_array(array_id: OwnArray, here: Here, person: Person) -> ArrayView:
    """Let its held jobs run again. Again is no change; 409 if all have ended."""
    return _wish(array_id, Desired.RUN, here, person)


def _wish(array_id: str, desired: Desired, here: Context, person: str) -> ArrayView:
    view = here.desk.wish_of_array(array_id, desired, by=person)
    here.waker.wake()
    return _shown(view)


def _shown(view: views.ArrayView) -> ArrayView:
    return ArrayView(
        id=view.id,
        name=view.name,
        owner=view.owner,
        count=view.count,
        most=view.most,
        submitted_at=view.submitted_at,
        jobs={state.value: count for state, count in view.jobs.items()},
    )
