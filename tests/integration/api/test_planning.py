"""When a job may start, and what would become of one: told from the newest recorded snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler.wire import dumps
from tests.api_site import ApiSite, refused
from tests.builders import SiteBuilder, site as site_of


def world(**running: Any) -> SiteBuilder:
    """The site "t", a node of four GPUs that a job of an hour holds."""
    built = site_of().node("node-1", gpus=4).limit_w(9000)
    return built.running("t-1", "node-1", **{"time_limit_s": 3600.0, **running})


async def recorded(site: ApiSite, built: SiteBuilder) -> SiteBuilder:
    """Have the scheduler record a tick of this site."""
    snapshot = built.snapshot()
    decision = built.policy.decide(snapshot)
    await site.record(snapshot_json=dumps(snapshot), decision_json=dumps(decision))
    return built


async def plan(site: ApiSite, **fields: Any) -> dict[str, Any]:
    """The answer to a dry run that works."""
    response = await site.client.post("/api/v1/jobs:plan", json={"entrypoint": "true", **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_why_tells_position_and_range_as_of_the_snapshot(site: ApiSite) -> None:
    """With what it rests on, and how old that is."""
    for _ in range(3):
        await site.submit(resources={"gpus": 2})
    await recorded(site, world().job("t-2", gpus=2, time_limit_s=600.0).job("t-3", gpus=4))

    found = await site.get("/jobs/t-3/why")

    start = found["expected_start"]
    assert (found["position"], found["waiting"], found["ahead_gpus"]) == (2, 2, 2)
    assert found["lacks"] == {"gpus": 4, "power_w": 0.0}
    assert (start["earliest_at"], start["latest_at"]) == ("2026-01-10T13:00:00Z", "2026-01-10T13:10:00Z")
    assert start["snapshot_at"] == "2026-01-10T12:00:00Z"
    assert start["snapshot_age_s"] > 0
    assert "time limits" in start["assumption"]


async def test_nothing_is_told_of_a_job_that_runs_or_before_there_is_a_snapshot(site: ApiSite) -> None:
    """Null, not a guess."""
    await site.submit()
    before = await site.get("/jobs/t-1/why")
    await site.run("t-1")
    await recorded(site, world())

    for found in (before, await site.get("/jobs/t-1/why")):
        assert (found["position"], found["expected_start"]) == (None, None)


async def test_who_came_after_the_snapshot_is_behind_all_who_are_in_it(site: ApiSite) -> None:
    """Nothing is recorded for a job that only waits; it has its place at once, and so has a planned one."""
    for _ in range(2):
        await site.submit(resources={"gpus": 2})
    await recorded(site, world().job("t-2", gpus=2))
    await site.submit(resources={"gpus": 3})

    found = await site.get("/jobs/t-3/why")

    assert (found["position"], found["ahead_gpus"]) == (2, 2)
    assert found["expected_start"]["earliest_at"] == "2026-01-10T13:00:00Z"
    assert (await plan(site, resources={"gpus": 1}))["ahead_gpus"] == 5


async def test_a_newer_snapshot_is_told_from(site: ApiSite) -> None:
    """The old one is forgotten."""
    await site.submit()
    await recorded(site, world().job("t-2", gpus=1).job("t-1b", gpus=1))
    first = site.context.outlooks.newest()
    await recorded(site, world().job("t-2", gpus=1))
    site.context.outlooks._look_again_at = 0.0  # as if the time had passed

    second = site.context.outlooks.newest()

    assert first is not None
    assert second is not None
    assert (len(first.snapshot.jobs), len(second.snapshot.jobs)) == (3, 2)


async def test_a_snapshot_of_another_version_is_passed_over(site: ApiSite) -> None:
    """What was known before stands; a question never fails for it."""
    await site.submit()
    await site.record(snapshot_json=b'{"at": 1}', decision_json=b"{}")

    found = await site.get("/jobs/t-1/why")

    assert found["expected_start"] is None


async def test_a_plan_says_where_it_would_start(site: ApiSite) -> None:
    """And at which cap; nothing is stored."""
    await recorded(site, site_of().node("node-1", gpus=4).limit_w(9000))

    found = await plan(site, resources={"gpus": 2})

    assert found["verdict"] == "starts_now"
    assert found["placements"] == [{"node_id": "node-1", "gpu_ids": ["0", "1"]}]
    assert found["cap_w"] > 0
    assert (found["reason"], found["expected_start"], found["effects"]) == (None, None, [])
    assert (await site.get("/jobs"))["jobs"] == []


async def test_a_plan_says_why_it_would_wait(site: ApiSite) -> None:
    """Behind all who wait."""
    await recorded(site, world().job("t-2", gpus=4, time_limit_s=60.0))

    found = await plan(site, resources={"gpus": 1})

    assert found["verdict"] == "waits"
    assert found["reason"]["code"] == "WaitingForResources"
    assert (found["position"], found["ahead_gpus"]) == (2, 4)
    assert found["expected_start"]["latest_at"] == "2026-01-10T13:01:00Z"


async def test_a_plan_says_who_would_give_way(site: ApiSite) -> None:
    """A job that would start, and waits behind the planned one."""
    await recorded(site, site_of().node("node-1", gpus=4).limit_w(9000).job("t-1", gpus=4))

    found = await plan(site, resources={"gpus": 2}, priority=5)

    assert found["effects"] == [
        {"job_id": "t-1", "text": "t-1 would start now without it, and waits with it"}
    ]


async def test_what_can_never_fit_is_told(site: ApiSite) -> None:
    """By the decision; where the nodes are known, by the same refusal as a submission."""
    await recorded(site, world())
    assert (await plan(site, resources={"gpus": 8}))["verdict"] == "never_fits"

    await site.show(site_of().node("node-1", gpus=4).limit_w(9000))
    response = await site.client.post(
        "/api/v1/jobs:plan", json={"entrypoint": "true", "resources": {"gpus": 8}}
    )
    refused(response, 422, "never_fits")


async def test_before_the_first_tick_there_is_no_plan(site: ApiSite) -> None:
    """Try again later."""
    response = await site.client.post("/api/v1/jobs:plan", json={"entrypoint": "true"})

    refused(response, 503, "not_ready")


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"resources": {"gpus": -1}}, "resources.gpus"),
        ({"nodez": 2}, "nodez"),
        ({"working_dir": "here"}, "working_dir"),
        ({"dependencies": ["afterok:t-99"]}, "dependencies"),
    ],
)
async def test_what_a_submission_refuses_a_plan_refuses(
    site: ApiSite, fields: dict[str, Any], field: str
) -> None:
    """With the same words."""
    await recorded(site, world())
    body = {"entrypoint": "true", **fields}

    asked = await site.client.post("/api/v1/jobs:plan", json=body)
    sent = await site.client.post("/api/v1/jobs", json=body)

    assert refused(asked, 422, sent.json()["code"]) == sent.json()
    assert asked.json()["field"] == field


async def test_a_dependency_that_succeeded_does_not_keep_it(site: ApiSite) -> None:
    """Its end is in the store, if not in the snapshot."""
    await site.submit()
    await site.end("t-1")
    await recorded(site, site_of().node("node-1", gpus=4).limit_w(9000))

    assert (await plan(site, dependencies=["afterok:t-1"]))["verdict"] == "starts_now"


async def test_the_job_page_tells_the_range(site: ApiSite) -> None:
    """In a sentence, with the instant in the reader's zone."""
    await site.submit()
    await site.submit()
    await recorded(site, world().job("t-2", gpus=4))

    response = await site.client.get("/jobs/t-2")

    assert response.status_code == 200
    assert "Position 1 of 1" in response.text
    assert "2026-01-10T13:00:00" in response.text


