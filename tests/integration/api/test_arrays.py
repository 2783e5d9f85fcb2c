"""Arrays over HTTP: many jobs from one request, shown and spoken to together."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.core.jobs import ArrayPlace
from scheduler.wire import dumps
from tests.api_site import ApiSite, refused, two_nodes


async def states(site: ApiSite, array_id: str) -> dict[str, int]:
    """How many jobs of an array are in each state."""
    found: dict[str, int] = (await site.get(f"/arrays/{array_id}"))["jobs"]
    return found


async def test_one_request_makes_a_job_for_each_index(site: ApiSite) -> None:
    """Each with an id that says which it is; the answer leads to the others."""
    await site.submit()
    first = await site.submit(name="x", array="0-20:10%2")

    assert (first["id"], first["name"]) == ("t-2_0", "x[0]")
    assert (first["array_id"], first["array_index"]) == ("t-2", 0)
    listed = (await site.get("/jobs", array="t-2"))["jobs"]
    assert [(job["id"], job["array_index"]) for job in listed] == [
        ("t-2_20", 20),
        ("t-2_10", 10),
        ("t-2_0", 0),
    ]
    shown = await site.get("/arrays/t-2")
    assert {k: shown[k] for k in ("id", "name", "owner", "count", "most", "jobs")} == {
        "id": "t-2",
        "name": "x",
        "owner": "site",
        "count": 3,
        "most": 2,
        "jobs": {"PENDING": 3},
    }
    assert (await site.submit())["id"] == "t-5"
    assert (await site.job("t-2_10")).spec.launch.env == (
        ("BARQ_ARRAY_ID", "t-2"),
        ("BARQ_ARRAY_INDEX", "10"),
        ("BARQ_ARRAY_COUNT", "3"),
    )


async def test_a_batch_may_hold_arrays(site: ApiSite) -> None:
    """All or none, in this order; an index that is refused names the job."""
    jobs = [{"entrypoint": "a", "array": "1,5"}, {"entrypoint": "b"}, {"entrypoint": "c", "array": "7"}]
    made = await site.client.post("/api/v1/jobs:batch", json={"jobs": jobs})
    assert [job["id"] for job in made.json()["jobs"]] == ["t-1_1", "t-1_5", "t-3", "t-4_7"]

    jobs[2]["array"] = "7-1"
    problem = refused(await site.client.post("/api/v1/jobs:batch", json={"jobs": jobs}), 422, "invalid_field")
    assert problem["field"] == "jobs[2].array"


@pytest.mark.parametrize("count", [1, 2])
async def test_no_request_makes_more_jobs_than_a_batch_holds(site: ApiSite, count: int) -> None:
    """In one array or in several."""
    text = "0-10000" if count == 1 else "0-9999"
    body: dict[str, Any] = {"jobs": [{"entrypoint": "true", "array": text}] * count}

    problem = refused(await site.client.post("/api/v1/jobs:batch", json=body), 422, "invalid_field")

    assert "10000" in problem["remedy"]
    assert (await site.get("/jobs"))["jobs"] == []


async def test_one_word_is_said_to_all_of_an_array(site: ApiSite) -> None:
    """Hold, release, cancel; the log says who did it to each, and again is no change."""
    await site.submit(array="0-2")
    for verb, wish in (("hold", "HOLD"), ("release", "RUN"), ("cancel", "CANCEL"), ("cancel", "CANCEL")):
        answer = await site.client.post(f"/api/v1/arrays/t-1/{verb}")
        assert answer.status_code == 200, answer.text
        jobs = (await site.get("/jobs", array="t-1"))["jobs"]
        assert {job["desired"] for job in jobs} == {wish}
    events = (await site.get("/jobs/t-1_1/events"))["events"]
    assert [event["kind"] for event in events] == ["job.hold_asked", "job.release_asked", "job.cancel_asked"]
    refused(await site.client.post("/api/v1/arrays/t-1/hold"), 409, "refused_final")
    assert site.context.desk.verify_events() is None


async def test_what_ended_is_left_out(site: ApiSite) -> None:
    """One of an array that was cancelled by itself stays so."""
    await site.submit(array="0-2")
    await site.client.post("/api/v1/jobs/t-1_1/cancel")

    await site.client.post("/api/v1/arrays/t-1/hold")

    jobs = (await site.get("/jobs", array="t-1"))["jobs"]
    assert [job["desired"] for job in jobs] == ["HOLD", "CANCEL", "HOLD"]
    assert await states(site, "t-1") == {"PENDING": 3}


async def test_an_array_is_its_owners_business(site: ApiSite) -> None:
    """Others see its states and may not end it."""
    async with site.client_of("ada", "researcher") as ada, site.client_of("bob", "researcher") as bob:
        assert (
            await ada.post("/api/v1/jobs", json={"entrypoint": "true", "array": "0-1"})
        ).status_code == 201
        assert (await bob.get("/api/v1/arrays/t-1")).json()["owner"] == "ada"
        refused(await bob.post("/api/v1/arrays/t-1/cancel"), 403, "forbidden")
        assert (await ada.post("/api/v1/arrays/t-1/cancel")).status_code == 200


@pytest.mark.parametrize("array_id", ["t-9", "t-1_0", "x" * 300, "%00", "a%2Fb"])
async def test_an_array_that_is_not_there_is_not_found(site: ApiSite, array_id: str) -> None:
    """Neither is a job of one, nor nonsense."""
    await site.submit(array="0-1")

    assert (await site.client.get(f"/api/v1/arrays/{array_id}")).status_code == 404
    assert (await site.client.post(f"/api/v1/arrays/{array_id}/hold")).status_code == 404


async def test_a_job_may_depend_on_an_array(site: ApiSite) -> None:
    """By its id, where a job's would stand; one that is not there is refused."""
    await site.submit(array="0-1")

    job = await site.submit(dependencies=["afterok:t-1"])

    assert (await site.job(job["id"])).spec.dependencies == ("t-1",)
    answer = await site.client.post(
        "/api/v1/jobs", json={"entrypoint": "x", "dependencies": ["afterok:t-77"]}
    )
    assert refused(answer, 422, "invalid_field")["field"] == "dependencies"


