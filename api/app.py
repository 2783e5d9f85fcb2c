"""Puts the API of one site together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, Depends, FastAPI

import barq
from api import problems
from api.auth import Authentication, ensure_site_token
from api.body_limit import BodyLimit
from api.context import Context
from api.dashboard import pages
from api.express import Express
from api.openapi import ANYWHERE, describe, errors
from api.outlooks import Outlooks
from api.plain_query import plain_query
from api.roles import Authorization
from api.routes import (
    ahead,
    arrays,
    dispatch,
    events,
    hashprice,
    health,
    job_history,
    jobs,
    miners,
    nodes,
    partners,
    people,
    plans,
    power,
    power_events,
    projects,
    reports,
    settlement,
    shadow,
    signals,
    summary,
    uploads,
)
from api.session import cookie_name
from api.settings import Settings
from api.strict_body import StrictBody
from api.wake import Waker
from scheduler.store.database import migrate, open_database
from scheduler.store.desk import Desk

THREADS: Final = 8
"""Requests that are worked on at once. They share one interpreter: more would only keep the event loop waiting."""
DESCRIPTION = """\
Schedules AI work on GPU nodes where surplus electricity exists. Units are base units (W, Wh, s, bytes), times are
ISO 8601 in UTC. Each request but those for health carries `Authorization: Bearer TOKEN`, or, where a limit is pushed,
a signature; what a token may do depends on its role (viewer, researcher, operator, admin): each includes
those before it. Each error is an `application/problem+json` with a stable `code`.
"""


def create_app(state: Path | Settings) -> FastAPI:
    """The API of the site whose state directory, or whose settings, these are; ready to serve.

    Brings the database's schema up to date and leaves a token in the token file. Raises `SettingsError`,
    `StoreError` and OSError.
    """
    settings = state if isinstance(state, Settings) else Settings.of_state(state)
    engine = open_database(settings.database)
    migrate(engine)
    desk = Desk(engine, site=settings.job_prefix, is_shadow=settings.is_shadow)
    ensure_site_token(desk, settings.token_file)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        yield
        engine.dispose()

    app = FastAPI(
        title="Barq",
        version=barq.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # its page would be fetched from the network
        redoc_url=None,
    )
    waker, outlooks = Waker(settings.run_dir / "wake.sock"), Outlooks(desk)
    here = Context(settings=settings, desk=desk, waker=waker, outlooks=outlooks)
    app.state.context = here
    _add_routes(app)
    app.add_middleware(StrictBody)
    app.add_middleware(BodyLimit, max_blob_bytes=settings.upload_limit_bytes)
    cookie = cookie_name(settings.site)
    app.add_middleware(Authorization)
    app.add_middleware(Authentication, find=desk.look_up_token, cookie=cookie)
    app.add_middleware(Express, here=here)  # added last = asked first
    problems.install(app)
    describe(app)
    return app


def _add_routes(app: FastAPI) -> None:
    v1 = APIRouter(responses=errors(*ANYWHERE, 401, 403, 422, 503), dependencies=[Depends(plain_query)])
    for part in (
        ahead,
        jobs,
        arrays,
        plans,
        job_history,
        miners,
        nodes,
        partners,
        people,
        power,
        dispatch,
        power_events,
        projects,
        reports,
        settlement,
        events,
        hashprice,
        shadow,
        signals,
        summary,
        uploads,
    ):
        v1.include_router(part.router)
    app.include_router(v1, prefix="/api/v1")  # here, or FastAPI looks through the routes of `v1` for one
    app.include_router(health.router, responses=errors(*ANYWHERE))
    pages.install(app)
