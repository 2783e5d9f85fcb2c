"""Every error of the API as `application/problem+json` (RFC 9457) with a stable `code`.

A `Refusal` is raised by routes; everything else that can go wrong (an unknown path, a body that makes no sense, a
store that does not answer, a bug) is turned into the same form here, and says nothing of the inside.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from barq import refusal
from barq.field_places import FIELD_PLACES
from scheduler.errors import StoreError
from scheduler.store import refusals as store

PROBLEM_JSON: Final = "application/problem+json"
MAX_ERRORS: Final = 20
"""Of one request that are told at once."""
_SHOWN_CHARACTERS: Final = 200
_CODES: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_too_slow",
    413: "body_too_large",
    422: "invalid_field",
}
_STORE_STATUSES: Final = {
    "job_not_found": 404,
    "array_not_found": 404,
    "node_not_found": 404,
    "limit_not_found": 404,
    "instruction_not_found": 404,
    "miner_not_found": 404,
    "group_not_found": 404,
    "miner_cannot": 409,
    "refused_final": 409,
    "token_name_taken": 409,
    "token_not_found": 404,
    "power_event_not_found": 404,
    "nothing_settled": 404,
}
log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One field that is refused."""

    code: str
    field: str
    value: str | None = None
    remedy: str


class Problem(BaseModel):
    """What went wrong: `code` is for programs and stays as it is, `detail` and `remedy` are for people."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:barq:problem:invalid_field",
                    "title": HTTPStatus(422).phrase,
                    "status": 422,
                    "code": "invalid_field",
                    "detail": "resources.gpus = -1 is refused; write a number of at least 0",
                    "field": "resources.gpus",
                    "value": "-1",
                    "remedy": "write a number of at least 0",
                }
            ]
        }
    )

    type: str = Field(description="`urn:barq:problem:` and the code")
    title: str = Field(description="The status in words")
    status: int
    code: str
    detail: str = Field(description="One sentence")
    field: str | None = Field(None, description="Which field of the request, dotted")
    value: str | None = Field(None, description="What it held, as JSON, cut short")
    remedy: str | None = Field(None, description="What to do about it")
    errors: list[FieldError] | None = Field(None, description="All refused fields, if there are several")


class Refused(Exception):
    """A request that is understood and refused. `detail` is one sentence, `remedy` says what to do instead."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(detail)
        shown = None if value is None else refusal.shown(value)
        self.problem = problem(status, code, detail, field=field, value=shown, remedy=remedy)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str | None = None,
    value: str | None = None,
    remedy: str | None = None,
    errors: list[FieldError] | None = None,
) -> Problem:
    """A problem with its title and type filled in."""
    return Problem(
        type=f"urn:barq:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        field=field,
        value=value,
        remedy=remedy,
        errors=errors,
    )


def answer(what: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP response that carries a problem."""
    content = what.model_dump(exclude_none=True)
    return JSONResponse(
        content, status_code=what.status, headers=dict(headers or {}), media_type=PROBLEM_JSON
    )


def unauthorized(detail: str, remedy: str) -> Response:
    """The answer to a request without a token that opens the door."""
    headers = {"WWW-Authenticate": 'Bearer realm="barq"'}
    return answer(problem(401, "unauthorized", detail, remedy=remedy), headers)


def store_unavailable(error: StoreError) -> Response:
    """The answer while the database cannot be used. What exactly is wrong is in the log, not in the answer."""
    log.error("the database cannot be used: %s", error)
    detail, remedy = "the site cannot reach its database", "try again in a moment"
    return answer(problem(503, "store_unavailable", detail, remedy=remedy), {"Retry-After": "2"})


def install(app: FastAPI) -> None:
    """Have `app` answer every error with a problem."""
    for kind in (Refused, store.Refused, RequestValidationError, HTTPException, StoreError, Exception):
        app.add_exception_handler(kind, told)


async def told(request: Request, error: Exception) -> Response:
    """The answer to a request that failed so."""
    match error:
        case Refused():
            return answer(error.problem)
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return http_error(request, error)
        case store.Refused():
            return answer(_refused_by_store(error))
        case StoreError():
            return store_unavailable(error)
        case _:
            return _unforeseen(request, error)


def _invalid(error: RequestValidationError) -> Response:
    details = error.errors()
    found = [_explained(d) for d in details[:MAX_ERRORS]]
    first, more = found[0], len(details) - 1
    detail = f"{first.field} {first.problem}" + (f" (and {more} more)" if more else "")
    errors = [FieldError(code=r.code, field=r.field, value=r.value or None, remedy=r.remedy) for r in found]
    return answer(
        problem(
            422,
            first.code,
            detail,
            field=first.field,
            value=first.value or None,
            remedy=first.remedy,
            errors=errors if more else None,
        )
    )


def _refused_by_store(error: store.Refused) -> Problem:
    """The store says what is so and, after a semicolon, what to do."""
    detail, _, remedy = str(error).partition("; ")
    if isinstance(error, store.InvalidField):
        shown = refusal.shown(error.value)
        detail = f"{error.field} = {shown} is refused"
        return problem(422, error.code, detail, field=error.field, value=shown, remedy=error.remedy)
    return problem(_STORE_STATUSES.get(error.code, 422), error.code, detail, remedy=remedy or None)


def _explained(details: Mapping[str, Any]) -> refusal.Refusal:
    """The first step of a path says only "body" or "query"; a body that is no JSON has no fields at all."""
    if details["type"] == "json_invalid" or isinstance(details.get("input"), bytes):
        why = details.get("ctx", {}).get("error", "no Content-Type says that it is")
        remedy = f"send `Content-Type: application/json` and valid JSON ({why})"
        return refusal.Refusal(code="invalid_json", field="body", value="no JSON", remedy=remedy)
    return refusal.explain({**details, "loc": tuple(details["loc"])[1:]}, known=FIELD_PLACES)


def http_error(request: Request, error: HTTPException) -> Response:
    """The answer to what the framework, or a limit on bodies, refuses."""
    code = _CODES.get(error.status_code, "refused")
    where = ascii(f"{request.method} {request.url.path}")[1:-1][:_SHOWN_CHARACTERS]
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request))) or headers.get("Allow", "")
    return answer(problem(error.status_code, code, f"{where}: {error.detail}"), headers)


def _methods(request: Request) -> set[str]:
    """The methods of all operations at this path: the framework knows only those of one of them."""
    app: FastAPI = request.app
    described = app.openapi()["paths"].items()
    return {m.upper() for path, methods in described if _matches(path, request) for m in methods}


def _matches(path: str, request: Request) -> bool:
    return compile_path(path)[0].match(request.url.path) is not None


def _unforeseen(request: Request, error: Exception) -> Response:
    """A bug. The server logs its trace, for it gets the exception too; the answer tells nothing of the inside."""
    log.error("%s failed with %s", ascii(request.url.path), type(error).__name__)
    return answer(problem(500, "internal", "the API failed", remedy="look into the log of the API"))
