"""Nodes of other machines: taken in where the firm level has room, told what they need, and let go."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from scheduler.core.orders import GroupSpec
from tests.api_site import ApiSite, refused
from tests.builders import site as site_of

NODE = {"prefix": "node", "count": 1, "gpus": 4, "base_w": 600, "simulated": True}  # rests at 820 W
SITE: dict[str, Any] = {
    "name": "t",
    "power": {"firm_w": 3000, "overhead": 1.25, "auxiliary_w": 100, "reaction_s": 30},
    "nodes": [NODE],
    "storage": {"jobs_dir": "/shared/jobs"},
}
GPU = {"gpu_id": "0", "model": "a100-sxm-400w"}
JOIN: dict[str, Any] = {
    "name": "hall-1",
    "address": "192.0.2.8",
    "base_w": 400.0,
    "gpus": [GPU],
    "simulated": True,
}


@pytest.fixture
def ready(site: ApiSite) -> ApiSite:
    """A site with a site file, whose Ray is up."""
    (site.state / "site.yaml").write_text(yaml.safe_dump(SITE))
    address = {"ray_address": "192.0.2.1:7481", "api_url": "http://192.0.2.1:7480"}
    (site.state / "run" / "site.json").write_text(json.dumps(address))
    (site.state / "run" / "ray.token").write_text("s3cret\n")
    return site


async def join(site: ApiSite, **changes: Any) -> Any:
    """The answer to a node that asks."""
    return await site.client.post("/api/v1/nodes/join", json=JOIN | changes)


async def test_a_node_that_fits_is_told_what_it_needs_and_remembered(ready: ApiSite) -> None:
    """Ray's address and token, and how its guard is to behave."""
    answer = await join(ready)

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (await ready.client.get("/api/v1/me", headers=bearer(told.pop("token")))).json()[
        "role"
    ] == "operator"
    assert told == {
        "site": "t",
        "ray_address": "192.0.2.1:7481",
        "ray_token": "s3cret",
        "guard": {"save_after_s": 5.0, "orphan_s": 18.0, "job_nice": 5, "jobs_dir": "/shared/jobs"},
        "filler": None,
    }
    [member] = (await ready.store.load()).members
    assert (member.spec.group_id, member.spec.address, member.spec.base_w) == ("hall-1", "192.0.2.8", 400.0)
    assert not member.leaving


async def test_a_node_is_told_what_may_mine_on_its_idle_gpus(ready: ApiSite) -> None:
    """By the site file of the head: what a filler may make of a GPU, and how it is run."""
    filler = {"name": "rig", "nodes": ["hall-*"], "command": ["mine", "--gpu={gpu}"], "most_w": 300}
    (ready.state / "site.yaml").write_text(yaml.safe_dump(SITE | {"fillers": [filler]}))

    told = (await join(ready)).json()["filler"]
    assert told["kind"].pop("told")
    assert told["kind"] | {"gpu_ids": []} == {
        "name": "rig",
        "partner": "",
        "gpu_ids": [],
        "least_cap_w": 0.0,
        "most_cap_w": 300.0,
    }
    assert told["run"] == {"command": ["mine", "--gpu={gpu}"], "api_port": None, "token": {}}
    assert (await join(ready, name="yard-1")).json()["filler"] is None


async def test_a_node_that_would_break_the_firm_level_is_refused_with_numbers(ready: ApiSite) -> None:
    """820 W rest here and 455 W joined: 1.25 x 1275 + 100 = 1694 W; 1269 W more make 2963 W."""
    assert (await join(ready)).status_code == 200

    assert (await join(ready, name="hall-2", base_w=960.0)).status_code == 200
    problem = refused(await join(ready, name="hall-3", base_w=100.0), 409, "firm_exceeded")

    assert problem["detail"] == (
        "hall-3 rests at 194 W with overhead; the site would come down to 3156 W on loss of signal, and "
        "power.firm_w is 3000 W"
    )
    assert problem["remedy"] == "raise power.firm_w, or take 156 W of base or firm jobs out"
    assert len((await ready.store.load()).members) == 2


async def test_a_node_that_would_break_a_domain_at_rest_is_refused(ready: ApiSite) -> None:
    """Two of 455 W are behind a rack that has 900 W firm; elsewhere there is room."""
    rack = {"name": "rack", "limit_w": 4000, "firm_w": 900, "groups": ["hall-*"]}
    source = {"type": "constant", "name": "dso", "domain": "rack", "limit_w": 3000}
    (ready.state / "site.yaml").write_text(yaml.safe_dump(SITE | {"domains": [rack], "signals": [source]}))
    assert (await join(ready)).status_code == 200
    problem = refused(await join(ready, name="hall-2"), 409, "domain_exceeded")

    assert (
        "with hall-2: domain 'rack': firm_w = 900 W allows 900 W, and its groups draw 910 W"
        in problem["detail"]
    )
    assert (await join(ready, name="yard-1")).status_code == 200


async def test_firm_jobs_that_run_count_too(ready: ApiSite) -> None:
    """What they hold of the firm level cannot be given to the base of another node."""
    running = site_of(firm_w=3000, overhead=1.25).node("node-1").running("j", on="node-1", gpus=4, flex=0)
    await ready.show(running.limit_w(9000))

    refused(await join(ready), 409, "firm_exceeded")


