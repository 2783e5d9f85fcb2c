"""The emergency stop over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.estop import EmergencyStop
from tests.api_site import ApiSite, refused, two_nodes
from tests.builders import T0

URL = "/api/v1/power/estop"


async def test_a_stop_stands_until_it_is_released(site: ApiSite) -> None:
    """Everybody sees who, when and why, at once: it does not take a scheduler to show it."""
    await site.show(two_nodes())
    assert (await site.get("/power"))["estop"] is None

    made = (await site.client.post(URL, json={"reason": " smoke in hall 2 "})).json()
    assert (made["engaged"], made["reason"], made["by"]) == (True, "smoke in hall 2", "site")
    assert (await site.get("/power"))["estop"] == made
    assert [s.id for s in (await site.store.load()).stops] == [made["id"]]

    released = (await site.client.post(f"{URL}/release", json={"reason": "false alarm"})).json()
    assert released == {"engaged": False, "released": [made | {"engaged": False}]}
    assert (await site.get("/power"))["estop"] is None
    again = (await site.client.post(f"{URL}/release", json={"reason": "sure"})).json()
    assert again == {"engaged": False, "released": []}


@pytest.mark.parametrize("body", [{}, {"reason": " "}, {"reason": "x", "id": "../1"}, {"reason": "x" * 501}])
async def test_a_stop_that_makes_no_sense_is_refused(site: ApiSite, body: dict[str, str]) -> None:
    """A reason belongs to it; nothing is stopped without."""
    response = await site.client.post(URL, json=body)

    assert response.status_code == 422
    assert (await site.store.load()).stops == ()


async def test_a_release_needs_a_reason(site: ApiSite) -> None:
    """Why it is safe now."""
    await site.client.post(URL, json={"reason": "smoke"})

    refused(await site.client.post(f"{URL}/release", json={}), 422, "invalid_field")
    assert len((await site.store.load()).stops) == 1


async def test_nodes_show_what_their_guards_hold(site: ApiSite) -> None:
    """The latch of each guard, as it reported it."""
    world = two_nodes()
    stop = EmergencyStop(id="s1", reason="smoke", by="ada", at=T0)
    world.groups["node-1"] = replace(world.groups["node-1"], stop=stop)
    await site.show(world)

    nodes = {node["id"]: node["estop"] for node in (await site.get("/nodes"))["nodes"]}

    assert nodes["node-1"]["by"] == "ada"
    assert nodes["node-2"] is None
