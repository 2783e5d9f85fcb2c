"""The client to await: the same verbs as the one that waits, and the same patience."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import httpx
import pytest

import barq
from barq.answers import DROPPED
from barq.async_client import AsyncClient
from barq.client import Client
from barq.errors import InvalidInput, NotFound, Unreachable
from barq.transport import RETRY_DELAYS_S
from tests.stub_site import StubSite, finished, job, problem, running

DOWN = httpx.ConnectError("connection refused")
CUT = httpx.RemoteProtocolError("server disconnected")
PROGRAM = """
import sys, barq
print("httpx" in sys.modules, "barq.client" in sys.modules)
from barq import AsyncClient, Client
print(Client.__name__, AsyncClient.__name__)
"""


def client_of(site: StubSite) -> AsyncClient:
    """A client of this site, which never really sleeps."""

    async def sleep(seconds: float) -> None:
        site.slept_s.append(seconds)

    return AsyncClient("http://site.test", "secret", transport=httpx.MockTransport(site.handle), sleep=sleep)


def verbs(kind: type) -> dict[str, Any]:
    """The public attributes of a client, its own and those of what it is made of, by name."""
    own = (pair for part in kind.__mro__ if part is not object for pair in vars(part).items())
    return {name: value for name, value in own if not name.startswith("_")}


def test_both_clients_have_the_same_verbs() -> None:
    """Names, arguments, defaults, results and words; iterators become asynchronous ones, nothing else differs."""
    waits, awaits = verbs(Client), verbs(AsyncClient)
    assert list(waits) == list(awaits)

    for name in (name for name, verb in waits.items() if inspect.isfunction(verb)):
        theirs, ours = inspect.signature(waits[name]), inspect.signature(awaits[name])
        assert theirs.parameters == ours.parameters, name
        assert theirs.return_annotation == ours.return_annotation.replace("AsyncIterator", "Iterator"), name
        assert waits[name].__doc__ == awaits[name].__doc__, name
        is_stream = "Iterator" in theirs.return_annotation
        assert inspect.iscoroutinefunction(awaits[name]) != is_stream, name


def test_the_clients_are_loaded_when_they_are_asked_for() -> None:
    """`import barq` is what a job does, and brings no HTTP client along."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == ("False False\nClient AsyncClient\n", "")


def test_what_barq_has_not_is_told() -> None:
    """As by any module."""
    with pytest.raises(AttributeError, match="module 'barq' has no attribute 'Klient'"):
        _ = barq.Klient  # type: ignore[attr-defined]


async def test_it_asks_with_its_token() -> None:
    """As a bearer token, and closes its connections at the end."""
    site = StubSite(job(1))

    async with client_of(site) as client:
        assert (await client.job("demo-1"))["id"] == "demo-1"
        assert client.url == "http://site.test"

    assert site.requests[0].headers["authorization"] == "Bearer secret"


async def test_a_site_that_restarts_is_waited_for() -> None:
    """As long as by the other client, and then it is unreachable."""
    site = StubSite().on("POST", "/jobs", DOWN, DOWN, httpx.Response(201, json=job(1)))
    assert (await client_of(site).submit({"entrypoint": "true"}))["id"] == "demo-1"
    assert site.slept_s == list(RETRY_DELAYS_S[:2])

    with pytest.raises(Unreachable, match=r"no site answers at http://site\.test"):
        await client_of(StubSite().on("GET", "/power", DOWN)).power()


async def test_an_answer_that_is_lost_is_asked_for_again_by_a_get_only() -> None:
    """A submission may have been queued."""
    assert await client_of(StubSite().on("GET", "/nodes", CUT, {"nodes": []})).nodes() == []
    site = StubSite().on("POST", "/jobs", CUT)

    with pytest.raises(Unreachable, match="broke off its answer"):
        await client_of(site).submit({"entrypoint": "true"})

    assert len(site.requests) == 1


async def test_jobs_come_page_by_page_and_are_found() -> None:
    """The talks that take several requests work alike."""
    site = StubSite(*(job(number) for number in range(1, 1202)))
    client = client_of(site)

    assert len([one async for one in client.every_job()]) == 1201
    assert (await client.find("1201"))["id"] == "demo-1201"
    with pytest.raises(InvalidInput, match="could be"):
        await client.find("demo")
    with pytest.raises(NotFound):
        await client.find("lab")


async def test_waiting_rides_out_a_restart() -> None:
    """Each state is given once; a site that is away meanwhile ends no wait."""
    away = [DOWN] * (len(RETRY_DELAYS_S) + 1)
    site = StubSite().on("GET", "/jobs/demo-1", job(1), *away, running(1), running(1), finished(1))

    states = [one["state"] async for one in client_of(site).watch(["demo-1"])]

    assert states == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert [one["state"] for one in await client_of(site).wait(["demo-1"])] == ["SUCCEEDED"]


async def test_logs_whose_start_is_gone() -> None:
    """Is heard before the first piece."""
    site, heard = StubSite(), list[int]()
    site.on("GET", "/jobs/demo-1/logs", httpx.Response(200, text="step 9\n", headers={DROPPED: "14"}))

    async for piece in client_of(site).logs("demo-1", missing=heard.append):
        assert (piece, heard) == ("step 9\n", [14])


async def test_logs_that_cannot_be_had_or_break_off() -> None:
    """A refusal is raised as anywhere; what came before the end is kept."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b"step 1\n"
            raise httpx.ReadError("gone")

    site = StubSite().on("GET", "/jobs/demo-1/logs", httpx.Response(200, stream=Broken()))
    site.on("GET", "/jobs/demo-9/logs", problem(404, "job_not_found", "there is no job demo-9"))
    pieces = client_of(site).logs("demo-1", follow=True)

    assert await anext(pieces) == "step 1\n"
    with pytest.raises(Unreachable, match="broke off"):
        await anext(pieces)
    with pytest.raises(NotFound):
        await anext(client_of(site).logs("demo-9"))