async def test_a_range_of_nodes_is_shown(site: ApiSite) -> None:
    """The least and the most; what never fits is judged by the least."""
    await site.show(two_nodes())

    job = await site.submit(nodes="1..8")

    assert (job["nodes"], job["max_nodes"], job["spec"]["nodes"]) == (1, 8, "1..8")
    spec = (await site.job(job["id"])).spec
    assert (spec.nodes, spec.max_nodes) == (1, 8)
    answer = await site.client.post("/api/v1/jobs", json={"entrypoint": "x", "nodes": "3..8"})
    assert refused(answer, 422, "never_fits")["field"] == "nodes"


async def test_an_array_is_planned_by_its_first_job(site: ApiSite) -> None:
    """With what it waits for, a job or a whole array; nothing of it is stored."""
    await site.submit(array="0-1")
    world = two_nodes()
    for index in range(2):
        world.job(f"t-1_{index}", array=ArrayPlace(id="t-1", index=index, count=2))
    snapshot = world.snapshot()
    decision = world.policy.decide(snapshot)
    await site.record(snapshot_json=dumps(snapshot), decision_json=dumps(decision))

    asked = {"entrypoint": "true", "array": "3-9", "dependencies": ["afterok:t-1"]}
    answer = await site.client.post("/api/v1/jobs:plan", json=asked)

    assert answer.status_code == 200, answer.text
    assert (
        answer.json()["reason"]["text"] == "waits for all jobs of the array t-1 to succeed; 2 have not ended"
    )
    assert len((await site.get("/jobs"))["jobs"]) == 2
