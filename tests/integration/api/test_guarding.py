"""Guards of miners on other machines: who takes a group on is told of it, and no group gets a second guard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.core.orders import Elsewhere
from scheduler.equipment import Miners
from scheduler.settings import load_site
from tests.api_site import ApiSite, refused
from tests.builders import site as site_of

HALL: dict[str, Any] = {
    "name": "hall",
    "guard_on": "hut-1",
    "simulated": False,
    "max_w": 3400,
    "lan": {
        "addresses": ["10.20.0.7", "10.20.0.8"],
        "credentials": {"braiins": {"user": "root", "password_file": "secrets/braiins"}},
    },
}
SITE: dict[str, Any] = {
    "name": "t",
    "power": {"firm_w": 3000, "overhead": 1.25, "auxiliary_w": 100, "reaction_s": 30},
    "nodes": [{"prefix": "node", "count": 1, "gpus": 4, "base_w": 600, "simulated": True}],
    "miners": [HALL, {"name": "yard", "count": 1, "max_w": 1000, "simulated": True}],
    "storage": {"jobs_dir": "/shared/jobs"},
}
ASKS = {"name": "hut-1", "address": "192.0.2.8"}


@pytest.fixture
def ready(site: ApiSite) -> ApiSite:
    """A site whose Ray is up, with a group whose guard it leaves to another machine."""
    write(site.state)
    address = {"ray_address": "192.0.2.1:7481", "api_url": "http://192.0.2.1:7480"}
    (site.state / "run" / "site.json").write_text(json.dumps(address))
    (site.state / "run" / "ray.token").write_text("s3cret\n")
    return site


def write(state: Path, **changes: Any) -> None:
    """The site file, otherwise."""
    (state / "site.yaml").write_text(yaml.safe_dump(SITE | changes))


async def ask(site: ApiSite, **changes: Any) -> Any:
    """The answer to a machine that asks."""
    return await site.client.post("/api/v1/miners:join", json=ASKS | changes)


async def test_a_machine_is_told_of_its_groups_and_remembered(ready: ApiSite) -> None:
    """As the site file describes them: places of secrets as they are written there, for it is below its own state."""
    answer = await ask(ready)

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["site"], told["ray_address"], told["ray_token"]) == ("t", "192.0.2.1:7481", "s3cret")
    assert "filler" not in told, "that is of nodes alone"
    [group] = told["groups"]
    assert group["told"]["lan"]["credentials"]["braiins"]["password_file"] == "secrets/braiins"  # noqa: S105 - a path
    described = Miners.model_validate(group["told"])
    [written] = load_site(ready.state / "site.yaml").guarded_on("hut-1")
    assert (described, described.digest()) == (written, written.digest())
    [member] = (await ready.store.load()).members
    assert (member.spec.group_id, member.spec.address) == ("hall", "192.0.2.8")
    assert member.spec.elsewhere == Elsewhere(machine="hut-1", told=written.digest())


async def test_a_machine_that_is_in_no_site_file_is_refused_with_those_that_are(ready: ApiSite) -> None:
    """Groups that are guarded on the head are nobody else's."""
    problem = refused(await ask(ready, name="hut-2"), 409, "nothing_to_guard")

    assert "says guard_on: hut-2; those that name a machine: hall (guard_on: hut-1)" in problem["detail"]
    assert (await ready.store.load()).members == ()
    write(ready.state, miners=[])
    assert "those that name a machine: none" in refused(await ask(ready), 409, "nothing_to_guard")["detail"]


async def test_a_group_gets_no_second_guard(ready: ApiSite) -> None:
    """Not while the first is heard of, and not from elsewhere while it may only be cut off; the same one may return."""
    assert (await ask(ready)).status_code == 200
    problem = refused(await ask(ready, address="192.0.2.9"), 409, "guarded_already")
    assert problem["detail"] == "hall was taken on by 192.0.2.8, which may still hold its machines"
    assert "barq miners forget hall" in problem["remedy"]
    assert (await ask(ready)).status_code == 200, "it was never heard of, and asks once more"

    await ready.show(with_hall())
    for address in ("192.0.2.8", "192.0.2.9"):
        problem = refused(await ask(ready, address=address), 409, "guarded_already")
        assert "two guards would fight over its machines" in problem["detail"]
    assert (await ask(ready, again=True)).status_code == 200, "what is heard is its own guard"
    refused(await ask(ready, again=True, address="192.0.2.9"), 409, "guarded_already")


