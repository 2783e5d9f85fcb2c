"""The client and the command line against the real API and store; no scheduler runs, so jobs wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from api.settings import Settings
from barq.cli import app as commands
from barq.client import Client
from barq.errors import InvalidInput, NotFound, Unauthorized


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TestClient]:
    """The API of a site whose state is new."""
    settings = Settings(site="demo", state_dir=tmp_path, database=tmp_path / "barq.db")
    with TestClient(create_app(settings)) as api:
        yield api


@pytest.fixture
def site(api: TestClient, tmp_path: Path) -> Client:
    """A client that knows the site's token."""
    return Client("http://site.test", (tmp_path / "token").read_text().strip(), transport=api._transport)


def test_a_job_lives_through_the_client(site: Client) -> None:
    """Submitted, found by its number, held, released, cancelled, explained."""
    made = site.submit({"entrypoint": "true", "name": "first"})
    number = made["id"].rpartition("-")[2]

    assert site.find(number)["spec"]["entrypoint"] == "true"
    assert site.hold(made["id"])["desired"] == "HOLD"
    assert site.release(made["id"])["desired"] == "RUN"
    assert site.cancel(made["id"])["desired"] == "CANCEL"
    assert site.why(made["id"])["job_id"] == made["id"]
    asked = [f"job.{verb}_asked" for verb in ("hold", "release", "cancel")]
    assert [event["kind"] for event in site.events(made["id"])] == asked
    assert (site.attempts(made["id"]), site.checkpoints(made["id"])) == ([], [])
    assert "".join(site.logs(made["id"])) == ""


def test_many_jobs_are_listed_through_pages(site: Client) -> None:
    """Newest first, each once."""
    made = site.submit_many([{"entrypoint": "true"}] * 7)

    assert [job["id"] for job in site.every_job(page_size=3)] == [job["id"] for job in reversed(made)]


def test_limits_stand_until_released(site: Client) -> None:
    """What was set is listed, and released at once."""
    made = site.limit(2e5, reason="feeder work", for_s=1800)

    assert [limit["id"] for limit in site.limits()] == [made["id"]]
    assert [limit["reason"] for limit in site.release_limits(reason="done")] == ["feeder work"]
    assert site.limits() == []


def test_refusals_arrive_with_their_facts(site: Client, api: TestClient) -> None:
    """Field, value and remedy are those that the API gave, and a bad token is told as one."""
    with pytest.raises(InvalidInput) as caught:
        site.submit({"entrypoint": "true", "resources": {"gpus": -1}})
    with pytest.raises(NotFound):
        site.job("nowhere-1")
    with pytest.raises(Unauthorized, match="token"):
        Client("http://site.test", "wrong", transport=api._transport).limits()

    assert (caught.value.field, caught.value.value) == ("resources.gpus", "-1")


def test_the_command_line_speaks_with_the_api(
    site: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each verb that needs no scheduler prints one JSON value and exits 0."""
    monkeypatch.setattr(Client, "from_environment", lambda: site)
    monkeypatch.setattr(site, "close", lambda: None)
    monkeypatch.chdir(tmp_path)
    verbs = [
        "submit",
        "jobs",
        "show 1",
        "why 1",
        "logs 1",
        "events 1",
        "hold 1",
        "release 1",
        "nodes",
        "cancel 1",
    ]

    for verb in verbs:
        command = ["--", "true"] if verb == "submit" else []
        result = CliRunner().invoke(commands, [*verb.split(), "--json", *command])
        assert (result.exit_code, result.stderr) == (0, ""), verb
        json.loads(result.stdout)
