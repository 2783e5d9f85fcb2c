"""What the routes share: the store's desk, the way to wake the scheduler, the person who asks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Depends, Request

from api.settings import Settings
from api.wake import Waker
from scheduler.store.desk import Desk
from scheduler.store.refusals import JobNotFound

_MAX_ID: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One site's API. `stopping` is set when the server begins to stop, so that long answers end."""

    settings: Settings
    desk: Desk
    waker: Waker
    stopping: threading.Event = field(default_factory=threading.Event)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def _person(request: Request) -> str:
    person: str = request.state.person
    return person


def _job_id(job_id: str) -> str:
    """An id that a database can look for. Raises `JobNotFound` for what cannot be one."""
    if not job_id.isprintable() or len(job_id) > _MAX_ID:
        raise JobNotFound(job_id[:_MAX_ID])
    return job_id


Here = Annotated[Context, Depends(_context)]
Person = Annotated[str, Depends(_person)]
"""The name of the token that the request came with."""
JobId = Annotated[str, Depends(_job_id)]
"""The job that the path names."""
