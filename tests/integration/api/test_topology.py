"""Racks over HTTP: what a job may ask for, where nodes are shown to be, and where members say they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from scheduler.core.jobs import TopologyRequest
from tests.api_site import ApiSite, refused
from tests.builders import SiteBuilder, site as site_of

NODE = {"prefix": "node", "count": 1, "gpus": 4, "base_w": 600, "simulated": True}
JOIN: dict[str, Any] = {
    "name": "hall-1",
    "address": "192.0.2.8",
    "base_w": 400.0,
    "gpus": [{"gpu_id": "0", "model": "a100-sxm-400w"}],
    "simulated": True,
}


def two_racks() -> SiteBuilder:
    """Two nodes in rack r1 of each block, one that does not say where it is, and miners."""
    built = site_of(firm_w=9000.0, topology=("block", "rack"))
    for name, block in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")):
        built.node(name, block=block, rack="r1")
    return built.node("e").miners().limit_w(20_000)


async def test_a_job_that_fits_into_a_rack_is_queued_with_what_it_asks_for(site: ApiSite) -> None:
    """And shows it, to everybody."""
    await site.show(two_racks())

    job = await site.submit(nodes=2, resources={"gpus": 4}, topology={"required": "rack"})

    asked = TopologyRequest(level="rack", is_required=True)
    assert (await site.job(job["id"])).spec.topology == asked
    assert job["spec"]["topology"]["required"] == "rack"
    async with site.client_of("bob", "researcher") as bob:
        other = (await bob.get(f"/api/v1/jobs/{job['id']}")).json()
    assert other["spec"]["topology"]["required"] == "rack"


@pytest.mark.parametrize(
    "fields, code, field, words",
    [
        (
            {"nodes": 3, "topology": {"required": "rack"}},
            "never_fits",
            "topology.required",
            "the job wants 3 nodes in one rack; the largest, x/r1, has 2 that do",
        ),
        (
            {"nodes": 2, "topology": {"required": "row"}},
            "invalid_field",
            "topology.required",
            "the levels of this site are block, rack",
        ),
        (
            {"nodes": 2, "topology": {"preferred": "row"}},
            "invalid_field",
            "topology.preferred",
            "the levels of this site are block, rack",
        ),
        ({"nodes": 9, "topology": {"required": "rack"}}, "never_fits", "nodes", "9 nodes"),
        ({"topology": {}}, "invalid_field", "topology", "give either required or preferred"),
        ({"topology": "rack"}, "invalid_field", "topology", "mapping"),
        ({"topology": {"required": ["rack"]}}, "invalid_field", "topology.required", "text"),
    ],
)
async def test_what_cannot_be_is_refused(
    site: ApiSite, fields: dict[str, Any], code: str, field: str, words: str
) -> None:
    """With the field, the numbers and the remedy."""
    await site.show(two_racks())
    body = {"entrypoint": "x", "resources": {"gpus": 1}, **fields}

    problem = refused(await site.client.post("/api/v1/jobs", json=body), 422, code)

    assert problem["field"] == field
    assert words in f"{problem['detail']} {problem['remedy']}"


async def test_a_job_of_one_node_may_require_any_level(site: ApiSite) -> None:
    """It is in one rack in any case; so is one that prefers what no rack holds in some."""
    await site.show(two_racks())

    await site.submit(topology={"required": "block"})
    await site.submit(nodes=5, topology={"preferred": "rack"})


async def test_a_site_without_levels_says_so(site: ApiSite) -> None:
    """With what would help."""
    await site.show(site_of(firm_w=9000.0).node("a").limit_w(9000))
    body = {"entrypoint": "x", "topology": {"preferred": "rack"}}

    problem = refused(await site.client.post("/api/v1/jobs", json=body), 422, "invalid_field")

    assert "the levels of this site are none" in problem["detail"]
    assert "site file" in problem["remedy"]


async def test_nodes_show_where_they_are(site: ApiSite) -> None:
    """At every level, the outermost first; miners are nowhere."""
    await site.show(two_racks())

    found = {node["id"]: node["topology"] for node in (await site.get("/nodes"))["nodes"]}

    assert list(found["a"].items()) == [("block", "x"), ("rack", "r1")]
    assert found["e"] == {"block": "", "rack": ""}
    assert found["miners"] == {}


async def test_a_member_says_where_it_is(site: ApiSite) -> None:
    """By levels that the site has; else it is refused before it counts."""
    file = {
        "name": "t",
        "power": {"firm_w": 3000, "overhead": 1.25, "auxiliary_w": 100, "reaction_s": 30},
        "topology": ["rack"],
        "nodes": [NODE],
    }
    (site.state / "site.yaml").write_text(yaml.safe_dump(file))
    address = {"ray_address": "192.0.2.1:7481", "api_url": "http://192.0.2.1:7480"}
    (site.state / "run" / "site.json").write_text(json.dumps(address))
    (site.state / "run" / "ray.token").write_text("s3cret\n")

    for place, words in (({"block": "b1"}, "block is no level of this site"), ({"rack": "r 1"}, "rack")):
        answer = await site.client.post("/api/v1/nodes/join", json=JOIN | {"topology": place})
        assert words in json.dumps(refused(answer, 422, "invalid_field"))
    answer = await site.client.post("/api/v1/nodes/join", json=JOIN | {"topology": {"rack": "R7"}})

    assert answer.status_code == 200, answer.text
    [member] = (await site.store.load()).members
    assert member.spec.topology == (("rack", "R7"),)
