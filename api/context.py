"""What the routes share: the store's desk, the way to wake the scheduler, the person who asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final

from anyio import CapacityLimiter
from fastapi import Depends, Request

from api.outlooks import Outlooks
from api.roles import Caller, forbidden
from api.settings import Settings
from api.wake import Waker
from barq.roles import Role
from scheduler.store.desk import Desk
from scheduler.store.refusals import JobNotFound
from scheduler.store.views import TokenView

_MAX_ID: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One site's API. `stopping` is set when the server begins to stop, so that long answers end.

    One dry run is worked on at a time: it takes as long as a whole decision.
    """

    settings: Settings
    desk: Desk
    waker: Waker
    outlooks: Outlooks
    stopping: threading.Event = field(default_factory=threading.Event)
    rehearsing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who sent a request, and by which token."""

    caller: Caller
    token: TokenView


def is_job_id(text: str) -> bool:
    """Whether a database can look for it."""
    return text.isprintable() and len(text) <= _MAX_ID


# What follows waits for nobody: as coroutines they cost no change of thread for each request.


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _person(request: Request) -> str:
    person: str = request.state.person
    return person


async def _asking(request: Request) -> Asked:
    return Asked(caller=request.state.caller, token=request.state.token)


async def _job_id(job_id: str) -> str:
    """An id that a database can look for. Raises `JobNotFound` for what cannot be one."""
    if not is_job_id(job_id):
        raise JobNotFound(job_id[:_MAX_ID])
    return job_id


Here = Annotated[Context, Depends(_context)]
Person = Annotated[str, Depends(_person)]
"""The user whose token the request came with."""
Asking = Annotated[Asked, Depends(_asking)]
"""The same with their role and their token."""
JobId = Annotated[str, Depends(_job_id)]
"""The job that the path names."""


def _own_job(job_id: JobId, here: Here, asking: Asking) -> str:
    """Raises `JobNotFound`, and 403 for a job that is somebody else's business."""
    check_business(asking.caller, f"{job_id}, a job", lambda: here.desk.get(job_id).owner)
    return job_id


def check_business(caller: Caller, what: str, owner_of: Callable[[], str]) -> None:
    """Raises 403 for what is somebody else's business. Operators may touch all: for them the owner is not looked up."""
    if not caller.role.includes(Role.OPERATOR):
        owner = owner_of()
        if not caller.may_touch(owner):
            raise forbidden(caller, f"{what} of {owner},", "its owner or the role operator")


OwnJob = Annotated[str, Depends(_own_job)]
"""The job that the path names, if it is the caller's business."""
