"""Who may do what, and whose job it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.roles import LEAST_ROLE, is_for_all
from api.wire import from_store
from barq.request import JobRequest
from barq.roles import Role
from tests.api_site import ApiSite, log_of, refused, two_nodes

SECRET = {"entrypoint": "python secret.py", "env": {"KEY": "hunter2"}, "working_dir": "/home/ada"}
OTHERS: list[tuple[str, str]] = [("GET", "logs"), ("POST", "cancel"), ("POST", "hold"), ("POST", "release")]


@pytest.fixture
async def people(site: ApiSite) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client for each of some people, by name."""
    roles = {"vera": "viewer", "ada": "researcher", "bob": "researcher", "olga": "operator"}
    async with AsyncExitStack() as stack:
        made = {user: site.client_of(user, role) for user, role in roles.items()}
        yield {user: await stack.enter_async_context(client) for user, client in made.items()}


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Each method and path that the application serves; of what is mounted, all paths below it, for reading."""
    served = set()
    for route in iter_route_contexts(app.routes):
        if route.methods is None:
            served.add(("GET", f"{route.path}/{{path:path}}"))
        else:
            served |= {(method, str(route.path)) for method in route.methods if method != "HEAD"}
    return served


async def test_every_route_has_a_least_role(site: ApiSite) -> None:
    """None is forgotten, and none stands in the table that is not there."""
    served = {(method, path) for method, path in routes_of(site.app) if not is_for_all({"path": path})}

    assert served == set(LEAST_ROLE)


NOBODY = {
    "job_id": "t-99",
    "array_id": "t-99",
    "instruction_id": "d9",
    "event_id": "99",
    "name": "nobody",
    "miner_id": "nobody",
}


async def test_each_role_gets_what_the_table_says_and_no_more(
    site: ApiSite, people: dict[str, httpx.AsyncClient]
) -> None:
    """All routes, asked by each role: refused as forbidden, or served as far as the request makes sense."""
    clients = {Role.VIEWER: people["vera"], Role.RESEARCHER: people["ada"], Role.OPERATOR: people["olga"]}
    clients[Role.ADMIN] = site.client
    site.app.state.context.stopping.set()  # streams end at once

    for (method, path), least in LEAST_ROLE.items():
        for role, client in clients.items():
            response = await client.request(
                method,
                path.format(
                    job_id="t-99",
                    array_id="t-99",
                    instruction_id="d9",
                    event_id=99,
                    name="nobody",
                    miner_id="nobody",
                    partner="nobody",
                ),
            )
            may = role.includes(least)
            assert (response.status_code == 403) == (not may), (method, path, role, response.text)
            if not may:
                problem = refused(response, 403, "forbidden")
                assert role in problem["detail"]
                assert f"the role {least}" in problem["detail"]
                assert "operator" in problem["remedy"]


async def test_a_forbidden_body_is_not_read(people: dict[str, httpx.AsyncClient]) -> None:
    """Whatever is in it: the role is asked first."""
    response = await people["vera"].post("/api/v1/jobs", content=b"{")

    refused(response, 403, "forbidden")


async def test_what_nobody_declared_is_shut(site: ApiSite, people: dict[str, httpx.AsyncClient]) -> None:
    """A route that was forgotten in the table is there for admins only."""

    @site.app.get("/api/v1/forgotten")
    def forgotten() -> str:
        return "secret"

    @site.app.delete("/api/v1/nodes")
    def undeclared() -> str:
        return "secret"

    refused(await people["olga"].get("/api/v1/forgotten"), 404, "not_found")
    refused(await people["olga"].delete("/api/v1/nodes"), 405, "method_not_allowed")
    assert (await site.client.get("/api/v1/forgotten")).json() == "secret"


async def test_a_job_belongs_to_who_submitted_it(site: ApiSite, people: dict[str, httpx.AsyncClient]) -> None:
    """Alone or in a batch, and it is found by its owner."""
    await people["ada"].post("/api/v1/jobs", json={"entrypoint": "true"})
    await people["bob"].post("/api/v1/jobs:batch", json={"jobs": [{"entrypoint": "true"}]})
    await site.submit()

    jobs = (await site.get("/jobs"))["jobs"]
    assert [(job["id"], job["owner"]) for job in jobs] == [("t-3", "site"), ("t-2", "bob"), ("t-1", "ada")]
    assert [job["id"] for job in (await site.get("/jobs", owner="bob"))["jobs"]] == ["t-2"]


async def test_what_others_run_is_withheld(site: ApiSite, people: dict[str, httpx.AsyncClient]) -> None:
    """State, GPUs and reason are for all; command, variables and folder for the owner and operators."""
    made = await people["ada"].post("/api/v1/jobs", json={**SECRET, "resources": {"gpus": 2}, "flex": 3})
    assert made.json()["spec"] == {**SECRET, "resources": {"gpus": 2}, "flex": 3}

    for user in ("vera", "bob"):
        listed = (await people[user].get("/api/v1/jobs")).json()["jobs"][0]
        shown = (await people[user].get("/api/v1/jobs/t-1")).json()
        assert listed == shown
        assert (shown["owner"], shown["state"], shown["gpus"]) == ("ada", "PENDING", 2)
        assert shown["reason"]["code"] == "PendingEvaluation"
        assert shown["spec"] == {"resources": {"gpus": 2}, "flex": 3}
        for rest in ("/why", "/events", "/attempts", "/checkpoints"):
            answer = await people[user].get(f"/api/v1/jobs/t-1{rest}")
            assert answer.status_code == 200
            assert "secret" not in answer.text
    for client in (people["olga"], site.client):
        assert (await client.get("/api/v1/jobs/t-1")).json()["spec"]["env"] == SECRET["env"]


async def test_a_field_of_the_job_file_is_withheld_unless_it_is_known_to_be_harmless(site: ApiSite) -> None:
    """What is added to the language later is not shown to others by accident."""
    whole = dict.fromkeys([*JobRequest.model_fields, "inputs", "notify", "later"], 1)
    await site.submit()
    view = site.context.desk.get("t-1")

    object.__setattr__(view, "request", whole)

    shown = from_store.job(view).spec
    assert not {"entrypoint", "env", "working_dir", "inputs", "notify", "later"} & set(shown)
    assert {"resources", "nodes", "priority"} <= set(shown)


@pytest.mark.parametrize("method, verb", OTHERS)
async def test_a_job_is_touched_by_its_owner_and_operators_only(
    site: ApiSite, people: dict[str, httpx.AsyncClient], method: str, verb: str
) -> None:
    """Others are told whose it is, which role they have, and what it takes."""
    await people["ada"].post("/api/v1/jobs", json=SECRET)
    log_of(site).write_text("loss 1.83\n", "utf-8")

    problem = refused(await people["bob"].request(method, f"/api/v1/jobs/t-1/{verb}"), 403, "forbidden")
    assert problem["detail"] == (
        "t-1, a job of ada, is not for bob with the role researcher: it needs its owner or the role operator"
    )
    assert (await site.get("/jobs/t-1"))["desired"] == "RUN"
    for user in ("ada", "olga"):
        assert (await people[user].request(method, f"/api/v1/jobs/t-1/{verb}")).status_code == 200
    assert (await people["bob"].request(method, f"/api/v1/jobs/t-9/{verb}")).status_code == 404


async def test_the_log_tells_who_did_it(site: ApiSite, people: dict[str, httpx.AsyncClient]) -> None:
    """Wishes, limits and tokens, each with the person; saying it again is no deed."""
    await site.show(two_nodes())
    await people["ada"].post("/api/v1/jobs", json=SECRET)
    for user, verb in (("ada", "hold"), ("ada", "hold"), ("olga", "release"), ("olga", "cancel")):
        await people[user].post(f"/api/v1/jobs/t-1/{verb}")
    await people["olga"].post("/api/v1/power/limits", json={"limit_w": 5000, "reason": "drill", "for_s": 60})
    await people["olga"].post("/api/v1/power/release", json={"reason": "over"})

    of_job = [(e["kind"], e["text"], e["data"]["by"]) for e in (await site.get("/jobs/t-1/events"))["events"]]
    assert of_job == [
        ("job.hold_asked", "ada asked to hold t-1", "ada"),
        ("job.release_asked", "olga asked to release t-1", "olga"),
        ("job.cancel_asked", "olga asked to cancel t-1", "olga"),
    ]
    deeds = [event for event in site.context.desk.events() if event.kind.startswith("limit.")]
    assert [event.text for event in deeds if event.data.get("by") == "olga"] == [
        "olga limited the site to 5.0 kW for 1 min: drill",
        "olga released limit 1 (5.0 kW): over",
    ]
    assert site.context.desk.verify_events() is None


async def test_a_limit_says_who_set_it(people: dict[str, httpx.AsyncClient]) -> None:
    """The user, not the name of one of the user's tokens."""
    made: Any = await people["olga"].post("/api/v1/power/limits", json={"limit_w": 5000, "reason": "drill"})

    assert made.json()["set_by"] == "olga"
