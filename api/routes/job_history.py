"""What became of a job: why it is where it is, its events, attempts, checkpoints and output."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.context import Asking, Context, Here, JobId, OwnJob
from api.logs import LogReader, follow
from api.openapi import TEXT, errors
from api.problems import Refused
from api.welcome import Welcome
from api.wire import from_store
from api.wire.jobs import Attempts, Checkpoints, EventQuery, Events, LogQuery, WhyView
from api.wire.notifications import Notifications
from barq.answers import DROPPED
from scheduler.core.lifecycle import is_final
from scheduler.errors import StoreError
from scheduler.store.refusals import JobNotFound

router = APIRouter(prefix="/jobs/{job_id}", tags=["jobs"])
log = logging.getLogger(__name__)


@router.get("/why", responses=errors(404))
def why(job_id: JobId, here: Here) -> WhyView:
    """Say why a job is where it is, and what would change it."""
    recent = here.desk.recent_events(job_id, limit=from_store.HISTORY)
    view = here.desk.get(job_id)
    return from_store.why(view, recent, here.outlooks.told(view))


@router.get("/events", responses=errors(404))
def events(job_id: JobId, query: Annotated[EventQuery, Query()], here: Here) -> Events:
    """Tell what happened to a job, oldest first: the newest events, or those after a given one."""
    if query.after is None:
        found = here.desk.recent_events(job_id, limit=query.limit)
    else:
        found = here.desk.events(job_id, after=query.after, limit=query.limit)
    return Events(events=[from_store.event(view) for view in found])


@router.get("/attempts", responses=errors(404))
def attempts(job_id: JobId, here: Here) -> Attempts:
    """List the placements of a job, oldest first."""
    return Attempts(attempts=[from_store.attempt(view) for view in here.desk.attempts(job_id)])


@router.get("/checkpoints", responses=errors(404))
def checkpoints(job_id: JobId, here: Here) -> Checkpoints:
    """List the checkpoints of a job, verified and quarantined, oldest first."""
    return Checkpoints(checkpoints=[from_store.checkpoint(view) for view in here.desk.checkpoints(job_id)])


@router.get("/notifications", responses=errors(404))
def notifications(job_id: OwnJob, here: Here) -> Notifications:
    """List what the job's webhook was told, or is to be told, oldest first. Kept for a week."""
    found = here.desk.notifications(job_id)
    return Notifications(notifications=[from_store.notification(view) for view in found])


@router.get("/logs", response_class=StreamingResponse, responses={**errors(404), 200: TEXT})
async def logs(
    job_id: OwnJob, query: Annotated[LogQuery, Query()], request: Request, here: Here, asking: Asking
) -> StreamingResponse:
    """Give a job's output, that of all its attempts: what there is, or `follow` it until the job has ended.

    Where its start is kept no longer and would have come, the header `Barq-Log-Dropped` says how many bytes are gone.
    """
    job = await run_sync(here.desk.get, job_id)
    reader = await run_sync(_open, Path(job.spec.launch.log_path), query.tail)
    welcome = Welcome(here.desk, asking.token)

    def is_ended() -> bool:
        return not query.follow or _is_ended(job_id, here)

    async def is_gone() -> bool:
        return here.stopping.is_set() or await request.is_disconnected() or not await welcome.lasts()

    return _LogResponse(follow(reader, is_ended=is_ended, is_gone=is_gone), reader)


class _LogResponse(StreamingResponse):
    """Lets go of the log however the answer ends."""

    def __init__(self, text: AsyncIterator[str], reader: LogReader) -> None:
        headers = {DROPPED: str(reader.missing_bytes)} if reader.missing_bytes else {}
        headers |= {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        super().__init__(text, media_type="text/plain", headers=headers)
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.close()


def _open(path: Path, tail: int | None) -> LogReader:
    try:
        return LogReader(path, tail=tail)
    except OSError as error:
        log.warning("a log cannot be read: %s", error)
        remedy = "look into the log of the API"
        raise Refused(500, "log_unreadable", "the job's log cannot be read", remedy=remedy) from error


def _is_ended(job_id: str, here: Context) -> bool:
    """Whether no more can come. A store that does not answer now may answer later."""
    try:
        return is_final(here.desk.get(job_id).state)
    except JobNotFound:
        return True
    except StoreError as error:
        log.warning("cannot tell whether %s has ended: %s", job_id, error)
        return False
