"""Queueing jobs: one, many, and none of what makes no sense."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api_site import PROBLEM, ApiSite, refused, two_nodes


async def test_a_job_is_queued_and_shown_as_submitted(site: ApiSite) -> None:
    """With an id for life, a reason for waiting, and the job file as it was."""
    job = await site.submit(
        name="train", project="physics", resources={"gpus": 2}, time_limit="30m", working_dir="/srv"
    )

    assert job["id"] == "t-1"
    assert (job["state"], job["desired"], job["gpus"], job["nodes"]) == ("PENDING", "RUN", 2, 1)
    assert job["reason"]["code"] == "PendingEvaluation"
    assert job["spec"] == {
        "entrypoint": "true",
        "name": "train",
        "project": "physics",
        "resources": {"gpus": 2},
        "time_limit": 1800.0,
        "working_dir": "/srv",
    }
    assert await site.get("/jobs/t-1") == job


async def test_the_scheduler_finds_what_it_needs(site: ApiSite) -> None:
    """The stored specification has the job's own folders under the site's state."""
    await site.submit()

    spec = (await site.job("t-1")).spec

    assert spec.launch.command == ("/bin/sh", "-c", "true")
    assert spec.launch.log_path == str(site.state / "jobs" / "t-1" / "job.log")
    assert spec.launch.working_dir == str(site.state / "jobs" / "t-1" / "output")


async def test_the_scheduler_is_woken_by_what_it_should_look_at(site: ApiSite) -> None:
    """One datagram after each commit, urgent for a limit, even if the socket's full path is too long for the kernel."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, pytest.MonkeyPatch.context() as patch:
        patch.chdir(site.state / "run")
        door.bind("wake.sock")
        door.settimeout(5)
        for path, body, word in (
            ("/jobs", {"entrypoint": "true"}, b"wake"),
            ("/jobs:batch", {"jobs": [{"entrypoint": "true"}]}, b"wake"),
            ("/jobs/t-1/hold", None, b"wake"),
            ("/power/limits", {"limit_w": 1, "reason": "drill"}, b"now"),
            ("/power/release", {}, b"now"),
        ):
            response = await site.client.post(f"/api/v1{path}", json=body)
            assert response.is_success, response.text
            assert door.recv(64) == word
        door.settimeout(0)
        await site.client.post("/api/v1/jobs", json={"entrypoint": ""})
        with pytest.raises(BlockingIOError):
            door.recv(64)


@pytest.mark.parametrize(
    "body, code, field",
    [
        ({"entrypoint": "x", "resources": {"gpus": -1}}, "invalid_field", "resources.gpus"),
        ({"entrypoint": "x", "gpus": 1}, "unknown_field", "gpus"),
        ({"entrypoint": "x", "array": "10-1"}, "invalid_field", "array"),
        ({"entrypoint": "x", "nodes": "4..2"}, "invalid_field", "nodes"),
        ({"entrypoint": "x", "working_dir": "src"}, "invalid_field", "working_dir"),
        ({"entrypoint": "x", "dependencies": ["afterok:t-9"]}, "invalid_field", "dependencies"),
        ({"entrypoint": "x", "env": {"A": "\0"}}, "invalid_field", "env.A"),
        ({}, "invalid_field", "entrypoint"),
        ([], "invalid_field", "(document)"),
        (None, "invalid_field", "(document)"),
    ],
    ids=range(10),
)
async def test_a_job_that_makes_no_sense_is_refused_at_its_field(
    site: ApiSite, body: object, code: str, field: str
) -> None:
    """In the words of the job file, with a remedy; nothing is stored."""
    problem = refused(await site.client.post("/api/v1/jobs", json=body), 422, code)

    assert problem["field"] == field
    assert problem["remedy"]
    assert (await site.get("/jobs"))["jobs"] == []


BAD_BODIES = [
    b"{",
    b"\xff",
    b"[" * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"\\ud800": "\\ud800"}',
    b"nope",
    b"",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
async def test_a_body_that_is_no_json_is_refused(site: ApiSite, body: bytes, content_type: str) -> None:
    """Whatever it is, the answer is a problem of the asker's, in plain text."""
    headers = {"Content-Type": content_type} if content_type else {}

    response = await site.client.post("/api/v1/jobs", content=body, headers=headers)

    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["detail"].isprintable()


async def test_all_that_is_wrong_is_told_at_once(site: ApiSite) -> None:
    """The first in front, the others counted and listed, not without end."""
    body = {"entrypoint": "x", **{f"f{i}": i for i in range(50)}}

    problem = refused(await site.client.post("/api/v1/jobs", json=body), 422, "unknown_field")

    assert problem["detail"].endswith("(and 49 more)")
    assert len(problem["errors"]) == 20


async def test_a_batch_is_queued_in_order(site: ApiSite) -> None:
    """One request, one transaction, as many jobs."""
    jobs = [{"entrypoint": "true", "name": f"n{i}"} for i in range(30)]

    response = await site.client.post("/api/v1/jobs:batch", json={"jobs": jobs})

    assert response.status_code == 201
    assert [(j["id"], j["name"]) for j in response.json()["jobs"]] == [
        (f"t-{i + 1}", f"n{i}") for i in range(30)
    ]


