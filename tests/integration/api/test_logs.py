"""A job's output over HTTP: what there is, its tail, and what comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from barq.answers import DROPPED
from barq.contract import dropped_file
from scheduler.errors import StoreError
from scheduler.store.desk import Desk
from tests.api_site import ApiSite, log_of, open_files, refused
from tests.waiting import wait_until

LOGS = "/api/v1/jobs/t-1/logs"


@pytest.fixture
async def followed(state: Path, url: str) -> AsyncIterator[tuple[ApiSite, httpx.AsyncClient]]:
    """A scheduler's hand in a site that is served, which has one job, and a client over the socket."""
    async with ApiSite(state) as site:
        await site.submit()
        headers = {"Authorization": f"Bearer {site.token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            yield site, client


async def test_what_there_is(site: ApiSite) -> None:
    """All of it, its last lines, or nothing yet."""
    await site.submit()
    assert (await site.client.get(LOGS)).text == ""
    log_of(site).write_bytes(b"one\ntwo\nthree\n")

    whole, tail = await site.client.get(LOGS), await site.client.get(LOGS, params={"tail": 2})

    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.text == "one\ntwo\nthree\n"
    assert tail.text == "two\nthree\n"
    assert open_files(site.state / "jobs") == []


async def test_a_start_that_is_gone_is_told_beside_the_text(site: ApiSite) -> None:
    """With how much it was; to whoever asks for the end of it, nothing is missing."""
    await site.submit()
    log_of(site).write_bytes(b"four\nfive\n")
    dropped_file(log_of(site)).write_text("14")

    whole, tail = await site.client.get(LOGS), await site.client.get(LOGS, params={"tail": 1})

    assert (whole.text, whole.headers[DROPPED]) == ("four\nfive\n", "14")
    assert DROPPED not in tail.headers


@pytest.mark.parametrize("params", [{"tail": "-1"}, {"tail": "x"}, {"follow": "perhaps"}, {"lines": "5"}])
async def test_a_question_that_makes_no_sense_is_refused(site: ApiSite, params: dict[str, str]) -> None:
    """Before anything is sent."""
    await site.submit()

    assert (await site.client.get(LOGS, params=params)).status_code == 422


async def test_a_log_that_is_no_file_is_told(site: ApiSite) -> None:
    """As a failure of the site, without its paths."""
    await site.submit()
    log_of(site).mkdir()

    response = await site.client.get(LOGS)

    refused(response, 500, "log_unreadable")
    assert str(site.state) not in response.text


async def test_a_log_is_followed_until_the_job_has_ended(
    followed: tuple[ApiSite, httpx.AsyncClient],
) -> None:
    """Across a rotation, to its last byte."""
    site, client = followed
    log = log_of(site)
    log.write_bytes(b"one\ntwo\n")
    async with client.stream("GET", LOGS, params={"follow": "true", "tail": "1"}) as response:
        pieces = response.aiter_text()
        assert await anext(pieces) == "two\n"
        log.rename(log.with_name("job.log.1"))
        log.write_bytes(b"three \xff\n")
        assert await anext(pieces) == "three \N{REPLACEMENT CHARACTER}\n"
        await site.end("t-1")
        assert [piece async for piece in pieces] == []

    assert (await client.get(LOGS)).text == "one\ntwo\nthree \N{REPLACEMENT CHARACTER}\n"


async def test_a_reader_that_goes_away_is_let_go(followed: tuple[ApiSite, httpx.AsyncClient]) -> None:
    """No follower is kept, no file stays open."""
    site, client = followed
    log_of(site).write_bytes(b"one\n")
    async with client.stream("GET", LOGS, params={"follow": "true"}) as response:
        assert await anext(response.aiter_text()) == "one\n"
        assert open_files(site.state / "jobs") != []

    await wait_until(lambda: open_files(site.state / "jobs") == [], timeout_s=60, what="the log is closed")


async def test_following_goes_on_while_the_database_fails(
    followed: tuple[ApiSite, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the job has ended is asked again."""
    site, client = followed
    log = log_of(site)
    log.write_bytes(b"one\n")
    async with client.stream("GET", LOGS, params={"follow": "true"}) as response:
        pieces = response.aiter_text()
        assert await anext(pieces) == "one\n"
        asked = _fails(monkeypatch)
        await wait_until(lambda: len(asked) > 1, timeout_s=60, what="it was asked again")
        monkeypatch.undo()
        log.write_bytes(b"one\ntwo\n")
        assert await anext(pieces) == "two\n"
        await site.end("t-1")
        assert [piece async for piece in pieces] == []


def _fails(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the store fail from now on; gives what it is asked for."""
    asked: list[str] = []

    def broken(_: Desk, job_id: str) -> None:
        asked.append(job_id)
        raise StoreError("disk I/O error")

    monkeypatch.setattr(Desk, "get", broken)
    return asked