async def test_a_machine_has_a_token_until_its_last_group_is_forgotten(ready: ApiSite) -> None:
    """The one that it has stays when it starts again."""
    yard = HALL | {"name": "other", "lan": {"addresses": ["10.20.0.9"]}}
    write(ready.state, miners=[HALL, yard])
    token = (await ask(ready)).json()["token"]
    assert (await ask(ready, again=True)).json()["token"] == ""

    own = {"Authorization": f"Bearer {token}"}
    for name in ("hall", "other"):
        assert (await ready.client.post(f"/api/v1/nodes/{name}/forget", headers=own)).status_code == 200
    refused(await ready.client.get("/api/v1/me", headers=own), 401, "unauthorized")


async def test_a_guard_that_left_makes_room_for_another(ready: ApiSite) -> None:
    """By the verbs of nodes: first it leaves, then it is forgotten."""
    assert (await ask(ready)).status_code == 200
    for verb in ("leave", "forget"):
        assert (await ready.client.post(f"/api/v1/nodes/hall/{verb}")).status_code == 200
    assert (await ask(ready, address="192.0.2.9")).status_code == 200


async def test_a_firm_level_that_cannot_hold_it_is_said(ready: ApiSite) -> None:
    """A node of 1300 W rests here and 1000 W joined: with the miners the site comes down to more than is firm."""
    node = {
        "name": "n",
        "address": "192.0.2.7",
        "base_w": 1000.0,
        "gpus": [{"gpu_id": "0", "model": "a100-sxm-400w"}],
    }
    assert (await ready.client.post("/api/v1/nodes/join", json=node)).status_code == 200
    write(ready.state, power=SITE["power"] | {"firm_w": 2300})

    problem = refused(await ask(ready), 409, "firm_exceeded")

    assert problem["detail"] == (
        "with hall at rest the site comes down to 2504 W on loss of signal, and power.firm_w is 2300 W"
    )
    assert [m.spec.group_id for m in (await ready.store.load()).members] == ["n"]


async def test_who_joined_is_counted_once(ready: ApiSite) -> None:
    """In the site file and among the members, a group rests only once: a node that just fits still does."""
    assert (await ask(ready)).status_code == 200
    node = {
        "name": "n",
        "address": "192.0.2.7",
        "base_w": 1390.0,
        "gpus": [{"gpu_id": "0", "model": "a100-sxm-400w"}],
    }
    assert (await ready.client.post("/api/v1/nodes/join", json=node)).status_code == 200


async def test_a_site_that_acts_on_nothing_or_listens_to_nobody_says_so(ready: ApiSite) -> None:
    """As to a node that asks; and only who has a token may ask at all."""
    (ready.state / "run" / "site.json").write_text(json.dumps({"ray_address": "127.0.0.1:7481"}))
    refused(await ask(ready), 409, "not_listening")
    assert (await ready.store.load()).members == ()
    async with ready.client_with({}) as stranger:
        refused(await stranger.post("/api/v1/miners:join", json=ASKS), 401, "unauthorized")


async def test_a_group_that_nobody_guards_is_noted_where_its_machines_are_listed(ready: ApiSite) -> None:
    """What is listed is of the guard that was there last."""
    built = with_hall()
    built.groups["hall"] = replace(built.groups["hall"], unguarded=True)
    await ready.show(built, alarms={"hall": ("nobody guards hall",)})
    assert (await ready.client.get("/api/v1/miners")).json()["notices"] == ["nobody guards hall"]
    assert (await ready.client.get("/api/v1/miners", params={"group": "x"})).json()["notices"] == []


def with_hall() -> Any:
    """The site with the group, which reports."""
    built = site_of(firm_w=3000, overhead=1.25).node("node-1").miners("hall", max_w=3400)
    group = built.groups["hall"]
    built.groups["hall"] = replace(group, spec=replace(group.spec, address="192.0.2.8"))
    return built.limit_w(9000)
