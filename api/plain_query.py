"""A query says each thing once, and nothing that the route does not know: what is ignored looks like heard."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import FastAPI, Request

from api.problems import Refused
from barq.refusal import dotted


async def plain_query(request: Request) -> None:
    """Refuse doubtful queries of routes that the OpenAPI document describes. Raises `Refused`."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    known = _known(request) if given else None
    if known is None:
        return
    for name, count in given.items():
        field = dotted((name,))
        if name not in known:
            remedy = f"use {', '.join(sorted(known))}" if known else "leave the query away"
            detail = f"the query has the field {field}, which is not known here; {remedy}"
            raise Refused(
                422, "unknown_field", detail, field=field, value=_last(request, name), remedy=remedy
            )
        if count > 1 and not known[name]:
            detail, remedy = f"the query gives {field} {count} times", "give it once"
            raise Refused(
                422, "invalid_field", detail, field=field, value=_last(request, name), remedy=remedy
            )


def _last(request: Request, name: str) -> str:
    return request.query_params.getlist(name)[-1]


def _known(request: Request) -> dict[str, bool] | None:
    """The parameters of the route's query, and whether each is a list; None if the document has no such route."""
    app: FastAPI = request.app
    described = (methods for path, methods in app.openapi()["paths"].items() if _is_of(request, path))
    methods: dict[str, Any] = next(described, {})
    operation = methods.get(request.method.lower())
    if operation is None:
        return None
    parameters = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    return {p["name"]: _takes_several(p["schema"]) for p in parameters}


def _is_of(request: Request, path: str) -> bool:
    for name, value in request.path_params.items():
        path = path.replace(f"{{{name}}}", str(value))
    asked: str = request.scope["path"]
    return path == asked


def _takes_several(schema: dict[str, object]) -> bool:
    options = schema.get("anyOf", [schema])
    return isinstance(options, list) and any(option.get("type") == "array" for option in options)
