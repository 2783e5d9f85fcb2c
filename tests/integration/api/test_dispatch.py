"""Dispatch instructions over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.dispatch import Instruction, State, Verdict
from tests.api_site import ApiSite, refused

URL = "/api/v1/dispatch"


def told(number: int, **changes: Any) -> Instruction:
    """An instruction of the utility, in force."""
    now = datetime.now(UTC)
    plain = Instruction(
        number=number,
        source="utility",
        giver_id=f"event-{number}",
        issued_at=now,
        received_at=now,
        starts_at=now,
        due_at=now + timedelta(seconds=30),
        limit_w=40_000.0,
        state=State.ACCEPTED,
        accepted_by="barq",
    )
    return replace(plain, **changes)


async def test_what_holds_comes_first_page_by_page(site: ApiSite) -> None:
    """Then what is over, each newest first; filters take state and source."""
    over = {"state": State.ENDED, "over_at": datetime.now(UTC)}
    some = (told(1), told(2, **over), told(3, source="dso"), told(4, **over))
    await site.record(instructions=some)

    ids, after = [], None
    while True:
        page = await site.get("/dispatch", limit=1, **({"after": after} if after else {}))
        ids += [one["id"] for one in page["instructions"]]
        if (after := page["next"]) is None:
            break
    assert ids == ["d3", "d1", "d4", "d2"]

    async def found(**which: str) -> list[str]:
        return [one["id"] for one in (await site.get("/dispatch", **which))["instructions"]]

    assert await found(state="active") == ["d3", "d1"]
    assert await found(state="ended") == ["d4", "d2"]
    assert await found(source="dso") == ["d3"]
    refused(await site.client.get(URL, params={"state": "lost"}), 422, "invalid_field")
    refused(await site.client.get(URL, params={"after": "x"}), 422, "invalid_field")


async def test_an_acknowledgement_is_on_record(site: ApiSite) -> None:
    """By whom, when, and with what note; the scheduler is told, and the same again changes nothing."""
    await site.record(instructions=(told(1),))
    answer = {"note": " shift is told "}
    made = (await site.client.post(f"{URL}/d1/acknowledge", json=answer)).json()
    again = (await site.client.post(f"{URL}/d1/acknowledge", json=answer)).json()

    assert (made["answer"]["verdict"], made["answer"]["by"], made["answer"]["note"]) == (
        "acknowledged",
        "site",
        "shift is told",
    )
    assert again == made == await site.get("/dispatch/d1")
    assert (await site.store.intents(0)).answers["d1"].verdict is Verdict.ACKNOWLEDGED
    kinds = [event["kind"] for event in (await site.get("/events"))["events"]]
    assert kinds == ["dispatch.acknowledged"]
    assert (await site.client.post(f"{URL}/d1/acknowledge")).status_code == 200


@pytest.mark.parametrize(
    "binding,said", [(True, "it binds and holds all the same"), (False, "it does not count any more")]
)
async def test_a_refusal_says_what_it_changes(site: ApiSite, binding: bool, said: str) -> None:
    """Nothing, for what binds: a button is no contract."""
    await site.record(instructions=(told(1, binding=binding),))
    reason = {"reason": "the chiller is out"}
    made = (await site.client.post(f"{URL}/d1/refuse", json=reason)).json()

    assert said in made["sentence"]
    assert made["answer"]["note"] == "the chiller is out"
    second = await site.client.post(f"{URL}/d1/acknowledge", json={})
    assert second.status_code == (200 if binding else 409)


async def test_what_is_over_takes_no_answer(site: ApiSite) -> None:
    """Nor does what there is not; and a refusal needs its reason."""
    await site.record(instructions=(told(1, state=State.ENDED, over_at=datetime.now(UTC)), told(2)))
    refused(await site.client.post(f"{URL}/d1/refuse", json={"reason": "no"}), 409, "refused_final")
    for unknown in ("d9", "9", "d0", "d\u0661", "d1x"):
        refused(await site.client.get(f"{URL}/{unknown}"), 404, "instruction_not_found")
    for body in ({}, {"reason": "  "}):
        refused(await site.client.post(f"{URL}/d2/refuse", json=body), 422, "invalid_field")


async def test_only_operators_answer(site: ApiSite) -> None:
    """Everybody may look."""
    await site.record(instructions=(told(1),))
    async with site.client_of("ada", "researcher") as ada:
        assert (await ada.get(f"{URL}/d1")).status_code == 200
        for verb in ("acknowledge", "refuse"):
            refused(await ada.post(f"{URL}/d1/{verb}", json={"reason": "no"}), 403, "forbidden")
