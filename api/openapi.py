"""The OpenAPI document: what FastAPI knows, and how errors and tokens look."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.auth import OPEN_PATHS
from api.problems import PROBLEM_JSON, Problem
from api.roles import SIGNED_PATHS
from api.wire.parts import Shown
from api.wire.signals import PushedLimit
from barq.webhook import SIGNATURE

REF: Final = "#/components/schemas/{model}"
TEXT: Final[dict[str, Any]] = {
    "description": "The output as UTF-8 text",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "step 340 loss 1.83\n"}},
}
_CODES: Final = {
    400: ("bad_request", "The request is not HTTP, says something of itself in two ways, or breaks off"),
    401: ("unauthorized", "No bearer token, or one that is unknown, expired or revoked"),
    403: ("forbidden", "The token's role does not include this, or it is somebody else's job"),
    404: ("not_found", "There is no such job, token, node, miner, power event, partner, blob or package"),
    409: (
        "refused_final",
        "As things stand it cannot be: a job has ended, a name is taken, a node has no room, blobs lack",
    ),
    408: ("body_too_slow", "The body did not arrive in time"),
    413: ("body_too_large", "The body is larger than 8 MiB, or what is uploaded than the site takes"),
    415: ("unsupported_encoding", "The body is packed, or JSON that is not UTF-8"),
    422: ("invalid_field", "A field makes no sense, is unknown, or the job never fits"),
    503: ("not_ready", "The database or the scheduler does not answer"),
    507: ("no_room", "What is left of the site's disk is kept for guards and scheduler"),
}
ANYWHERE: Final = (400, 408, 413, 415)
"""Statuses of requests that are refused before any route sees them."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route's refusals look, for its documentation."""
    return {status: _error(status) for status in statuses}


def describe(app: FastAPI) -> None:
    """Have `app` publish the document with problems and the bearer token in it."""
    alone = threading.Lock()  # FastAPI cannot make two at once, and requests ask for it in threads

    def openapi() -> dict[str, Any]:
        with alone:
            if app.openapi_schema is None:
                app.openapi_schema = _document(app)
            return app.openapi_schema

    setattr(app, "openapi", openapi)  # noqa: B010 - FastAPI's own way to extend it, which mypy takes for a mistake


def _error(status: int) -> dict[str, Any]:
    code, description = _CODES[status]
    example = {
        "type": f"urn:barq:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": description,
    }
    schema = {"$ref": REF.format(model="Problem")}
    return {"description": description, "content": {PROBLEM_JSON: {"schema": schema, "example": example}}}


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    components = document.setdefault("components", {})
    for model in (Problem, PushedLimit):
        schema = model.model_json_schema(ref_template=REF)
        components.setdefault("schemas", {}).update(schema.pop("$defs", {}) | {model.__name__: schema})
    _restore_nulls(components["schemas"])
    signature = {"type": "apiKey", "in": "header", "name": SIGNATURE}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}, "signature": signature}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values() if path.startswith(SIGNED_PATHS) else ():
            operation["security"] = [{"signature": []}]
    for path in OPEN_PATHS:
        for operation in document["paths"][path].values():
            operation["security"] = []
    return document


def _restore_nulls(schemas: dict[str, Any]) -> None:
    """FastAPI drops nulls from examples; in an answer they are there."""
    for model in _below(Shown):
        schema = schemas.get(model.__name__, {})
        if "examples" in schema:
            schema["examples"] = model.model_json_schema()["examples"]


def _below(model: type[Shown]) -> Iterator[type[Shown]]:
    for kind in model.__subclasses__():
        yield kind
        yield from _below(kind)
