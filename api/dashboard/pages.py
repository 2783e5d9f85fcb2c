"""The pages and what they are fed with. Not part of the API's document: they are for people."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, FastAPI, Request
from jinja2 import Environment
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from api.context import Asking, Context, Here, JobId, Person
from api.dashboard import assets
from api.dashboard.chart import chart_json
from api.dashboard.feed import Feed
from api.dashboard.look import Looker
from api.session import cookie_name, is_same_origin, keep, local_path
from api.welcome import Welcome
from api.wire import from_store
from scheduler.store.refusals import JobNotFound

ESTOP: Final = "/api/v1/power/estop"
STOPPERS: Final = frozenset({"admin", "operator"})
"""Roles that may stop the site, and answer instructions."""
JOB_EVENTS: Final = 50
_DRESS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing of anybody else, and no script in a page. Bokeh makes style elements: they need the nonce."""
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the pages of one site share."""

    templates: Environment
    feed: Feed

    def page(self, name: str, *, status: int = 200, **facts: Any) -> Response:  # noqa: ANN401 - for a template
        """A page, and what a browser may do with it."""
        nonce = secrets.token_urlsafe(16)
        text = self.templates.get_template(name).render(nonce=nonce, **facts)
        headers = _DRESS | {"Content-Security-Policy": _POLICY.format(nonce=nonce)}
        return HTMLResponse(text, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Add the pages to an application that has its context."""
    context: Context = app.state.context
    templates = assets.make_templates()
    looker = Looker(desk=context.desk, templates=templates)
    feed = Feed(looker.look, is_stopping=context.stopping.is_set)
    templates.globals["shadow"] = context.settings.is_shadow
    app.state.dashboard = Dashboard(templates=templates, feed=feed)
    app.include_router(router)
    app.mount("/static/barq", StaticFiles(directory=assets.STATIC_DIR))


def _dashboard(request: Request) -> Dashboard:
    dashboard: Dashboard = request.app.state.dashboard
    return dashboard


Shared = Annotated[Dashboard, Depends(_dashboard)]


# -- pages -------------------------------------------------------------------------------------------------------------


@router.get("/")
async def front(request: Request, here: Here, shared: Shared, person: Person) -> Response:
    """Show the site."""
    picture = await shared.feed.latest()
    return shared.page(
        "site.html",
        site=here.settings.site,
        person=person,
        may_stop=_may_stop(request),
        may_answer=_role(request) in STOPPERS,
        parts={key: Markup(text) for key, text in picture.html.items()},  # noqa: S704 - made by our own templates
        lists=picture.lists,
    )


@router.get("/jobs/{job_id}")
async def job_page(job_id: JobId, here: Here, shared: Shared, person: Person) -> Response:
    """Show one job: why it is where it is, and what became of it."""
    try:
        facts = await run_sync(_job_facts, here, job_id)
    except JobNotFound:
        return shared.page("missing.html", status=404, site=here.settings.site, person=person, job_id=job_id)
    return shared.page("job.html", site=here.settings.site, person=person, **facts)


def _job_facts(here: Context, job_id: str) -> dict[str, Any]:
    desk = here.desk
    view = desk.get(job_id)
    events = desk.recent_events(job_id, limit=JOB_EVENTS)
    return {
        "job": from_store.job(view),
        "why": from_store.why(view, events, here.outlooks.told(view)),
        "attempts": [from_store.attempt(one) for one in reversed(desk.attempts(job_id))],
        "checkpoints": [from_store.checkpoint(one) for one in reversed(desk.checkpoints(job_id))],
        "events": events[::-1],
    }


def _may_stop(request: Request) -> bool:
    """Whether this person may stop this site, and the site knows how to."""
    return _role(request) in STOPPERS and ESTOP in request.app.openapi()["paths"]


def _role(request: Request) -> str | None:
    role: str | None = getattr(request.state, "role", None)
    return role


# -- coming and going --------------------------------------------------------------------------------------------------


@router.get("/login")
async def login_page(here: Here, shared: Shared, next: str = "/") -> Response:  # noqa: A002 - the query's name
    """Ask for a token."""
    return shared.page("login.html", site=here.settings.site, next=local_path(next), trouble="")


@router.post("/login")
async def login(request: Request, here: Here, shared: Shared) -> Response:
    """Keep the token in the browser, if the site knows it."""
    site = here.settings.site
    sent = parse_qs((await request.body()).decode("utf-8", "replace"))
    token, after = sent.get("token", [""])[0].strip(), local_path(sent.get("next", ["/"])[0])
    if not is_same_origin(request.headers):
        trouble = "This form was sent by another page. Enter the token here."
        return shared.page("login.html", status=403, site=site, next=after, trouble=trouble)
    if not token or await run_sync(here.desk.find_token, token) is None:
        trouble = "This site does not know that token. It may have expired, or belong to another site."
        return shared.page("login.html", status=401, site=site, next=after, trouble=trouble)
    response = RedirectResponse(after, status_code=303, headers=_DRESS)
    keep(response, request.scope, cookie_name(site), token)
    return response


@router.post("/logout")
async def logout(here: Here) -> Response:
    """Have the browser forget the token."""
    response = RedirectResponse("/login", status_code=303, headers=_DRESS)
    response.delete_cookie(cookie_name(here.settings.site), httponly=True, samesite="strict")
    return response


# -- what pages are fed with -------------------------------------------------------------------------------------------


@router.get("/stream")
async def stream(shared: Shared, here: Here, asking: Asking) -> Response:
    """Tell what changes, as server-sent events."""
    welcome = Welcome(here.desk, asking.token)
    headers = _DRESS | {"X-Accel-Buffering": "no"}  # a proxy that collects would make it late
    return StreamingResponse(
        shared.feed.follow(welcome.lasts), media_type="text/event-stream", headers=headers
    )


@router.get("/chart.json")
def chart() -> Response:
    """Give the chart's figure, without figures in it."""
    return Response(chart_json(), media_type="application/json", headers=_DRESS)


@router.get("/static/bokeh/{version}/bokeh.min.js")
def bokeh(version: str) -> Response:
    """Give the script that draws the chart, out of the installed package."""
    if version != assets.bokeh_version():
        raise HTTPException(404, "this site has another version of Bokeh")
    headers = {
        "Cache-Control": f"public, max-age={assets.YEAR_S}, immutable",
        "Content-Encoding": "gzip",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(assets.bokeh_script(), media_type="text/javascript", headers=headers)
