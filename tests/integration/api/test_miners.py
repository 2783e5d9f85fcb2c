"""The machines of miner groups over HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.machines import Mined, standing
from scheduler.core.hashprice import revenue_micro_per_mwh
from scheduler.core.inventory import Ability, Condition, Inventory, Wish
from scheduler.records import KeptInventory
from scheduler.store.machines import SqlMachineBook
from tests import chain
from tests.api_site import ApiSite, refused
from tests.machines import POOL, identity, inventory, machine

URL = "/api/v1/miners"
WHY = {"reason": "its fan howls"}
LOCKED = machine(
    10,
    condition=Condition.UNUSABLE,
    abilities=(Ability.READ,),
    trouble="10.0.0.10: wrong password; put another into its secret file",
)
LAZY = machine(2, condition=Condition.ASLEEP, target_w=25.0, draw_w=30.0, hashrate_th=0.0)


async def told(site: ApiSite, *inventories: Inventory, partner: str = "acme-ltd") -> None:
    """Have inventories kept, as the scheduler does."""
    await site.record()
    book = SqlMachineBook(site.context.desk._engine)
    for one in inventories:
        book.keep(KeptInventory(at=datetime.now(UTC), partner=partner, inventory=one), epoch=site.epoch)


async def listed(site: ApiSite, **which: Any) -> list[str]:
    """The ids of those that match."""
    return [one["id"] for one in (await site.get("/miners", **which))["miners"]]


async def test_nothing_is_known_before_a_guard_told_of_it(site: ApiSite) -> None:
    """That is no error."""
    page = await site.get("/miners")
    assert (page["miners"], page["totals"]["miners"], page["next"]) == ([], 0, None)


async def test_miners_are_listed_page_by_page_with_totals_of_all(site: ApiSite) -> None:
    """By group and name, numbers by size; filters take group, partner and condition."""
    await told(site, inventory(LOCKED, machine(1), LAZY))
    await told(site, inventory(machine(3, miner_id="b-3"), group_id="b"), partner="house")

    ids, after = [], None
    while True:
        page = await site.get("/miners", limit=1, **({"after": after} if after else {}))
        ids += [one["id"] for one in page["miners"]]
        assert page["totals"]["conditions"] == {"asleep": 1, "running": 2, "unusable": 1}
        if (after := page["next"]) is None:
            break
    assert ids == ["acme-1", "acme-2", "acme-10", "b-3"]
    assert await listed(site, group="acme", condition="running") == ["acme-1"]
    assert await listed(site, partner="house") == ["b-3"]
    assert (page["totals"]["draw_w"], page["totals"]["troubled"]) == (3 * 3200.0 + 30.0, 1)
    for bad in ({"condition": "happy"}, {"after": "x"}, {"limit": 0}):
        refused(await site.client.get(URL, params=bad), 422, "invalid_field")


async def test_watts_are_those_of_the_newest_report(site: ApiSite) -> None:
    """An inventory comes only with news; rest is added, as it is measured at the plug."""
    await told(site, inventory(machine(1), LAZY))
    miners = [{"id": "acme-1", "target_w": 2000.0, "draw_w": 1950.0}]
    await site.record(current={"nodes": json.dumps([{"id": "acme", "miners": miners}])})
    fresh, old = (await site.get("/miners"))["miners"]

    assert (fresh["target_w"], fresh["draw_w"]) == (2025.0, 1975.0)
    assert (old["target_w"], old["draw_w"]) == (25.0, 30.0)
    assert datetime.fromisoformat(fresh["seen_at"]) <= datetime.now(UTC)


async def test_machines_that_nobody_guards_are_lost(site: ApiSite) -> None:
    """What their guard told last is not what they do now."""
    await told(site, inventory(machine(1)))
    await site.record(
        current={"nodes": json.dumps([{"id": "acme", "miners": [], "unguarded": True, "alarms": []}])}
    )
    page = await site.get("/miners", condition="lost")

    assert [one["trouble"] for one in page["miners"]] == ["nobody guards it"]
    assert page["totals"]["conditions"] == {"lost": 1}
    assert (await site.get("/miners/acme-1"))["now"]["condition"] == "lost"


async def test_a_miner_is_shown_with_its_record_and_history(site: ApiSite) -> None:
    """Also once it is no more."""
    await told(site, inventory(machine(1)), inventory(machine(1, identity=identity(1, serial="SN9"))))
    shown = await site.get("/miners/acme-1")
    history = await site.get("/miners/acme-1/history")
    await told(site, inventory(LAZY))
    gone = await site.get("/miners/acme-1")

    assert (shown["now"]["serial"], shown["pools"][0]["user"]) == ("SN9", POOL.user)
    assert [c["what"] for c in history["changes"]] == ["serial", "pools", "appeared"]
    assert (history["changes"][0]["before"], history["changes"][0]["after"]) == ("SN1", "SN9")
    assert gone["now"] is None
    assert gone["vanished_at"] is not None
    for path in ("nobody", "nobody/history"):
        refused(await site.client.get(f"{URL}/{path}"), 404, "miner_not_found")


async def test_a_wish_is_stored_and_shown(site: ApiSite) -> None:
    """By whom, when and why; the scheduler finds it, and the next leader too."""
    await told(site, inventory(machine(1), LAZY))
    made = (await site.client.post(f"{URL}/acme-1/wish", json={"wish": "paused", **WHY})).json()
    wish = made["now"]["wish"]

    assert (wish["wish"], wish["by"], wish["reason"]) == ("paused", "site", "its fan howls")
    assert (await site.store.intents(0)).miner_wishes == {"acme": (("acme-1", Wish.PAUSED),)}
    assert (await site.store.load()).miner_wishes == {"acme": (("acme-1", Wish.PAUSED),)}
    answer = await site.client.post(f"{URL}/acme-1/wish", json={"wish": "inherit", "reason": "mended"})
    assert answer.json()["now"]["wish"] is None
    history = await site.get("/miners/acme-1/history")
    assert [w["wish"] for w in history["wishes"]] == ["inherit", "paused"]
    assert (await site.store.load()).miner_wishes == {}


async def test_what_cannot_be_paused_says_why(site: ApiSite) -> None:
    """With the remedy; and what makes no sense names the field."""
    await told(site, inventory(machine(1), LOCKED))
    problem = refused(
        await site.client.post(f"{URL}/acme-10/wish", json={"wish": "paused", **WHY}), 409, "miner_cannot"
    )
    assert "acme-10 cannot be paused: 10.0.0.10: wrong password" in problem["detail"]
    assert problem["remedy"] == "put another into its secret file"
    refused(
        await site.client.post(f"{URL}/nobody/wish", json={"wish": "paused", **WHY}), 404, "miner_not_found"
    )
    for body in ({"wish": "paused"}, {"wish": "paused", "reason": " "}, {"wish": "sold", **WHY}):
        refused(await site.client.post(f"{URL}/acme-1/wish", json=body), 422, "invalid_field")


async def test_many_are_paused_at_once(site: ApiSite) -> None:
    """Those that are named all or none; of a group all that can."""
    await told(site, inventory(machine(1), LAZY, LOCKED))
    named = {"wish": "paused", "miners": ["acme-1", "acme-10"], **WHY}
    refused(await site.client.post(f"{URL}:wish", json=named), 409, "miner_cannot")
    assert (await site.store.load()).miner_wishes == {}

    whole = await site.client.post(f"{URL}:wish", json={"wish": "paused", "group": "acme", **WHY})
    assert whole.json()["miners"] == ["acme-1", "acme-2"]
    assert [one["id"] for one in whole.json()["cannot"]] == ["acme-10"]
    unknown = await site.client.post(f"{URL}:wish", json={"wish": "paused", "group": "b", **WHY})
    refused(unknown, 404, "group_not_found")
    for body in ({"wish": "paused", **WHY}, {**named, "group": "acme"}, {**named, "miners": []}):
        refused(await site.client.post(f"{URL}:wish", json=body), 422, "invalid_field")


@pytest.mark.parametrize("role", ["viewer", "researcher"])
async def test_only_operators_see_pools_and_wish(site: ApiSite, role: str) -> None:
    """Everybody may look at the rest; nowhere is a pool told of."""
    await told(site, inventory(machine(1)))
    async with site.client_of("ada", role) as ada:
        texts = [(await ada.get(f"/api/v1/{path}")).text for path in ("miners", "miners/acme-1", "events")]
        texts.append((await ada.get(f"{URL}/acme-1/history")).text)
        for text in texts:
            assert "acme-1" in text
            assert POOL.user not in text
            assert POOL.url not in text
        for path in (f"{URL}/acme-1/wish", f"{URL}:wish"):
            refused(await ada.post(path, json={"wish": "paused", **WHY}), 403, "forbidden")
    async with site.client_of("olga", "operator") as olga:
        assert POOL.user in (await olga.get(f"{URL}/acme-1")).text
        assert POOL.user in (await olga.get(f"{URL}/acme-1/history")).text


async def test_each_machine_is_shown_with_what_a_mwh_brings_it(site: ApiSite) -> None:
    """By the efficiency that it had of late; before anybody told figures, and once they are stale, it says so."""
    await told(site, inventory(machine(1, joule_per_th=17.5), machine(2, joule_per_th=None)))
    one = await site.get("/miners/acme-1")
    assert one["now"]["micro_per_mwh"] is None
    assert "nobody has told" in one["now"]["why_no_revenue"]

    figures = chain.figures(as_of_at=datetime.now(UTC), height=chain.height_at(datetime.now(UTC)))
    site.context.desk.tell_figures(figures, by="ada", corrects=False)
    known, unknown = (await site.get("/miners"))["miners"]
    assert known["micro_per_mwh"] == revenue_micro_per_mwh(figures.hashprice_micro, 17.5)
    assert known["why_no_revenue"] == ""
    assert (unknown["micro_per_mwh"], "not measured" in unknown["why_no_revenue"]) == (None, True)

    old = replace(figures, as_of_at=datetime.now(UTC) - timedelta(hours=30))
    mined = Mined(figures=old, pools={}, at=datetime.now(UTC))
    stale = mined.by(standing(site.context.desk.machines.now())[0])
    assert stale.micro_per_mwh is None
    assert "30.0 h old" in stale.why
