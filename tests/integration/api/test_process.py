"""The API as its own process: where it listens, how it stops, and logs that are followed over a socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.api_server import Server, site_of
from tests.waiting import wait_until


def test_it_tells_where_it_listens_and_keeps_its_port(state: Path, server: Server) -> None:
    """A client finds a restarted API where it was; stopping is no failure."""
    first = server.address()
    assert httpx.get(f"{first['api_url']}/healthz").json()["status"] == "ok"

    code, output = server.stop()
    again = Server(state)
    second = again.address()
    again.stop()

    assert code == 0, output
    assert (second["host"], second["port"]) == (first["host"], first["port"]) == ("127.0.0.1", second["port"])


def test_a_port_that_is_taken_since_is_left_to_its_owner(state: Path, server: Server) -> None:
    """A second API on the same state finds another."""
    other = Server(state)
    theirs = other.address()
    other.stop()

    assert theirs["port"] != 0
    assert server.process.poll() is None


def test_a_state_that_is_no_site_is_told_in_one_line(tmp_path: Path) -> None:
    """What is missing, without a trace."""
    done = subprocess.run(
        [sys.executable, "-m", "api", "--state", str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "site.yaml" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_log_is_followed_until_the_job_has_ended(server: Server) -> None:
    """Across a rotation, to its last byte."""
    async with site_of(server) as (site, client):
        await site.submit()
        log = _log_of(server)
        log.write_bytes(b"one\ntwo\n")
        url = "/api/v1/jobs/t-1/logs"
        async with client.stream("GET", url, params={"follow": "true", "tail": "1"}) as response:
            assert response.headers["content-type"] == "text/plain; charset=utf-8"
            pieces = response.aiter_text()
            assert await anext(pieces) == "two\n"
            log.rename(log.with_name("job.log.1"))
            log.write_bytes(b"three \xff\n")
            assert await anext(pieces) == "three \N{REPLACEMENT CHARACTER}\n"
            await site.end("t-1")
            assert [piece async for piece in pieces] == []

        assert (await client.get(url)).text == "one\ntwo\nthree \N{REPLACEMENT CHARACTER}\n"
        assert (await client.get(url, params={"tail": 0})).text == ""


async def test_a_reader_that_goes_away_is_let_go(server: Server) -> None:
    """No follower is kept, no file stays open."""
    async with site_of(server) as (site, client):
        await site.submit()
        log = _log_of(server)
        log.write_bytes(b"one\n")
        async with client.stream("GET", "/api/v1/jobs/t-1/logs", params={"follow": "true"}) as response:
            assert await anext(response.aiter_text()) == "one\n"
            assert str(log) in server.open_files()

        await wait_until(lambda: str(log) not in server.open_files(), timeout_s=10, what="the log is closed")


async def test_stopping_does_not_wait_for_followers(server: Server) -> None:
    """Their answers end, whole."""
    async with site_of(server) as (site, client):
        await site.submit()
        _log_of(server).write_bytes(b"one\n")
        async with client.stream("GET", "/api/v1/jobs/t-1/logs", params={"follow": "true"}) as response:
            pieces = response.aiter_text()
            assert await anext(pieces) == "one\n"
            os.kill(server.process.pid, signal.SIGTERM)
            assert [piece async for piece in pieces] == []

    output, _ = server.process.communicate(timeout=30)
    assert server.process.returncode == 0, output
    assert b"Cancel" not in output


def _log_of(server: Server) -> Path:
    """Where the log of the first job is."""
    folder = server.state / "jobs" / "t-1"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "job.log"
