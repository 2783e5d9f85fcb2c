"""Who may do what: one table from each route to the least role that it wants, asked before a body is read.

A path that is not in the table is there for admins only: everybody else is told that there is no such thing. So a
route that was forgotten here is shut, not open. What is mounted has a row such as `/static/{path:path}`. Whose job it
is, is asked by the routes (`api.context.OwnJob`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import Problem, Refused, answer, problem
from api.session import is_open
from barq.roles import Role

JOB: Final = "/api/v1/jobs/{job_id}"
ARRAY: Final = "/api/v1/arrays/{array_id}"
INSTRUCTION: Final = "/api/v1/dispatch/{instruction_id}"
MINER: Final = "/api/v1/miners/{miner_id}"
LEAST_ROLE: Final[dict[tuple[str, str], Role]] = {
    ("GET", "/openapi.json"): Role.VIEWER,
    ("GET", "/api/v1/me"): Role.VIEWER,
    ("GET", "/api/v1/nodes"): Role.VIEWER,
    ("GET", "/api/v1/power"): Role.VIEWER,
    ("GET", "/api/v1/power/limits"): Role.VIEWER,
    ("GET", "/api/v1/dispatch"): Role.VIEWER,
    ("GET", INSTRUCTION): Role.VIEWER,
    ("POST", f"{INSTRUCTION}/acknowledge"): Role.OPERATOR,
    ("POST", f"{INSTRUCTION}/refuse"): Role.OPERATOR,
    ("GET", "/api/v1/miners"): Role.VIEWER,
    ("GET", MINER): Role.VIEWER,  # pools for operators only, and so in the next
    ("GET", f"{MINER}/history"): Role.VIEWER,
    ("POST", f"{MINER}/wish"): Role.OPERATOR,
    ("POST", "/api/v1/miners:wish"): Role.OPERATOR,
    ("GET", "/api/v1/projects"): Role.VIEWER,
    ("GET", "/api/v1/partners"): Role.VIEWER,
    ("GET", "/api/v1/partners/{name}"): Role.VIEWER,
    ("GET", "/api/v1/forecast"): Role.VIEWER,
    ("GET", "/api/v1/events"): Role.VIEWER,
    ("GET", "/api/v1/hashprice"): Role.VIEWER,
    ("GET", "/api/v1/hashprice/history"): Role.VIEWER,
    ("POST", "/api/v1/hashprice"): Role.OPERATOR,
    ("GET", "/api/v1/shadow/days"): Role.VIEWER,
    ("GET", "/api/v1/summary"): Role.VIEWER,
    ("GET", "/api/v1/jobs"): Role.VIEWER,
    ("GET", JOB): Role.VIEWER,
    ("GET", f"{JOB}/why"): Role.VIEWER,
    ("GET", f"{JOB}/events"): Role.VIEWER,
    ("GET", f"{JOB}/attempts"): Role.VIEWER,
    ("GET", f"{JOB}/checkpoints"): Role.VIEWER,
    ("GET", ARRAY): Role.VIEWER,
    ("POST", f"{ARRAY}/cancel"): Role.RESEARCHER,  # of own arrays; so are the next two
    ("POST", f"{ARRAY}/hold"): Role.RESEARCHER,
    ("POST", f"{ARRAY}/release"): Role.RESEARCHER,
    ("GET", f"{JOB}/logs"): Role.RESEARCHER,  # of own jobs; so are the next three
    ("POST", f"{JOB}/cancel"): Role.RESEARCHER,
    ("POST", f"{JOB}/hold"): Role.RESEARCHER,
    ("POST", f"{JOB}/release"): Role.RESEARCHER,
    ("POST", "/api/v1/jobs"): Role.RESEARCHER,
    ("POST", "/api/v1/jobs:batch"): Role.RESEARCHER,
    ("POST", "/api/v1/jobs:plan"): Role.RESEARCHER,
    ("GET", "/api/v1/uploads"): Role.RESEARCHER,
    ("POST", "/api/v1/uploads/missing"): Role.RESEARCHER,
    ("PUT", "/api/v1/uploads/blobs/{name}"): Role.RESEARCHER,
    ("PUT", "/api/v1/uploads/packages/{name}"): Role.RESEARCHER,
    ("GET", "/api/v1/uploads/blobs/{name}"): Role.OPERATOR,  # by nodes, with the token that they joined with
    ("GET", "/api/v1/uploads/packages/{name}"): Role.OPERATOR,
    ("POST", "/api/v1/nodes/join"): Role.OPERATOR,  # its answer holds the token of Ray
    ("POST", "/api/v1/miners:join"): Role.OPERATOR,  # and so does this
    ("POST", "/api/v1/nodes/{name}/leave"): Role.OPERATOR,
    ("POST", "/api/v1/nodes/{name}/forget"): Role.OPERATOR,
    ("POST", "/api/v1/power/limits"): Role.OPERATOR,
    ("POST", "/api/v1/power/release"): Role.OPERATOR,
    ("POST", "/api/v1/power/estop"): Role.OPERATOR,
    ("POST", "/api/v1/power/estop/release"): Role.OPERATOR,
    ("GET", f"{JOB}/notifications"): Role.RESEARCHER,  # of own jobs
    ("GET", "/api/v1/tokens"): Role.OPERATOR,
    ("POST", "/api/v1/tokens"): Role.OPERATOR,
    ("DELETE", "/api/v1/tokens/{name}"): Role.OPERATOR,
    ("GET", "/api/v1/power/history"): Role.VIEWER,
    ("GET", "/api/v1/reports/compliance"): Role.VIEWER,
    ("POST", "/api/v1/reports/corrections"): Role.OPERATOR,
    ("GET", "/api/v1/settlement/statements/{partner}"): Role.OPERATOR,
    ("GET", "/api/v1/settlement/balances"): Role.OPERATOR,
    ("POST", "/api/v1/settlement/adjustments"): Role.OPERATOR,
    ("GET", "/api/v1/power/events"): Role.VIEWER,
    ("GET", "/api/v1/power/events/{event_id}"): Role.VIEWER,
    ("GET", "/"): Role.VIEWER,
    ("GET", "/jobs/{job_id}"): Role.VIEWER,
    ("GET", "/stream"): Role.VIEWER,
    ("GET", "/chart.json"): Role.VIEWER,
    ("POST", "/logout"): Role.VIEWER,
}
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Served to everybody, for they say nothing of the site's work."""
SIGNED_PATHS: Final = "/api/v1/signals/"
"""Below this the right to do something is a signature over the body, which the route checks; no token is asked for."""

