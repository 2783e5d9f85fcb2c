"""What mining brings, over the API and from the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.decide import decide
from scheduler.core.hashprice import revenue_micro_per_mwh, subsidy_sat
from scheduler.wire import dumps
from tests import chain
from tests.api_site import ApiSite, refused, two_nodes
from tests.chain import height_at, mines

NOW = datetime.now(UTC)
HEIGHT = height_at(NOW)


def told(**changes: Any) -> dict[str, Any]:
    """A body."""
    figures = {
        "btc_micro": 91_000_000_000,
        "difficulty": 152_000_000_000_000,
        "height": HEIGHT,
        "fees_sat": 3_000_000,
    }
    return figures | {"source": "desk"} | changes


async def test_before_anybody_told_any_it_is_said(site: ApiSite) -> None:
    """It is no error."""
    answer = (await site.client.get("/api/v1/hashprice")).json()

    assert (answer["figures"], answer["is_stale"], answer["partners"]) == (None, False, [])
    assert "nobody has told" in answer["why"]
    assert {one["micro_per_mwh"] for one in answer["per_mwh"]} == {None}


async def test_what_a_person_tells_is_shown_with_who_and_since_when(site: ApiSite) -> None:
    """And is in the log, and in the list of all that were told."""
    made = await site.client.post("/api/v1/hashprice", json=told())
    assert made.status_code == 201
    again = told(height=HEIGHT + 1, btc_micro=92_000_000_000)
    assert (await site.client.post("/api/v1/hashprice", json=again)).status_code == 201

    answer = (await site.client.get("/api/v1/hashprice")).json()
    figures = answer["figures"]
    assert (figures["by"], figures["origin"], figures["height"], figures["subsidy_sat"]) == (
        "site", "operator", HEIGHT + 1, subsidy_sat(HEIGHT),
    )  # fmt: skip
    now = chain.figures(height=HEIGHT + 1, btc_micro=92_000_000_000)
    assert figures["hashprice_micro"] == now.hashprice_micro
    per_mwh = {one["joule_per_th"]: one["micro_per_mwh"] for one in answer["per_mwh"]}
    assert per_mwh[17.5] == revenue_micro_per_mwh(now.hashprice_micro, 17.5)
    assert not answer["is_stale"]
    first = (await site.client.get("/api/v1/hashprice/history", params={"limit": 1})).json()
    assert [f["height"] for f in first["figures"]] == [HEIGHT + 1]
    rest = (await site.client.get("/api/v1/hashprice/history", params={"after": first["next"]})).json()
    assert ([f["height"] for f in rest["figures"]], rest["next"]) == ([HEIGHT], None)
    events = (await site.client.get("/api/v1/events")).json()["events"]
    assert [e["kind"] for e in events if e["kind"].startswith("figures")] == ["figures.set"] * 2


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"height": HEIGHT - 1}, "heights do not go backwards"),
        ({"difficulty": 10**16}, "a factor of 4"),
        ({"as_of_at": (NOW - timedelta(days=2)).isoformat()}, "only goes forward"),
        ({"as_of_at": (NOW + timedelta(days=2)).isoformat()}, "ahead of the clock"),
    ],
    ids=["height", "difficulty", "past", "future"],
)
async def test_what_cannot_follow_is_refused_unless_it_corrects(
    site: ApiSite, changes: dict[str, Any], words: str
) -> None:
    """With what is known and what to do."""
    assert (await site.client.post("/api/v1/hashprice", json=told())).status_code == 201
    problem = refused(
        await site.client.post("/api/v1/hashprice", json=told(**changes)), 422, "figures_refused"
    )

    assert words in f"{problem['detail']}; {problem['remedy']}"
    corrected = await site.client.post("/api/v1/hashprice", json=told(**changes, corrects=True))
    assert corrected.status_code == (422 if "ahead" in words else 201)


async def test_stale_figures_bring_nothing_and_say_so(site: ApiSite) -> None:
    """They are shown, and their age."""
    old = told(as_of_at=(NOW - timedelta(hours=30)).isoformat())
    assert (await site.client.post("/api/v1/hashprice", json=old)).status_code == 201

    answer = (await site.client.get("/api/v1/hashprice")).json()
    assert answer["is_stale"]
    assert answer["age_s"] > 29 * 3600
    assert "trusted for 24.0 h" in answer["why"]
    assert {one["micro_per_mwh"] for one in answer["per_mwh"]} == {None}


async def test_each_fleet_is_shown_by_what_its_machines_tell(site: ApiSite) -> None:
    """And each machine, if asked for; one that tells nothing says so."""
    snapshot = mines(two_nodes().miners("m", max_w=9000.0), "m", 17.5, 0.0).snapshot()
    await site.record(snapshot_json=dumps(snapshot), decision_json=dumps(decide(snapshot)))
    await site.client.post("/api/v1/hashprice", json=told())

    answer = (await site.client.get("/api/v1/hashprice", params={"machines": "true"})).json()
    [house] = answer["partners"]
    fleet = next(g for g in house["groups"] if g["name"] == "m")
    assert (house["name"], fleet["name"], fleet["joule_per_th"], fleet["known_share"]) == (
        "house",
        "m",
        17.5,
        0.5,
    )
    hashprice = chain.figures(height=HEIGHT).hashprice_micro
    assert fleet["micro_per_mwh"] == revenue_micro_per_mwh(hashprice, 17.5)
    known, unknown = fleet["machines"]
    assert known["micro_per_mwh"] == fleet["micro_per_mwh"]
    assert (unknown["joule_per_th"], unknown["micro_per_mwh"]) == (None, None)
    assert "was not measured" in unknown["why"]
    bare = (await site.client.get("/api/v1/hashprice")).json()
    assert {g["machines"] for g in bare["partners"][0]["groups"]} == {None}
