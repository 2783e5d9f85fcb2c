"""Settlement over HTTP, from what the scheduler wrote down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from barq.reporting.settlement import complaints
from scheduler.core.curtailment import Cause
from scheduler.store import chain
from scheduler.store.database import writing
from scheduler.store.settlement import link_hash, record_intervals
from tests.api_site import ApiSite, refused
from tests.settled import MWH, draft, energy, interval, terms

STATEMENT = "/settlement/statements/north"


def write(site: ApiSite) -> None:
    """Two quarters of October with two partners."""
    with writing(site.context.desk._engine) as session:
        for number in range(2):
            curtailed = {Cause.GRID: MWH // 7, Cause.FAULT: 3}
            north = draft(energy(MWH // 3, curtailed, start_ws=number * (MWH // 3)), number=number)
            south = draft(contract=terms("south"), number=number)
            chain.append(session, record_intervals(session, [interval(north, south)]))


async def test_a_statement_adds_up_by_itself(site: ApiSite) -> None:
    """Its amounts, totals, readings and hashes, and it is of one partner alone."""
    write(site)
    found = await site.get(STATEMENT, month="2026-10")
    assert complaints(found) == []
    assert len(found["links"]) == 2
    assert found["measured"]["charge_micro"] == 2 * 17_500_000
    assert "south" not in str(found)


def chained(row: Any, link: int, before: str, **changes: Any) -> Any:
    """A row that somebody changed, with a hash that fits."""
    body = json.dumps(row | changes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {
        "link": link,
        "number": 0,
        "row": json.loads(body),
        "hash_before": before,
        "hash": link_hash(before, body),
    }


def tampered(found: Any, how: str) -> Any:
    """The statement after somebody touched it."""
    interval_of, total = found["links"][1]["row"], found["measured"]
    match how:
        case "energy":
            interval_of["draft"]["energy"]["metered_ws"] += 1
        case "charge":
            interval_of["charge_micro"] -= 1
            total["charge_micro"] -= 1
            total["due_micro"] -= 1
        case "total":
            total["credit_micro"] += 1
        case "chain":
            found["links"][1]["hash_before"] = "00" * 32
        case "left out":
            found["links"][1]["link"] = 3
        case "end":
            del found["links"][1]
        case "made anew":
            found["links"][1] = chained(interval_of, 2, found["links"][0]["hash"], quality="metered")
    return found


@pytest.mark.parametrize(
    "how,told",
    [
        ("energy", "row 2 was changed after it was written"),
        ("charge", "by its rate it is 17500000"),
        ("total", "the total measured credit_micro"),
        ("chain", "row 2 is not chained to row 1"),
        ("left out", "row 2 is missing"),
        ("end", "row 2 is missing: event"),
        ("made anew", "row 2 is another one than event"),
    ],
)
async def test_whatever_is_changed_in_it_shows(site: ApiSite, how: str, told: str) -> None:
    """To anybody who has no more than the statement."""
    write(site)
    found = tampered(await site.get(STATEMENT, month="2026-10"), how)
    assert any(told in complaint for complaint in complaints(found))


async def test_an_adjustment_is_added_and_stays_listed(site: ApiSite) -> None:
    """By an operator; the statement adds up with it."""
    write(site)
    body = {
        "partner": "north",
        "starts_at": "2026-10-01T00:15:00Z",
        "metered_ws": -MWH // 10,
        "curtailed_ws": {"grid": 360},
        "reason": "certificate 88",
    }
    made = await site.client.post("/api/v1/settlement/adjustments", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["charge_micro"], made.json()["number"]) == (-5_250_000, 1)
    found = await site.get(STATEMENT, month="2026-10")
    assert complaints(found) == []
    assert found["links"][2]["row"]["reason"] == "certificate 88"
    assert found["adjusted"]["charge_micro"] == -5_250_000
    for role in ("viewer", "researcher"):
        async with site.client_of(role, role) as client:
            refused(await client.post("/api/v1/settlement/adjustments", json=body), 403, "forbidden")
            answer = await client.get(f"/api/v1{STATEMENT}", params={"month": "2026-10"})
            refused(answer, 403, "forbidden")
            log = (await client.get("/api/v1/events")).text
            assert "certificate 88" in log
            assert [word for word in ("5250000", "5.25", "charge", "credit") if word in log] == []


async def test_a_balance_shows_every_watt_second(site: ApiSite) -> None:
    """Of all partners, AI, overhead and losses."""
    write(site)
    for found in (await site.get("/settlement/balances", month="2026-10"))["balances"]:
        parts = (
            sum(found["partners_ws"].values()) + found["ai_ws"] + found["overhead_ws"] + found["losses_ws"]
        )
        assert parts == found["site_ws"]


@pytest.mark.parametrize(
    "change,status,code",
    [
        ({}, 422, "invalid_field"),
        ({"metered_ws": 1.5}, 422, "invalid_field"),
        ({"curtailed_ws": {"weather": 1}}, 422, "invalid_field"),
        ({"metered_ws": 1, "starts_at": "2026-10-01T00:01:00Z"}, 422, "invalid_field"),
        ({"metered_ws": 1, "partner": "nobody"}, 404, "nothing_settled"),
        ({"metered_ws": 1, "partner": "*"}, 404, "nothing_settled"),
        ({"metered_ws": 1, "reason": " "}, 422, "invalid_field"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    site: ApiSite, change: dict[str, Any], status: int, code: str
) -> None:
    """And adds nothing."""
    write(site)
    body = {"partner": "north", "starts_at": "2026-10-01T00:15:00Z", "reason": "r"} | change
    refused(await site.client.post("/api/v1/settlement/adjustments", json=body), status, code)
    assert len((await site.get(STATEMENT, month="2026-10"))["links"]) == 2


async def test_who_is_no_partner_is_told_who_is(site: ApiSite) -> None:
    """With 404; the name under which the site's balances are kept is none either."""
    write(site)
    for name in ("east", "*"):
        answer = await site.client.get(f"/api/v1/settlement/statements/{name}", params={"month": "2026-10"})
        assert "north, south" in refused(answer, 404, "nothing_settled")["remedy"]
