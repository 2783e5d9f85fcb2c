"""The OpenAPI document: complete, and true to the models."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import BaseModel

from api.auth import OPEN_PATHS
from api.problems import Problem
from api.wire import (
    ahead,
    arrays,
    dispatch,
    flexibility,
    hashprice,
    health,
    history,
    jobs,
    members,
    miners,
    notifications,
    outlook,
    partners,
    people,
    plans,
    power_events,
    projects,
    reports,
    settlement,
    shadow,
    signals,
    site as site_wire,
    stops,
    uploads,
)
from api.wire.parts import Sent
from barq.request import JobRequest
from tests.api_site import PROBLEM, ApiSite


@pytest.fixture
async def document(site: ApiSite) -> dict[str, Any]:
    """The document as a client gets it."""
    response = await site.client.get("/openapi.json")
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each path with each of its operations."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def models() -> dict[str, type[BaseModel]]:
    """All models of the wire, by name."""
    found = [
        value
        for module in (
            arrays,
            dispatch,
            flexibility,
            hashprice,
            health,
            history,
            ahead,
            jobs,
            members,
            miners,
            notifications,
            outlook,
            partners,
            people,
            plans,
            power_events,
            projects,
            reports,
            settlement,
            shadow,
            signals,
            site_wire,
            stops,
            uploads,
        )
        for value in vars(module).values()
        if isinstance(value, type)
    ]
    return {m.__name__: m for m in [*found, Problem, JobRequest] if issubclass(m, BaseModel)}


SITE_PATHS = (
    "nodes",
    "nodes/join",
    "nodes/{name}/leave",
    "nodes/{name}/forget",
    "power",
    "power/history",
    "power/events",
    "power/events/{event_id}",
    "power/limits",
    "power/release",
    "power/estop",
    "power/estop/release",
    "dispatch",
    *(f"dispatch/{{instruction_id}}{verb}" for verb in ("", "/acknowledge", "/refuse")),
    "miners",
    "miners:wish",
    "miners:join",
    *(f"miners/{{miner_id}}{verb}" for verb in ("", "/history", "/wish")),
    "projects",
    "partners",
    "partners/{name}",
    "forecast",
    "events",
    "hashprice",
    "hashprice/history",
    "signals/{name}",
    "shadow/days",
    "summary",
    "reports/compliance",
    "reports/corrections",
    "settlement/statements/{partner}",
    "settlement/balances",
    "settlement/adjustments",
    "me",
    "tokens",
    "tokens/{name}",
    "arrays/{array_id}",
    *(f"arrays/{{array_id}}/{verb}" for verb in ("cancel", "hold", "release")),
)


async def test_every_path_of_the_design_is_there(document: dict[str, Any]) -> None:
    """And no other."""
    job = "/api/v1/jobs/{job_id}"
    verbs = ("cancel", "hold", "release", "logs", "events", "why", "attempts", "checkpoints", "notifications")
    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/api/v1/jobs",
        "/api/v1/jobs:batch",
        "/api/v1/jobs:plan",
        job,
        *(f"{job}/{verb}" for verb in verbs),
        *(f"/api/v1/{path}" for path in SITE_PATHS),
        *(f"/api/v1/uploads{path}" for path in ("", "/missing", "/blobs/{name}", "/packages/{name}")),
    }


async def test_every_error_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    """With the statuses that may come, and the schema of a problem."""
    schema = {"$ref": "#/components/schemas/Problem"}
    for path, operation in operations(document):
        answers = {int(status): answer for status, answer in operation["responses"].items()}
        if path not in OPEN_PATHS:
            assert {401, 403, 413, 503} <= set(answers), path
        if "{job_id}" in path:
            assert 404 in answers, path
        if "requestBody" in operation:
            assert 422 in answers, path
        for status, answer in answers.items():
            if status >= 400:
                assert list(answer["content"]) == [PROBLEM], (path, status)
                assert answer["content"][PROBLEM]["schema"] == schema
                Problem.model_validate(answer["content"][PROBLEM]["example"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_only_health_is_open(document: dict[str, Any]) -> None:
    """All else names the bearer token as its security, or a signature."""
    assert document["security"] == [{"token": []}]
    signed = {
        path for path, operation in operations(document) if operation.get("security") == [{"signature": []}]
    }
    assert signed == {"/api/v1/signals/{name}"}
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    assert {path for path, operation in operations(document) if operation.get("security") == []} == OPEN_PATHS


async def test_every_body_and_answer_has_an_example(document: dict[str, Any]) -> None:
    """The schema that it refers to carries it."""
    for path, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [
            answer.get("content", {}) for s, answer in operation["responses"].items() if int(s) < 400
        ]
        for content in contents:
            for kind, part in content.items():
                names = _names(part["schema"])
                examples = [document["components"]["schemas"][name].get("examples") for name in names]
                assert kind == "text/plain" or all(examples), (path, names)


async def test_every_example_is_what_its_model_takes(document: dict[str, Any]) -> None:
    """And what the model gives back is the example again, for answers."""
    known = models()
    seen = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            made = known[name].model_validate(example)
            if not issubclass(known[name], (JobRequest, Sent)):
                assert made.model_dump(mode="json", exclude_unset=True) == example
            seen += 1
    assert seen > 15


async def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    """No schema is named that is not there."""
    assert set(_all_names(document)) <= set(document["components"]["schemas"])


def _names(schema: dict[str, Any]) -> list[str]:
    """The models that a body's schema names, null left out."""
    return [part["$ref"].rpartition("/")[2] for part in schema.get("anyOf", [schema]) if "$ref" in part]


def _all_names(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for inner in part.values():
            yield from _all_names(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _all_names(inner)


async def test_the_document_is_made_once_however_many_ask(site: ApiSite) -> None:
    """Requests ask for it in threads."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = [pool.submit(site.app.openapi) for _ in range(8)]

    assert len({id(one.result()) for one in made}) == 1
