"""Listing and showing jobs, and saying what is wanted of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.core.jobs import CommitRef, JobState
from scheduler.core.reasons import Event, Reason
from scheduler.records import CheckpointNote
from tests.api_site import PROBLEM, ApiSite, refused
from tests.builders import T0


async def test_pages_go_through_all_jobs_newest_first(site: ApiSite) -> None:
    """Without a gap or a repetition, also while jobs are added in front."""
    for _ in range(7):
        await site.submit()
    first = await site.get("/jobs", limit=3)
    await site.submit()
    second = await site.get("/jobs", limit=3, after=first["next"])
    third = await site.get("/jobs", limit=3, after=second["next"])

    pages = [[job["id"] for job in page["jobs"]] for page in (first, second, third)]
    assert pages == [["t-7", "t-6", "t-5"], ["t-4", "t-3", "t-2"], ["t-1"]]
    assert third["next"] is None


async def test_jobs_are_found_by_state_name_and_project(site: ApiSite) -> None:
    """Also by the three states that a person thinks in."""
    await site.submit(name="a", project="p")
    await site.submit(name="b", project="p")
    await site.submit(name="b", project="q")
    await site.run("t-1")
    await site.end("t-2")

    async def ids(**params: Any) -> list[str]:
        return [job["id"] for job in (await site.get("/jobs", **params))["jobs"]]

    assert await ids(name="b") == ["t-3", "t-2"]
    assert await ids(project="p") == ["t-2", "t-1"]
    assert await ids(state="RUNNING") == ["t-1"]
    assert await ids(state="waiting") == ["t-3"]
    assert await ids(state="active") == ["t-1"]
    assert await ids(state="finished", name="b") == ["t-2"]


@pytest.mark.parametrize(
    "params, field",
    [
        ({"state": "lost"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"after": "x"}, "after"),
        ({"stat": "RUNNING"}, "stat"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(
    site: ApiSite, params: dict[str, str], field: str
) -> None:
    """A filter with a slip of the pen would show the wrong jobs."""
    response = await site.client.get("/api/v1/jobs", params=params)

    assert response.status_code == 422
    assert response.json()["field"] == field


@pytest.mark.parametrize("rest", ["", "/why", "/events", "/attempts", "/checkpoints", "/logs"])
@pytest.mark.parametrize("job_id", ["t-9", "%00", "%2E%2E%2Fjobs%2Ft-9", "é", "a%2Fb", "x" * 5000])
async def test_a_job_that_is_not_there_is_not_found(site: ApiSite, rest: str, job_id: str) -> None:
    """Whatever its name."""
    response = await site.client.get(f"/api/v1/jobs/{job_id}{rest}")

    assert response.status_code == 404
    assert response.headers["content-type"] == PROBLEM
    if job_id == "t-9":
        refused(response, 404, "job_not_found")


async def test_a_running_job_shows_where_it_is(site: ApiSite) -> None:
    """Its placements, its attempt by number, its step, its last commit."""
    await site.submit()
    await site.run("t-1")
    job = replace(await site.job("t-1"), last_commit=CommitRef(path="/c/step-30", step=30))
    await site.record(jobs=(job,))

    shown = await site.get("/jobs/t-1")

    assert (shown["state"], shown["attempt"], shown["attempts"], shown["step"]) == ("RUNNING", 1, 1, 40)
    assert shown["placements"] == [{"node_id": "node-1", "gpu_ids": ["0", "1"]}]
    assert shown["last_commit"] == {"step": 30, "path": "/c/step-30"}
    assert shown["reason"] is None
    assert shown["started_at"].endswith("Z")


async def test_why_a_job_waits(site: ApiSite) -> None:
    """The reason with its numbers, when it may end, what happened lately, from where it goes on."""
    await site.submit(checkpoint={"interval": "1m"})
    reason = Reason(
        code="PowerUnavailable",
        text="needs 2.8 kW, 1.1 kW are free",
        numbers={"needed_w": 2800.0, "free_w": 1100.0},
        expected_at=T0,
        remedy="ask for fewer GPUs",
    )
    events = [Event(at=T0, kind="job.note", text=f"note {i}", job_id="t-1", data={"i": i}) for i in range(8)]
    await site.record(reasons={"t-1": reason}, events=tuple(events))

    assert await site.get("/jobs/t-1/why") == {
        "job_id": "t-1",
        "state": "PENDING",
        "reason": {
            "code": "PowerUnavailable",
            "text": "needs 2.8 kW, 1.1 kW are free",
            "numbers": {"needed_w": 2800.0, "free_w": 1100.0},
            "remedy": "ask for fewer GPUs",
        },
        "expected": {"at": "2026-01-10T12:00:00Z"},
        "history": [f"note {i}" for i in range(3, 8)],
        "checkpoint": {"step": None, "path": None, "interval_s": 60.0},
        "position": None,
        "waiting": None,
        "ahead_gpus": None,
        "overtaken_until": None,
        "lacks": None,
        "expected_start": None,
        "deadline": None,
        "judged_on": None,
        "shadow": False,
    }


async def test_events_of_a_job_oldest_first(site: ApiSite) -> None:
    """The newest of them, or those after one that is known; nobody else's."""
    await site.submit()
    events = [Event(at=T0, kind="job.note", text=f"note {i}", job_id="t-1", data={"i": i}) for i in range(5)]
    await site.record(events=(*events, Event(at=T0, kind="limit.changed", text="other")))

    assert [e["text"] for e in (await site.get("/events", limit=2))["events"]] == ["note 4", "other"]
    every = (await site.get("/jobs/t-1/events"))["events"]
    newest = (await site.get("/jobs/t-1/events", limit=2))["events"]
    later = (await site.get("/jobs/t-1/events", after=every[1]["seq"], limit=2))["events"]

    assert [e["text"] for e in every] == [f"note {i}" for i in range(5)]
    assert every[0] == {
        "seq": every[0]["seq"],
        "at": "2026-01-10T12:00:00Z",
        "kind": "job.note",
        "text": "note 0",
        "data": {"i": 0},
    }
    assert [e["text"] for e in newest] == ["note 3", "note 4"]
    assert [e["text"] for e in later] == ["note 2", "note 3"]