@pytest.mark.parametrize(
    "bad, code, field",
    [
        ({"entrypoint": "x", "flex": 9}, "invalid_field", "jobs[1].flex"),
        ({"entrypoint": "x", "dependencies": ["afterok:t-9"]}, "invalid_field", "jobs[1].dependencies"),
        ({"entrypoint": "x", "resources": {"gpus": 5}}, "never_fits", "jobs[1].resources.gpus"),
        ({"entrypoint": "x", "service": {}}, "not_supported", "jobs[1].service"),
    ],
)
async def test_a_batch_with_one_bad_job_queues_none(
    site: ApiSite, bad: dict[str, Any], code: str, field: str
) -> None:
    """And the error names it."""
    await site.show(two_nodes())
    body = {"jobs": [{"entrypoint": "true"}, bad, {"entrypoint": "true"}]}

    problem = refused(await site.client.post("/api/v1/jobs:batch", json=body), 422, code)

    assert problem["field"] == field
    assert (await site.get("/jobs"))["jobs"] == []


async def test_an_empty_batch_is_refused(site: ApiSite) -> None:
    """It is more likely a mistake than a wish."""
    problem = refused(await site.client.post("/api/v1/jobs:batch", json={"jobs": []}), 422, "invalid_field")

    assert problem["field"] == "jobs"


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"resources": {"gpus": 5}}, "resources.gpus"),
        ({"nodes": 3}, "nodes"),
        ({"resources": {"gpus": 1, "gpu_type": "h100"}}, "resources.gpu_type"),
        ({"resources": {"gpus": 1, "node": "elsewhere"}}, "resources.node"),
    ],
)
async def test_what_can_never_run_here_is_refused_at_once(
    site: ApiSite, fields: dict[str, Any], field: str
) -> None:
    """Once the nodes are known; the message has the numbers."""
    await site.submit(**fields)  # nobody knows yet
    await site.show(two_nodes())

    response = await site.client.post("/api/v1/jobs", json={"entrypoint": "true", **fields})

    assert refused(response, 422, "never_fits")["field"] == field
    await site.submit(resources={"gpus": 4, "gpu_type": "a100-sxm-400w"}, nodes=2)
    await site.submit(resources={"gpus": 0})


async def test_a_node_that_never_reported_may_hold_anything(site: ApiSite) -> None:
    """A site that is still coming up turns no job away."""
    world = two_nodes()
    world.groups["node-2"] = replace(world.groups["node-2"], reported_at=None, gpus=())
    await site.show(world)

    await site.submit(resources={"gpus": 8})


async def test_a_batch_may_not_name_more_jobs_than_can_be_looked_up(site: ApiSite) -> None:
    """One question to the database has an end."""
    jobs = [
        {"entrypoint": "x", "dependencies": [f"afterok:t-{j}-{i}" for i in range(1000)]} for j in range(11)
    ]

    problem = refused(await site.client.post("/api/v1/jobs:batch", json={"jobs": jobs}), 422, "invalid_field")

    assert problem["field"] == "jobs"
    assert "dependencies" in problem["remedy"]


async def test_a_scheduler_that_cannot_be_woken_loses_nothing(
    site: ApiSite, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listening, a door that is knocked on too often, a directory that is gone: the job is queued."""
    caplog.set_level("INFO", logger="api.wake")
    await site.submit()
    assert "nobody listens" in caplog.text
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, pytest.MonkeyPatch.context() as patch:
        patch.chdir(site.state / "run")
        door.bind("wake.sock")
        for _ in range(1000):
            site.context.waker.wake()
    (site.state / "run" / "wake.sock").unlink()
    (site.state / "run").rmdir()
    (site.state / "run").write_text("no directory", "utf-8")
    await site.submit()
    assert "cannot be woken" in caplog.text

    assert len((await site.get("/jobs"))["jobs"]) == 2


async def test_a_deadline_counts_from_the_submission_and_is_shown_as_an_instant(site: ApiSite) -> None:
    """Beside the words that were sent."""
    began = datetime.now(UTC)
    job = await site.submit(deadline="6h", estimate="90m")

    due_at = datetime.fromisoformat(job["deadline_at"])
    assert began + timedelta(hours=6) <= due_at <= datetime.now(UTC) + timedelta(hours=6)
    assert (job["spec"]["deadline"], job["spec"]["estimate"]) == (21_600.0, 5400.0)
    spec = (await site.job("t-1")).spec
    assert (spec.deadline_at, spec.estimate_s) == (due_at, 5400.0)
    assert (await site.submit())["deadline_at"] is None


async def test_a_deadline_that_has_passed_is_refused_for_all_jobs_of_a_batch(site: ApiSite) -> None:
    """And by a dry run; one that cannot be met any more is the user's own affair."""
    late, tight = ({"entrypoint": "true", "deadline": text} for text in ("2026-01-01T06:00", "1s"))

    for path, body, field in (
        ("/jobs", late, "deadline"),
        ("/jobs:plan", late, "deadline"),
        ("/jobs:batch", {"jobs": [tight, late]}, "jobs[1].deadline"),
    ):
        response = await site.client.post(f"/api/v1{path}", json=body)
        problem = refused(response, 422, "invalid_field")
        assert (problem["field"], problem["value"]) == (field, '"2026-01-01T06:00:00+00:00"')
        assert "has passed: it is" in problem["detail"]
        assert "write a time to come" in problem["remedy"]
    assert (await site.get("/jobs"))["jobs"] == []
    await site.submit(**tight, estimate="1h")