_ROWS: Final = [(method, compile_path(path)[0], least) for (method, path), least in LEAST_ROLE.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the person that the token belongs to, and the role that it has."""

    person: str
    role: Role

    def may_touch(self, owner: str) -> bool:
        """Whether a job of `owner` is this caller's business: its log, its command, its end."""
        return self.person == owner or self.role.includes(Role.OPERATOR)


class Authorization:
    """Lets a request through if the role in `scope["state"]` is enough for its route; else 403, 404 or 405."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        refused = _refusal(scope) if scope["type"] == "http" and not is_for_all(scope) else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await answer(refused)(scope, receive, send)


def is_for_all(scope: Scope) -> bool:
    """Whether the path is served to everybody, known or not; or the route asks for something else than a token."""
    path: str = scope["path"]
    return path in OPEN_PATHS or path.startswith(SIGNED_PATHS) or is_open(scope)


def forbidden(caller: Caller, what: str, needed: str) -> Refused:
    """The refusal of something that the caller's role does not include. `needed` says whose it would be."""
    detail = f"{what} is not for {caller.person} with the role {caller.role}: it needs {needed}"
    return Refused(
        403, "forbidden", detail, remedy="ask an operator of the site to do it, or for such a token"
    )


def _refusal(scope: Scope) -> Problem | None:
    caller: Caller = scope["state"]["caller"]
    method, path = "GET" if scope["method"] == "HEAD" else scope["method"], scope["path"]
    rows = [(wanted, least) for wanted, pattern, least in _ROWS if pattern.match(path)]
    least = max(
        (least for wanted, least in rows if wanted == method), key=list(Role).index, default=Role.ADMIN
    )
    if caller.role.includes(least):
        return None
    where = f"{method} {ascii(path)[1:-1][:200]}"
    if not rows:
        return problem(404, "not_found", f"{where}: Not Found")
    if all(wanted != method for wanted, _ in rows):
        return problem(405, "method_not_allowed", f"{where}: Method Not Allowed")
    return forbidden(caller, where, f"the role {least}").problem
