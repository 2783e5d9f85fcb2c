"""The API as its own process: where it listens, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from api.server import bind, publish
from tests.api_server import REPOSITORY, Process
from tests.api_site import ApiSite, log_of


def test_it_tells_where_it_listens_and_keeps_its_port(state: Path, process: Process) -> None:
    """A client finds a restarted API where it was, also after a kill; stopping is no failure."""
    first = process.address()
    assert httpx.get(f"{first['api_url']}/healthz", timeout=60).json()["status"] == "ok"

    process.stop(signal.SIGKILL)
    again = Process(state)
    second = again.address()
    code, output = again.stop()

    assert code == 0, output
    assert (second["host"], second["port"]) == (first["host"], first["port"]) == ("127.0.0.1", second["port"])


def test_a_port_that_is_taken_since_is_left_to_its_owner(tmp_path: Path) -> None:
    """The next best is another."""
    with bind("127.0.0.1", 0, tmp_path) as first:
        publish(first, tmp_path)
        with bind("127.0.0.1", 0, tmp_path) as second:
            assert second.getsockname()[1] != first.getsockname()[1]


def test_an_answer_is_sent_at_once(tmp_path: Path) -> None:
    """The listener says that it is TCP: only then asyncio does not hold small pieces back."""
    with bind("127.0.0.1", 0, tmp_path) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_what_was_written_about_the_last_port_may_be_nonsense(tmp_path: Path) -> None:
    """Then any port will do."""
    (tmp_path / "run").mkdir()
    for text in ("{", "[]", "{}", '{"port": "x"}', '{"port": 99999}', '{"port": null}'):
        (tmp_path / "run" / "api.json").write_text(text, "utf-8")
        bind("127.0.0.1", 0, tmp_path).close()


def test_who_listens_everywhere_is_reached_here(tmp_path: Path) -> None:
    """The address for clients is one that can be connected to."""
    with bind("0.0.0.0", 0, tmp_path) as listener:  # noqa: S104 - for a moment, and nothing is served
        assert publish(listener, tmp_path) == f"http://127.0.0.1:{listener.getsockname()[1]}"
    if socket.has_dualstack_ipv6():
        with bind("::1", 0, tmp_path) as listener:
            assert publish(listener, tmp_path).startswith("http://[::1]:")


def test_a_state_that_is_no_site_is_told_in_one_line(tmp_path: Path) -> None:
    """What is missing, without a trace."""
    done = subprocess.run(
        [sys.executable, "-m", "api", "--state", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "site.yaml" in done.stderr
    assert "Traceback" not in done.stderr


async def test_stopping_does_not_wait_for_followers(state: Path, process: Process) -> None:
    """Their answers end, whole."""
    async with ApiSite(state) as site:
        await site.submit()
        log_of(site).write_bytes(b"one\n")
        headers, url = {"Authorization": f"Bearer {site.token}"}, process.address()["api_url"]
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
            client.stream("GET", "/api/v1/jobs/t-1/logs", params={"follow": "true"}) as response,
        ):
            pieces = response.aiter_text()
            assert await anext(pieces) == "one\n"
            os.kill(process.process.pid, signal.SIGTERM)
            assert [piece async for piece in pieces] == []

    output, _ = process.process.communicate(timeout=60)
    assert process.process.returncode == 0, output
    assert b"Cancel" not in output


def test_an_answer_is_not_held_back_for_an_acknowledgement(tmp_path: Path) -> None:
    """Its head and its body leave as they are written: together they would wait 40 ms for the client's kernel."""
    with (
        bind("127.0.0.1", 0, tmp_path) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
