"""The client of `barq` and the real API: each method, over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barq.client import Client
from barq.errors import InvalidInput, NotFound, Refused, ServerError, Unauthorized
from barq.jobfile import parse_job_text


@pytest.fixture
def client(state: Path, url: str) -> Iterator[Client]:
    """A client that found the site as the command line does: by its state directory."""
    assert url
    with Client.from_environment({"BARQ_STATE": str(state)}) as made:
        yield made


def test_a_job_file_becomes_a_job_and_is_told_about(client: Client, state: Path) -> None:
    """From the text that a person writes to what the site shows of it."""
    text = b"name: train\nentrypoint: python train.py\ntime_limit: 1h\nresources: {gpus: 2, memory: 1GiB}\n"
    [request] = parse_job_text(text, file="job.yaml", folder=state)

    job = client.submit(request)

    assert (job["id"], job["name"], job["gpus"]) == ("t-1", "train", 2)
    assert job["spec"]["working_dir"] == str(state)
    assert job["spec"]["resources"] == {"gpus": 2, "memory": 2**30}
    assert client.find("1") == client.job("t-1") == job
    assert client.why("t-1")["reason"] == job["reason"]
    assert [*client.events("t-1"), *client.attempts("t-1"), *client.checkpoints("t-1")] == []
    assert list(client.logs("t-1")) == []


def test_many_jobs_come_back_page_by_page(client: Client) -> None:
    """In one batch in, in several pages out."""
    made = client.submit_many([{"entrypoint": "true", "name": f"n{i}"} for i in range(120)])

    assert [job["id"] for job in client.every_job()] == [job["id"] for job in reversed(made)]


def test_wishes_and_limits(client: Client) -> None:
    """Hold, release, cancel; limit and release."""
    client.submit({"entrypoint": "true"})

    assert [client.hold("t-1")["desired"], client.release("t-1")["desired"]] == ["HOLD", "RUN"]
    assert client.cancel("t-1")["desired"] == "CANCEL"
    limit = client.limit(5000.0, reason="drill", for_s=60)
    assert client.limits() == [limit]
    assert client.release_limits(reason="over") == [limit]
    assert client.nodes() == []
    assert client.summary()["withdrawals"] == 0


def test_refusals_arrive_as_what_they_are(client: Client, url: str) -> None:
    """Each with field, value and remedy, so that the command line can say them."""
    with pytest.raises(InvalidInput) as caught:
        client.submit({"entrypoint": "true", "flex": 7})
    assert (caught.value.code, caught.value.field, caught.value.value) == ("invalid_field", "flex", "7")
    assert caught.value.remedy == "write a number of at most 4"

    with pytest.raises(NotFound, match="t-9"):
        client.job("t-9")
    with pytest.raises(ServerError, match="not looked at the site"):
        client.power()
    client.submit({"entrypoint": "true"})
    client.cancel("t-1")
    with pytest.raises(Refused, match="CANCELLING"):
        client.hold("t-1")
    with Client(url, "wrong") as stranger, pytest.raises(Unauthorized):
        stranger.jobs()