async def test_attempts_and_checkpoints_of_a_job(site: ApiSite) -> None:
    """Each placement with how it went, each checkpoint with whether it may be used."""
    await site.submit()
    attempt = await site.run("t-1")
    notes = [
        CheckpointNote(job_id="t-1", attempt_id=attempt.id, step=10, path="/c/step-10", at=T0),
        CheckpointNote(
            job_id="t-1", attempt_id=attempt.id, step=20, path="/c/step-20", at=T0, damaged="bit flip"
        ),
    ]
    await site.record(checkpoints=tuple(notes))

    [made] = (await site.get("/jobs/t-1/attempts"))["attempts"]
    good, bad = (await site.get("/jobs/t-1/checkpoints"))["checkpoints"]

    assert (made["id"], made["number"], made["state"], made["outcome"]) == ("t-1.1", 1, "RUNNING", None)
    assert (made["resumed_step"], made["last_step"], made["lost_steps"]) == (0, 40, 0)
    assert good == {
        "step": 10,
        "path": "/c/step-10",
        "verified_at": "2026-01-10T12:00:00Z",
        "state": "verified",
        "why": None,
    }
    assert (bad["state"], bad["why"]) == ("quarantined", "bit flip")


async def test_hold_release_and_cancel_may_be_said_again(site: ApiSite) -> None:
    """Each says what is wanted; the state follows when the scheduler has done it."""
    await site.submit()
    for verb, desired in (("hold", "HOLD"), ("release", "RUN"), ("cancel", "CANCEL")):
        for _ in range(2):
            response = await site.client.post(f"/api/v1/jobs/t-1/{verb}")
            assert response.status_code == 200
            assert (response.json()["desired"], response.json()["state"]) == (desired, "PENDING")


@pytest.mark.parametrize("verb", ["hold", "release", "cancel"])
async def test_what_has_ended_cannot_be_changed(site: ApiSite, verb: str) -> None:
    """And what is not there cannot be either."""
    await site.submit()
    await site.end("t-1", JobState.FAILED)

    problem = refused(await site.client.post(f"/api/v1/jobs/t-1/{verb}"), 409, "refused_final")

    assert "FAILED" in problem["detail"]
    refused(await site.client.post(f"/api/v1/jobs/t-9/{verb}"), 404, "job_not_found")
