"""Racks and blocks as people write them: in the site file, in a job file, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.admission import job_spec
from barq.errors import InvalidInput
from barq.jobfile import JobFileError, parse_job
from scheduler.core.jobs import TopologyRequest
from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from scheduler.errors import SettingsError
from scheduler.settings import Site, load_site
from scheduler.sim.site_file import load_sim_site
from tests.builders import T0
from tests.busy_site import NODE, barq, busy_site
from tests.stub_site import StubSite

NODES: dict[str, Any] = {"prefix": "a", "count": 5, "gpus": 4, "simulated": True}


def loaded(folder: Path, *nodes: dict[str, Any], **more: Any) -> Site:
    """A site file with these nodes."""
    return load_site(written(folder, *nodes, **more))


def written(folder: Path, *nodes: dict[str, Any], **more: Any) -> Path:
    """Where that file is."""
    file = folder / "site.yaml"
    power = {"firm_w": 90_000}
    file.write_text(yaml.safe_dump({"name": "t", "power": power, "nodes": list(nodes), **more}))
    return file


# -- the site file -----------------------------------------------------------------------------------------------------


def test_nodes_are_where_the_file_says(tmp_path: Path) -> None:
    """By name, or so many a rack in the order of their numbers; the last rack may have fewer."""
    racks = {"block": "b1", "rack": {"per": 2}}
    site = loaded(
        tmp_path, NODES | {"topology": racks}, NODES | {"prefix": "b", "count": 1}, topology=["block", "rack"]
    )

    found = {gid: dict(spec.topology) for gid, spec in site.groups().items()}

    assert site.policy().topology == ("block", "rack")
    assert [found[f"a-{i}"]["rack"] for i in range(1, 6)] == [
        "a-rack-1",
        "a-rack-1",
        "a-rack-2",
        "a-rack-2",
        "a-rack-3",
    ]
    assert {found[f"a-{i}"]["block"] for i in range(1, 6)} == {"b1"}
    assert found["b-1"] == {}


def test_a_machine_with_real_gpus_is_where_the_file_says_now(tmp_path: Path) -> None:
    """Whatever its guard was told before."""
    real = {"prefix": "here", "simulated": False, "topology": {"rack": "r2"}}
    spec = GroupSpec(
        group_id="here-1",
        kind=GroupKind.NODE,
        base_w=900.0,
        gpus=(GpuSlot(gpu_id="0", model="a100-sxm-400w"),),
        topology=(("rack", "r1"),),
    )

    found = loaded(tmp_path, real, topology=["rack"]).groups({"here-1": spec})["here-1"]

    assert (found.topology, found.base_w) == ((("rack", "r2"),), 900.0)


@pytest.mark.parametrize(
    "levels, place, words",
    [
        (["rack"], {"block": "b1"}, "'block' is no level of this site; use one of rack"),
        ([], {"rack": "r1"}, "'rack' is no level of this site; add topology: [rack]"),
        (["rack", "rack"], {}, "'rack' is named twice"),
        (["Rack 1"], {}, "topology.0"),
        ([f"l{i}" for i in range(9)], {}, "topology"),
        ("rack", {}, "topology"),
        (["rack"], {"rack": 4}, "write a name, such as r4, or {per: 4}"),
        (["rack"], {"rack": {"per": 0}}, "topology.rack"),
        (["rack"], {"rack": {"each": 4}}, "topology.rack"),
        (["rack"], {"rack": "r 4"}, "topology.rack"),
        (["rack"], {"rack": None}, "topology.rack"),
        (["rack"], "r4", "nodes.0.topology"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, levels: Any, place: Any, words: str) -> None:
    """The file, the field and the remedy."""
    with pytest.raises(SettingsError, match=r"site\.yaml") as refused:
        loaded(tmp_path, NODES | {"topology": place}, topology=levels)

    assert words in str(refused.value)


def test_a_simulated_site_has_the_racks_of_its_file(tmp_path: Path) -> None:
    """In the order of its nodes."""
    nodes = NODES | {"count": 4, "topology": {"rack": {"per": 2}}}
    file = written(tmp_path, nodes, NODES | {"prefix": "b", "count": 1}, topology=["rack"])

    site = load_sim_site(file)

    racks = [dict(s.topology).get("rack") for s in site.specs().values() if s.kind is GroupKind.NODE]
    assert (site.policy().topology, site.together) == (("rack",), None)
    assert racks == ["a-rack-1", "a-rack-1", "a-rack-2", "a-rack-2", None]


def test_all_jobs_of_a_simulation_may_ask_for_one_rack(tmp_path: Path) -> None:
    """Traces do not say; a level that the site does not have is refused."""
    nodes = NODES | {"topology": {"rack": {"per": 2}}}
    asked = {"topology": {"required": "rack"}}

    site = load_sim_site(written(tmp_path, nodes, topology=["rack"], simulation=asked))
    assert site.together == TopologyRequest(level="rack", is_required=True)

    for wrong in ({"required": "row"}, {}, {"required": "rack", "preferred": "rack"}):
        with pytest.raises(SettingsError, match=r"simulation\.topology"):
            load_sim_site(written(tmp_path, nodes, topology=["rack"], simulation={"topology": wrong}))


# -- the job -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "topology, asked",
    [
        (None, None),
        ({"required": "rack"}, TopologyRequest(level="rack", is_required=True)),
        ({"preferred": "block"}, TopologyRequest(level="block", is_required=False)),
    ],
)
def test_what_a_job_file_asks_for_is_what_is_decided_on(topology: Any, asked: Any) -> None:
    """Required, preferred or nothing."""
    fields = {"entrypoint": "true", "nodes": 4} | ({"topology": topology} if topology else {})

    spec = job_spec(parse_job(fields), job_id="t-1", jobs_dir=Path("/jobs"), at=T0)

    assert spec.topology == asked


@pytest.mark.parametrize(
    "topology, field",
    [
        ({}, "topology"),
        ({"required": "rack", "preferred": "rack"}, "topology"),
        ({"required": None}, "topology"),
        ("rack", "topology"),
        ({"required": "no rack"}, "topology.required"),
        ({"required": "x" * 33}, "topology.required"),
        ({"required": 4}, "topology.required"),
        ({"needed": "rack"}, "topology.needed"),
    ],
)
def test_a_job_file_that_makes_no_sense_is_refused(topology: Any, field: str) -> None:
    """By field, with what to write."""
    with pytest.raises(JobFileError) as refused:
        parse_job({"entrypoint": "true", "topology": topology})

    assert refused.value.field == field
    assert refused.value.remedy


def sent(site: StubSite) -> dict[str, Any]:
    """The job that was submitted last."""
    body: dict[str, Any] = json.loads(site.requests[-1].content)
    return body


def test_the_option_wins_over_the_file(tmp_path: Path) -> None:
    """Of what it says, and of the other word."""
    file = tmp_path / "job.yaml"
    file.write_text("entrypoint: 'true'\nnodes: 4\ntopology: {required: block}\n")
    site = busy_site()

    assert barq(site, "submit", str(file), "--topology", "preferred=rack").exit_code == 0
    assert sent(site)["topology"]["preferred"] == "rack"
    assert sent(site)["topology"].get("required") is None

    assert barq(site, "submit", str(file)).exit_code == 0
    assert sent(site)["topology"]["required"] == "block"


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_nodes_show_where_they_are_on_sites_that_have_levels() -> None:
    """The outermost level first; the table of all others is as it was."""
    site = busy_site()
    assert "TOPOLOGY" not in barq(site, "nodes").stdout
    nodes = [
        NODE | {"topology": {"block": "b1", "rack": "r4"}},
        NODE | {"id": "node-2", "topology": {"block": "", "rack": "r5"}},
        NODE | {"id": "node-3", "topology": {"block": "", "rack": ""}},
    ]

    header, *rows = barq(site.on("GET", "/nodes", {"nodes": nodes}), "nodes").stdout.splitlines()

    assert header.split()[-1] == "TOPOLOGY"
    assert [row.split()[-1] for row in rows] == ["b1/r4", "-/r5", "-"]


@pytest.mark.parametrize("setting", ["rack", "rack=", "=r4", "rack=r 4", "Rack=r4", "rack=r4\n"])
def test_a_machine_that_does_not_say_where_it_is_is_told_how(setting: str) -> None:
    """Before anybody is asked."""
    from barq.cli.node import _place

    with pytest.raises(InvalidInput, match="--topology") as refused:
        _place([setting])

    assert "rack=r4" in (refused.value.remedy or "")
    with pytest.raises(InvalidInput):
        _place(["rack=r4", "rack=r5"])
    assert _place(["block=b1", "rack=R4"]) == (("block", "b1"), ("rack", "R4"))
