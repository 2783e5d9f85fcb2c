"""The site: nodes, power, limits, counters, health."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barq import __version__
from scheduler.core.partners import Partner
from scheduler.core.projects import Project, Usage, Used
from tests.api_site import ApiSite, refused, two_nodes
from tests.builders import T0, site as site_of
from tests.stores import after as after_s, power_event


async def test_nodes_and_power_are_shown_as_the_scheduler_told(site: ApiSite) -> None:
    """Its real documents, with the manual limits that stand."""
    await site.client.post("/api/v1/power/limits", json={"limit_w": 7000, "reason": "feeder work"})
    await site.show(two_nodes().running("j", on="node-1", gpus=2))

    nodes = {node["id"]: node for node in (await site.get("/nodes"))["nodes"]}
    power = await site.get("/power")

    assert set(nodes) == {"node-1", "node-2", "miners"}
    assert [gpu["attempt_id"] for gpu in nodes["node-1"]["gpus"]] == ["j.1", "j.1", None, None]
    assert nodes["node-1"]["reachable"] is True
    assert (power["site"], power["limit_w"], power["limit_source"]) == ("s", 9000.0, "grid")
    assert power["sources"][0]["name"] == "grid"
    assert [limit["reason"] for limit in power["limits"]] == ["feeder work"]
    assert power["over_limit_s"] == 0.0
    assert power["sentence"]


async def test_power_says_first_that_the_scheduler_has_been_silent(site: ApiSite) -> None:
    """Whoever looks would take what was for what is."""
    await site.show(two_nodes())
    old = await site.get("/power")
    told = old["sentence"].partition(" by themselves. ")[2]
    await site.record(
        current={"power": json.dumps(old | {"at": datetime.now(UTC).isoformat(), "sentence": told})}
    )

    assert told
    assert old["sentence"].startswith("The scheduler has told nothing for ")
    assert (await site.get("/power"))["sentence"] == told


async def test_power_shows_what_could_be_changed_at_short_notice(site: ApiSite) -> None:
    """How much could go and come within 5, 30 and 300 s, by what means, and for how long."""
    await site.show(two_nodes().running("j", on="node-1", gpus=2))
    flex = (await site.get("/power"))["flex"]
    suspend = next(means for means in flex["down"] if means["name"] == "suspend")

    assert [step["within_s"] for step in flex["steps"]] == [5.0, 30.0, 300.0]
    assert [step["down_w"] + step["left_w"] for step in flex["steps"]] == [flex["planned_w"]] * 3
    assert (suspend["holds_s"], suspend["tiers_w"]) == (60.0, {"4": suspend["power_w"]})
    assert {means["name"] for means in flex["down"]} == {"miners", "caps", "suspend", "release"}


async def test_a_limit_above_all_that_the_site_draws_is_told_to_bind_nothing(site: ApiSite) -> None:
    """It stands, for nodes may yet come; that is said once, to whoever set it."""
    await site.show(two_nodes())
    nameplate_w = (await site.get("/power"))["nameplate_w"]
    assert nameplate_w == 2 * 2200.0 + 4000.0

    made = await site.client.post("/api/v1/power/limits", json={"limit_w": nameplate_w, "reason": "drill"})
    assert (made.status_code, made.json()["remark"]) == (201, "")
    made = await site.client.post("/api/v1/power/limits", json={"limit_w": 84_000, "reason": "drill"})
    assert made.status_code == 201
    assert made.json()["remark"] == (
        "it binds nothing: the site draws 8.4 kW at most, with all of it at its nameplate"
    )


async def test_a_limit_far_above_all_that_the_site_draws_is_refused(site: ApiSite) -> None:
    """It was meant in another unit; before the scheduler looked at the site nobody can tell."""
    body = {"limit_w": 6_000_000, "reason": "kW for MW"}
    assert (await site.client.post("/api/v1/power/limits", json=body)).status_code == 201
    await site.show(two_nodes())

    problem = refused(await site.client.post("/api/v1/power/limits", json=body), 422, "invalid_field")
    assert (problem["field"], problem["value"]) == ("limit_w", "6000000.0")
    assert "8.4 kW at most" in problem["detail"]
    assert problem["remedy"] == "check the unit, and give up to 84 kW"
    assert len((await site.get("/power/limits"))["limits"]) == 1


async def test_before_the_scheduler_ran_there_is_no_power_to_show(site: ApiSite) -> None:
    """Nothing is made up."""
    refused(await site.client.get("/api/v1/power"), 503, "not_ready")
    assert await site.get("/nodes") == {"nodes": []}


async def test_projects_are_shown_with_what_they_have_and_had(site: ApiSite) -> None:
    """Those that the site file names, and the others as one; none before the scheduler ran."""
    assert (await site.get("/projects"))["projects"] == []
    vision = Project(name="vision", weight=3.0, nominal_gpus=2, borrowing_limit_gpus=2)
    text = Project(name="text", nominal_gpus=4, lending_limit_gpus=3)
    world = site_of(firm_w=9000, projects=(vision, text)).node("node-1", gpus=8).limit_w(9000)
    world.running("j", "node-1", gpus=3, project="vision").running("k", "node-1", gpus=1, project="new")
    world.used = Used(
        at=T0, projects={"vision": Usage(gpu_h=6.0, kwh=2.0), "others": Usage(gpu_h=2.0, kwh=2.0)}
    )
    await site.show(world)

    shown = await site.get("/projects")
    by_name = {one["name"]: one for one in shown["projects"]}
    parts = ("used_gpus", "nominal_gpus", "borrowed_gpus", "lent_gpus", "used_share", "due_share", "rank")
    assert {name: [one[part] for part in parts] for name, one in by_name.items()} == {
        "vision": [3, 2, 1, 0, 0.625, 0.6, 2],
        "text": [0, 4, 0, 1, 0.0, 0.2, 1],
        "others": [1, None, None, None, 0.375, 0.2, 3],
    }
    assert shown["unassigned"] == {"nominal_gpus": 2, "used_gpus": 1, "borrowed_gpus": 0, "lent_gpus": 0}
    assert by_name["vision"]["energy_wh"] == 2000.0
    assert shown["used_at"] == "2026-01-10T12:00:00Z"


async def test_partners_are_shown_with_what_they_may_draw(site: ApiSite) -> None:
    """Grant, expiry, share and the reason; one by its name; none before the scheduler ran."""
    assert (await site.get("/partners"))["partners"] == []
    north, south = (Partner(partner_id=n, groups=(n,), weight=w) for n, w in (("north", 3), ("south", 1)))
    world = site_of(firm_w=9000, partners=(north, south)).node("node-1").miners("north").miners("south")
    await site.show(world.limit_w(4820).settles())

    shown = await site.get("/partners")
    facts = ("name", "weight", "due_w", "wants_w", "granted_w", "then_w")
    assert [[one[fact] for fact in facts] for one in shown["partners"]] == [
        ["north", 3, 3000.0, 4000.0, 3000.0, 0.0],
        ["south", 1, 1000.0, 4000.0, 1000.0, 0.0],
    ]
    assert shown["division"].startswith("AI comes first")
    one = await site.get("/partners/south")
    assert one == shown["partners"][1]
    assert one["until_at"] > shown["at"]
    assert [why["code"] for why in one["why"]] == ["SurplusShared"]
    refused(await site.client.get("/api/v1/partners/west"), 404, "not_found")


async def test_an_unlimited_source_is_shown_as_no_number(site: ApiSite) -> None:
    """JSON has no infinity."""
    await site.show(site_of(firm_w=3000).node("node-1").limit_w(float("inf")))

    assert (await site.get("/power"))["sources"][0]["limit_w"] is None


async def test_a_manual_limit_stands_until_it_is_released(site: ApiSite) -> None:
    """Each with its reason, who set it, and its end if it has one; a release tells which it ended."""
    for body in (
        {"limit_w": 200_000, "reason": " feeder work "},
        {"limit_w": 0, "reason": "drill", "for_s": 1800},
    ):
        assert (await site.client.post("/api/v1/power/limits", json=body)).status_code == 201

    stands, ends = (await site.get("/power/limits"))["limits"]
    released = (await site.client.post("/api/v1/power/release", json={"reason": "done"})).json()["released"]

    assert (stands["limit_w"], stands["reason"], stands["set_by"]) == (200_000.0, "feeder work", "site")
    assert stands["until_at"] is None
    set_at, until_at = (datetime.fromisoformat(ends[name]) for name in ("set_at", "until_at"))
    assert until_at - set_at == timedelta(minutes=30)
    assert released == [stands, ends]
    assert (await site.get("/power/limits"))["limits"] == []
    assert (await site.client.post("/api/v1/power/release")).json() == {"released": []}


async def test_one_manual_limit_may_be_released_alone(site: ApiSite) -> None:
    """The others stand; one that there never was is not found."""
    for reason in ("feeder work", "drill"):
        await site.client.post("/api/v1/power/limits", json={"limit_w": 9000, "reason": reason})
    first, second = (await site.get("/power/limits"))["limits"]

    answer = await site.client.post("/api/v1/power/release", json={"id": second["id"]})
    assert answer.json()["released"] == [second]
    assert (await site.get("/power/limits"))["limits"] == [first]
    refused(await site.client.post("/api/v1/power/release", json={"id": "99"}), 404, "limit_not_found")


@pytest.mark.parametrize(
    "body, field",
    [
        ({"reason": "x"}, "limit_w"),
        ({"limit_w": -1, "reason": "x"}, "limit_w"),
        ({"limit_w": "200kW", "reason": "x"}, "limit_w"),
        ({"limit_w": 1e13, "reason": "x"}, "limit_w"),
        ({"limit_w": True, "reason": "x"}, "limit_w"),
        ({"limit_w": 1}, "reason"),
        ({"limit_w": 1, "reason": "  "}, "reason"),
        ({"limit_w": 1, "reason": "x" * 501}, "reason"),
        ({"limit_w": 1, "reason": "\0"}, "reason"),
        ({"limit_w": 1, "reason": "x", "for_s": 0}, "for_s"),
        ({"limit_w": 1, "reason": "x", "for_s": 1e12}, "for_s"),
        ({"limit_w": 1, "reason": "x", "for": 60}, "for"),
    ],
    ids=range(12),
)
async def test_a_limit_that_makes_no_sense_is_refused(
    site: ApiSite, body: dict[str, Any], field: str
) -> None:
    """Nothing may be guessed about how much the site may draw."""
    response = await site.client.post("/api/v1/power/limits", json=body)

    assert response.status_code == 422
    assert response.json()["field"] == field


async def test_the_summary_counts(site: ApiSite) -> None:
    """Withdrawals with their times to comply; null before the first."""
    before = await site.get("/summary")
    falls = [power_event(60 * i, complied_at=after_s(61 * i + 1)) for i in range(3)]
    await site.record(power_events=tuple(falls))

    after = await site.get("/summary")

    assert (before["withdrawals"], before["comply_p50_s"], before["comply_max_s"]) == (0, None, None)
    assert (after["withdrawals"], after["comply_p50_s"], after["comply_max_s"]) == (3, 2.0, 3.0)
    assert set(after["energy"]) == {"offered_wh", "ai_wh", "miners_wh", "unused_wh", "overhead_wh"}


async def test_healthy_is_the_process_ready_is_the_site(site: ApiSite) -> None:
    """Ready once the scheduler ticked, and only for as long as it goes on."""
    async with site.client_with({}) as probe:
        assert (await probe.get("/healthz")).json() == {"status": "ok", "version": __version__}
        refused(await probe.get("/readyz"), 503, "not_ready")
        await site.record()
        ready = (await probe.get("/readyz")).json()
        assert (ready["status"], ready["database"], ready["epoch"]) == ("ready", True, 1)
        assert 0 <= ready["tick_age_s"] < 10


async def test_a_scheduler_that_fell_silent_is_told(site: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """With for how long."""
    await site.record()
    monkeypatch.setattr("api.routes.health.SILENT_AFTER_S", -1.0)

    problem = refused(await site.client.get("/readyz"), 503, "not_ready")

    assert re.search(r"told nothing for .*, since 20\d\d-\d\d-\d\d .* UTC$", problem["detail"])
