"""The clients of `barq`, the one that waits and the one to await, and the real API: each verb, over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barq import AsyncClient, Client
from barq.errors import InvalidInput, NotFound, Refused, ServerError, Unauthorized
from barq.jobfile import parse_job_text
from tests.awaited import awaited


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, state: Path, url: str) -> Iterator[Client]:
    """A client that found the site as the command line does: by its state directory."""
    assert url
    environ = {"BARQ_STATE": str(state)}
    if request.param == "sync":
        with Client.from_environment(environ) as made:
            yield made
    else:
        with awaited(lambda: AsyncClient.from_environment(environ)) as made:
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


def test_a_folder_goes_along_with_its_job(client: Client, state: Path, tmp_path: Path) -> None:
    """Sent once, however many jobs run in it."""
    folder, seen = tmp_path / "work", []
    (folder / "deep").mkdir(parents=True)
    (folder / "train.py").write_text("print('here')")
    (folder / "deep" / "data.bin").write_bytes(bytes(3_000_000))

    package = client.upload(folder, progress=lambda stage, done, total: seen.append((stage, done, total)))
    jobs = client.submit_many([{"entrypoint": "true", "working_dir": str(folder), "upload": True}] * 2)

    total = 3_000_000 + len("print('here')")
    assert [job["spec"]["package"] for job in jobs] == [package, package]
    assert {("hashing", total, total), ("sending", total, total)} <= set(seen)
    assert len([path for path in (state / "blobs").rglob("*") if path.is_file()]) >= 3


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


def test_job_files_are_submitted_by_their_path(client: Client, tmp_path: Path) -> None:
    """One job by `submit`, several by `submit_many`; a file of several is not cut down to its first."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("entrypoint: python train.py\n", "utf-8")
    two.write_text("- entrypoint: a\n- entrypoint: b\n", "utf-8")

    assert client.submit(one)["spec"]["working_dir"] == str(tmp_path)
    assert [job["id"] for job in client.submit_many(str(two))] == ["t-2", "t-3"]
    with pytest.raises(InvalidInput, match="holds 2 jobs; submit them together: submit_many"):
        client.submit(two)
    with pytest.raises(InvalidInput, match="cannot be read"):
        client.submit(tmp_path / "none.yaml")


def test_tokens_and_who_asks(client: Client, url: str) -> None:
    """Made, used, listed, revoked; jobs are found by their owner."""
    made = client.create_token("ada", role="researcher", expires_in_s=3600, name="laptop")

    with Client(url, made["token"]) as ada:
        me = ada.me()
        assert (me["user"], me["role"], me["token"], me["site"]) == ("ada", "researcher", "laptop", "t")
        assert me["expires_at"] == made["expires_at"] is not None
        ada.submit({"entrypoint": "true"})
        with pytest.raises(Refused, match="needs the role operator; ask an operator") as caught:
            ada.limit(5000.0, reason="drill")
        assert caught.value.code == "forbidden"
        assert [job["owner"] for job in client.every_job(owner="ada")] == ["ada"]
        assert {one["name"] for one in client.tokens()} == {"site", "laptop"}
        assert client.revoke_token("laptop")["user"] == "ada"
        with pytest.raises(Unauthorized, match=r"was revoked at .*barq login"):
            ada.me()
    with pytest.raises(NotFound, match="laptop"):
        client.revoke_token("laptop")


def test_the_log_of_a_job_is_streamed(client: Client, state: Path) -> None:
    """In pieces that are text, whole at the end."""
    client.submit({"entrypoint": "true"})
    log = state / "jobs" / "t-1" / "job.log"
    log.parent.mkdir(parents=True)
    log.write_text("step 1\nstep 2 ✓\n", "utf-8")

    assert "".join(client.logs("t-1")) == "step 1\nstep 2 ✓\n"
    assert "".join(client.logs("t-1", tail=1)) == "step 2 ✓\n"


def test_waiting_gives_up_in_time(client: Client) -> None:
    """A job that waits for a scheduler is returned as it is."""
    client.submit({"entrypoint": "true"})

    assert [job["state"] for job in client.wait(["t-1"], timeout_s=0)] == ["PENDING"]
    assert [job["state"] for job in client.watch(["t-1"], timeout_s=0)] == ["PENDING"]
    assert client.show("t-1") == client.job("t-1")