async def test_why_and_a_dry_run_tell_the_slack_in_words(site: ApiSite) -> None:
    """Of a job that waits, of one that runs, and of one that can only be late; nothing where there is no deadline."""
    for deadline in ({"deadline": "2100-01-01"}, {"deadline": "2100-01-01"}, {}):
        await site.submit(**deadline)
    until: dict[str, Any] = {"time_limit_s": None, "deadline_at": datetime(2100, 1, 1, tzinfo=UTC)}
    await site.run("t-1")
    await recorded(site, world(**until, estimate_s=7200.0).job("t-2", **until).job("t-3"))

    runs, waits, other = [(await site.get(f"/jobs/t-{n}/why"))["deadline"] for n in (1, 2, 3)]
    late = (await plan(site, deadline="10m", estimate="2h"))["deadline"]

    assert runs["work_left_s"] == 0.0  # it has been running for longer than its estimate
    assert runs["text"].startswith("due at 2100-01-01 00:00:00 UTC; it has 0 s of work left by its estimate")
    assert waits["work_left_s"] is None
    assert waits["text"].endswith("how long it takes nobody said: give it an estimate")
    assert other is None
    assert (late["work_left_s"], late["slack_s"]) == (7200.0, 600.0 - 7200.0 - 2.0)
    assert "it has 2 h of work left by its estimate and misses that by 1 h 50 min even if" in late["text"]


async def test_a_start_that_is_judged_on_a_forecast_says_so(site: ApiSite) -> None:
    """On which quantile, whether it waits or not; a tier that may be cut starts where one that may not does not."""
    built = site_of().node("node-1", gpus=4).limit_w(9000).foresees((3, {0.1: 1500.0, 0.5: 9000.0}))
    await recorded(site, built)

    firm, flexible = [await plan(site, resources={"gpus": 4}, flex=tier) for tier in (0, 3)]

    assert (firm["verdict"], flexible["verdict"]) == ("waits", "starts_now")
    assert "foresees 1.50 kW (10 % quantile)" in firm["reason"]["text"]
    assert firm["judged_on"].startswith("tier 0 is planned on the 10 % quantile of the forecast of grid")
    assert flexible["judged_on"] == "tier 3 may be cut, and is planned on the median of the forecast of grid"


async def test_why_tells_on_what_a_start_is_judged(site: ApiSite) -> None:
    """As long as the job waits."""
    await site.submit(resources={"gpus": 4})
    await recorded(
        site, site_of().node("node-1", gpus=4).limit_w(1000).foresees((60, {0.1: 1.0, 0.5: 9000.0}))
    )

    found = await site.get("/jobs/t-1/why")

    assert "median" in found["judged_on"]
    assert found["expected_start"]["earliest_at"] == "2026-01-10T12:01:00Z"
    assert found["expected_start"]["latest_at"] is None


async def test_power_shows_what_is_foreseen_for_now_and_next(site: ApiSite) -> None:
    """By source, quantile by quantile; what is further ahead is left out."""
    built = site_of().node("node-1", gpus=4).limit_w(9000)
    steps = [(s, {0.1: 1000.0 + s, 0.5: 4000.0 + s}) for s in (0.0, 60.0, 120.0)]
    await site.show(built.foresees(*steps))

    found = (await site.get("/power"))["forecast"]

    assert [(f["source"], f["at"]) for f in found] == [
        ("grid", "2026-01-10T12:00:00Z"),
        ("grid", "2026-01-10T12:01:00Z"),
    ]
    assert found[1]["quantiles"] == [
        {"share": 0.1, "name": "10 % quantile", "limit_w": 1060.0},
        {"share": 0.5, "name": "median", "limit_w": 4060.0},
    ]
