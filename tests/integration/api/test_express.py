"""The short way for what comes by the hundred: it answers what the long way answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from api import express
from api.express import MAX_BYTES
from api.routes import jobs
from scheduler.errors import StoreError
from tests.api_site import ApiSite, refused, two_nodes

PATH = "/api/v1/jobs"
JOB = {
    "entrypoint": ["python", "train.py"],
    "resources": {"gpus": 1},
    "env": {"SEED": 7},
    "begin": "2099-01-01T00:00:00Z",
}
TIMES = ("id", "number", "submitted_at", "since_at")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went the short way."""
    ways: list[str] = []
    for name in ("submit_one", "show"):
        done = getattr(jobs, name)

        def note(*given: Any, name: str = name, done: Any = done) -> Any:
            ways.append(name)
            return done(*given)

        monkeypatch.setattr(express, name, note)
    return ways


async def long_way(site: ApiSite, *request: Any, **options: Any) -> httpx.Response:
    """The answer to a request that has something unusual about it, and means the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(express, "_is_submission", lambda *_: False)
        patch.setattr(express, "_is_look", lambda *_: False)
        return await site.client.request(*request, **options)


async def test_a_job_is_queued_alike(site: ApiSite, taken: list[str]) -> None:
    """The same answer, the same heads, but for the number and the time."""
    short = await site.client.post(PATH, json=JOB)
    assert short.status_code == 201, short.text
    assert taken == ["submit_one"]
    long = await long_way(site, "POST", PATH, json=JOB)

    assert taken == ["submit_one"]
    assert (short.status_code, sorted(short.headers)) == (long.status_code, sorted(long.headers))
    assert short.headers["content-type"] == long.headers["content-type"]
    one, other = short.json(), long.json()
    assert (one.pop("id"), other.pop("id")) == ("t-1", "t-2")
    assert list(one) == list(other)
    for key in TIMES:
        one.pop(key, None), other.pop(key, None)
    assert one == other


async def test_a_job_is_shown_alike(site: ApiSite, taken: list[str]) -> None:
    """To the byte, also to somebody whose business it is not."""
    await site.show(two_nodes())
    await site.submit(env={"SECRET": "x"}, resources={"gpus": 2})
    await site.run("t-1")
    taken.clear()
    async with site.client_of("bob", "viewer") as viewer:
        for client in (site.client, viewer):
            short = await client.get(f"{PATH}/t-1")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(express, "_is_look", lambda *_: False)
                long = await client.get(f"{PATH}/t-1")
            assert (short.status_code, short.content) == (200, long.content)
            assert short.headers == long.headers
    assert taken == ["show", "show"]


@pytest.mark.parametrize(
    "body, headers",
    [
        (b'{"entrypoint": 1}', {}),
        (b'{"entrypoint": "true", "resources": {"gpus": "1"}}', {}),
        (b'{"entrypoint": "true", "entrypoint": "false"}', {}),
        (b'{"entrypoint": "true", "gpus": 1}', {}),
        (b'{"entrypoint": "true"', {}),
        (b'{"entrypoint": "\xff"}', {}),
        (b'{"entrypoint": "true"}', {"Content-Type": "text/plain"}),
        (b'{"entrypoint": "true"}', {"Content-Type": "application/json; charset=latin-1"}),
        (b'{"entrypoint": "true"}', {"Content-Encoding": "gzip"}),
        (b'{"entrypoint": "true"}', {"Authorization": "Bearer wrong"}),
        (b'{"entrypoint": "true", "dependencies": ["afterok:t-9"]}', {}),
        (b'{"entrypoint": "true", "resources": {"gpus": 64}}', {}),
    ],
)
async def test_refusals_are_those_of_the_long_way(
    site: ApiSite, body: bytes, headers: dict[str, str]
) -> None:
    """Word by word, and nothing is queued."""
    await site.show(two_nodes())
    options: dict[str, Any] = {
        "content": body,
        "headers": {"Content-Type": "application/json", **headers},
    }

    short = await site.client.post(PATH, **options)
    long = await long_way(site, "POST", PATH, **options)

    assert short.status_code >= 400
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert await site.get("/jobs") == {"jobs": [], "next": None}


async def test_what_a_role_may_not_do_is_refused_alike(site: ApiSite, taken: list[str]) -> None:
    """A viewer queues nothing; a job that is not there is shown to nobody."""
    async with site.client_of("bob", "viewer") as viewer:
        refused(await viewer.post(PATH, json=JOB), 403, "forbidden")
    for job_id in ("t-1", "no%00job", "x" * 300):
        refused(await site.client.get(f"{PATH}/{job_id}"), 404, "job_not_found")
    refused(await site.client.get(f"{PATH}/t-1?x=1"), 422, "unknown_field")
    assert taken == ["show"]


async def test_large_bodies_go_the_long_way(site: ApiSite, taken: list[str]) -> None:
    """They are served all the same."""
    body = json.dumps({"entrypoint": "true"}).encode() + b" " * MAX_BYTES

    response = await site.client.post(PATH, content=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 201, response.text
    assert taken == []


async def test_nobody_unknown_is_waited_for(site: ApiSite, taken: list[str]) -> None:
    """A body that does not come is left to the long way, which asks first who sends it; a late one is served."""

    async def late() -> dict[str, Any]:
        await asyncio.sleep(2 * express.SOON_S)
        return {"type": "http.request", "body": b'{"entrypoint": "true"}', "more_body": False}

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    for receive, token, status in ((never, "wrong", 401), (late, site.token, 201)):
        sent: list[dict[str, Any]] = []

        async def send(message: Any, sent: list[dict[str, Any]] = sent) -> None:
            sent.append(message)

        head = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "content-length": "22",
        }
        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "scheme": "http",
            "root_path": "",
            "http_version": "1.1",
            "headers": [(name.encode(), value.encode()) for name, value in head.items()],
        }
        await site.app(scope, receive, send)
        assert sent[0]["status"] == status
    assert taken == []


@pytest.mark.parametrize("method", ["look_up_token", "get", "submit"])
async def test_a_database_that_fails_is_told_alike(
    site: ApiSite, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whether it fails for the token or for the job; nothing is tried a second time."""
    asked = []

    def broken(*_: object, **__: object) -> None:
        asked.append(method)
        raise StoreError("database /srv/secret.db: disk I/O error")

    monkeypatch.setattr(site.context.desk, method, broken)
    request = ("POST", PATH) if method == "submit" else ("GET", f"{PATH}/t-1")

    response = await site.client.request(*request, json=JOB if method == "submit" else None)

    refused(response, 503, "store_unavailable")
    assert response.headers["retry-after"]
    assert "secret" not in response.text
    assert asked == [method]


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "0"), ("Content-Length", "0")],
        [("Content-Length", "0"), ("Transfer-Encoding", "chunked")],
        [("Content-Encoding", "gzip")],
        [("Authorization", "Bearer other")],
    ],
)
async def test_a_doubtful_frame_is_refused_alike(
    site: ApiSite, taken: list[str], headers: list[tuple[str, str]]
) -> None:
    """Whoever sits between could read another request than we do: also where there is nothing to read."""
    job = await site.submit()
    taken.clear()
    own = ("Authorization", f"Bearer {site.token}")

    async with site.client_with({}) as client:
        short = await client.get(f"{PATH}/{job['id']}", headers=[own, *headers])

    assert short.status_code in (400, 401, 415), short.text
    assert taken == []