async def test_a_node_that_comes_back_is_not_counted_twice(ready: ApiSite) -> None:
    """Also with other GPUs, as long as it fits."""
    for base_w in (1100.0, 1150.0):
        assert (await join(ready, base_w=base_w)).status_code == 200

    [member] = (await ready.store.load()).members
    assert member.spec.base_w == 1150.0


@pytest.mark.parametrize(
    "changes, status, code",
    [
        ({"name": "node-1"}, 409, "name_taken"),
        ({"gpus": [GPU | {"model": "abacus"}]}, 422, "invalid_field"),
        ({"gpus": []}, 422, None),
        ({"name": "No Name"}, 422, None),
        ({"address": "next door"}, 422, None),
        ({"base_w": 0}, 422, None),
        ({"base_w": -5}, 422, None),
        ({"base_w": 1e12}, 422, None),
        ({"firm": True}, 422, None),
    ],
    ids=range(9),
)
async def test_what_makes_no_sense_is_refused(
    ready: ApiSite, changes: dict[str, Any], status: int, code: str | None
) -> None:
    """And nothing is remembered."""
    answer = await join(ready, **changes)

    assert answer.status_code == status, answer.text
    assert code is None or answer.json()["code"] == code
    assert (await ready.store.load()).members == ()


async def test_a_name_that_another_machine_reports_under_is_taken(ready: ApiSite) -> None:
    """Two agents of one name would be one."""
    assert (await join(ready)).status_code == 200
    await ready.show(with_hall())

    problem = refused(await join(ready, address="192.0.2.9"), 409, "name_taken")

    assert problem["field"] == "name"
    assert (await join(ready)).status_code == 200, "the same machine may"


async def test_a_site_that_no_other_machine_can_reach_says_so(ready: ApiSite) -> None:
    """Before a node waits for it in vain."""
    (ready.state / "run" / "site.json").write_text(json.dumps({"ray_address": "127.0.0.1:7481"}))

    assert "--listen" in refused(await join(ready), 409, "not_listening")["remedy"]
    (ready.state / "run" / "site.json").unlink()
    refused(await join(ready), 409, "not_ready")


async def test_only_who_has_a_token_may_join(ready: ApiSite) -> None:
    """The answer holds a secret."""
    async with ready.client_with({}) as stranger:
        refused(await stranger.post("/api/v1/nodes/join", json=JOIN), 401, "unauthorized")


async def test_a_node_leaves_and_is_forgotten(ready: ApiSite) -> None:
    """First no new work, then nothing of it counts; again there is nothing to leave."""
    await join(ready)
    await ready.show(with_hall())

    assert (await ready.client.post("/api/v1/nodes/hall-1/leave")).json() == {"name": "hall-1"}
    assert [m.leaving for m in (await ready.store.load()).members] == [True]
    assert (await ready.client.post("/api/v1/nodes/hall-1/forget")).status_code == 200
    assert (await ready.store.load()).members == ()
    for verb in ("leave", "forget"):
        refused(await ready.client.post(f"/api/v1/nodes/hall-1/{verb}"), 404, "node_not_found")
        refused(await ready.client.post(f"/api/v1/nodes/node-1/{verb}"), 404, "node_not_found")


async def test_a_node_that_may_still_follow_an_order_is_not_forgotten(
    ready: ApiSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it was silent for as long as it takes to give its jobs up."""
    from datetime import UTC, datetime, timedelta

    from tests import builders

    await join(ready)
    monkeypatch.setattr(builders, "T0", datetime.now(UTC))
    await ready.show(with_hall())
    problem = refused(await ready.client.post("/api/v1/nodes/hall-1/forget"), 409, "still_there")
    assert "barq node leave" in problem["remedy"]

    monkeypatch.setattr(builders, "T0", datetime.now(UTC) - timedelta(seconds=61))
    await ready.show(with_hall())
    assert (await ready.client.post("/api/v1/nodes/hall-1/forget")).status_code == 200


async def test_the_token_of_a_node_is_its_own_and_ends_with_it(ready: ApiSite) -> None:
    """Its ticket ends within hours, and it stays: so it has one without an end, until it joins anew or is forgotten."""
    first, second = [(await join(ready)).json()["token"] for _ in range(2)]
    assert [(t.name, t.expires_at) for t in ready.context.desk.tokens() if t.name.startswith("node-")] == [
        ("node-hall-1", None)
    ]
    me = "/api/v1/me"
    refused(await ready.client.get(me, headers=bearer(first)), 401, "unauthorized")
    assert (await ready.client.get(me, headers=bearer(second))).status_code == 200

    assert (await ready.client.post("/api/v1/nodes/hall-1/forget", headers=bearer(second))).status_code == 200
    refused(await ready.client.get(me, headers=bearer(second)), 401, "unauthorized")


def bearer(token: str) -> dict[str, str]:
    """As that machine asks."""
    return {"Authorization": f"Bearer {token}"}


def with_hall() -> Any:
    """The site with the node that joined."""
    built = site_of(firm_w=3000, overhead=1.25).node("node-1").node("hall-1", gpus=1, base_w=400.0)
    group = built.groups["hall-1"]
    spec: GroupSpec = replace(group.spec, address="192.0.2.8")
    built.groups["hall-1"] = replace(group, spec=spec)
    return built.limit_w(9000)
