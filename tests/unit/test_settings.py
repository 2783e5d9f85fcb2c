"""The site file: what it says is taken over to the letter; nonsense is answered with file, field, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from scheduler.core.power import PowerLimits
from scheduler.core.snapshot import SitePolicy
from scheduler.errors import SettingsError
from scheduler.settings import Site, load_site
from scheduler.signal_settings import SignalSettings
from workers.group_config import GroupConfig, load
from workers.miners.simulated import MinerModel

A100 = "a100-sxm-400w"
NODES = {"count": 2, "gpus": 2, "base_w": 600, "simulated": True}
MINERS = {"count": 2, "max_w": 1000, "simulated": True}
CONTRACT = {"type": "constant", "limit_w": 9000}


def written(directory: Path, **document: Any) -> Path:
    """A site file with two nodes and two miners, and what a test changes in it."""
    plain = {"name": "s", "power": {"firm_w": 3000}, "nodes": [NODES], "miners": [MINERS]}
    path = directory / "site.yaml"
    path.write_text(yaml.safe_dump(plain | document), encoding="utf-8")
    return path


def loaded(directory: Path, **document: Any) -> Site:
    """The site that such a file describes."""
    return load_site(written(directory, **document))


def refusal(path: Path) -> str:
    """What is said about a file that is refused, less its name, which must stand in front of every line."""
    with pytest.raises(SettingsError) as refused:
        load_site(path)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines), lines
    return "\n".join(line.removeprefix(f"{path}: ") for line in lines)


def test_a_short_file_is_a_whole_site(tmp_path: Path) -> None:
    """What is left out has the defaults that decisions know."""
    site = loaded(tmp_path)

    assert site.policy() == SitePolicy(name="s", firm_w=3000.0)
    assert site.signals == ()
    assert site.job_nice == 5


def test_groups_come_from_nodes_and_miners(tmp_path: Path) -> None:
    """Like nodes are numbered from 1; a miner group counts its rest as base and the remainder as what it may add."""
    slots = (GpuSlot(gpu_id="0", model=A100), GpuSlot(gpu_id="1", model=A100))
    nodes = [
        GroupSpec(group_id=f"node-{i}", kind=GroupKind.NODE, base_w=600.0, gpus=slots, simulated=True)
        for i in (1, 2)
    ]
    miners = GroupSpec(
        group_id="miners", kind=GroupKind.MINERS, base_w=40.0, miners_max_w=1960.0, simulated=True
    )
    assert list(loaded(tmp_path).groups().items()) == [
        ("node-1", nodes[0]),
        ("node-2", nodes[1]),
        ("miners", miners),
    ]


def test_a_source_keeps_its_own_options(tmp_path: Path) -> None:
    """Type, name and poll period are everybody's; all else is handed to the source."""
    (signal,) = loaded(tmp_path, signals=[CONTRACT | {"name": "grid"}]).signals

    assert (signal.type, signal.name, signal.poll_s) == ("constant", "grid", 0.5)
    assert signal.options() == {"limit_w": 9000}


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"powr": {}},
            "powr: is not known; remove the key or correct its spelling",
        ),
        (
            {"power": {"firm_w": 3000, "frim_w": 1}},
            "power.frim_w: is not known (given: '1'); remove the key or correct its spelling",
        ),
        ({"power": {"firm_w": -1}}, "power.firm_w: must be at least 0 (given: '-1')"),
        ({"power": {"firm_w": float("nan")}}, "power.firm_w: must be a finite number (given: 'nan')"),
        ({"power": {"firm_w": float("inf")}}, "power.firm_w: must be a finite number (given: 'inf')"),
        (
            {"power": {"firm_w": "3 kW"}},
            (
                "power.firm_w: must be a number (given: '3 kW'); "
                "write the number alone; its unit is the end of the field's name"
            ),
        ),
        (
            {"power": {"firm_w": 3000, "overhead": 0.9}},
            "power.overhead: must be at least 1 (given: '0.9')",
        ),
        (
            {"power": {"firm_w": 3000, "margin": float("nan")}},
            "power.margin: must be less than 0.5 (given: 'nan')",
        ),
        ({"timing": {"fall_s": 0}}, "timing.fall_s: must be more than 0 (given: '0')"),
        (
            {"timing": {"clock_uncertainty_s": float("nan")}},
            "timing.clock_uncertainty_s: must be at most 60 (given: 'nan')",
        ),
        (
            {"nodes": [NODES | {"gpus": 0}]},
            "nodes.0.gpus: must be at least 1 (given: '0')",
        ),
        (
            {"nodes": [NODES | {"simulated": "perhaps"}]},
            "nodes.0.simulated: must be true or false (given: 'perhaps')",
        ),
        (
            {"name": "Not A Name"},
            "name: must match the pattern '^[a-z0-9][a-z0-9-]{0,31}$' (given: 'Not A Name')",
        ),
        (
            {"miners": [MINERS | {"ramp_down_w_per_s": 0}]},
            "miners.0.ramp_down_w_per_s: must be more than 0 (given: '0')",
        ),
        (
            {"signals": [CONTRACT | {"poll_s": 0}]},
            "signals.0.poll_s: must be more than 0 (given: '0')",
        ),
        ({"signals": [{"limit_w": 1}]}, "signals.0.type: is missing"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """The answer is one line: the field by its path, what it should be, what was given."""
    assert refusal(written(tmp_path, **change)) == said


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"timing": {"lease_s": 28, "fall_s": 3, "lost_after_s": 90}},
            (
                "timing.lease_s + timing.fall_s = 31 s exceed power.reaction_s = 30 s: guards on their own would fall "
                "too late; shorten the lease"
            ),
        ),
        (
            {"timing": {"lost_after_s": 49.5}},
            (
                "timing.lost_after_s = 49.5 s is shorter than a silent guard needs to end its jobs (lease + save_after "
                "+ 30 s grace = 50 s); raise it"
            ),
        ),
        (
            {"power": {"firm_w": 1814, "auxiliary_w": 0}},
            (
                "power.firm_w = 1814 W is below the idle base of the site, 1815 W: it could not be kept on loss of "
                "signal; raise the firm level or take nodes out"
            ),
        ),
        (
            {"nodes": [NODES | {"gpu_model": "h900"}]},
            "nodes.gpu_model: 'h900' is not known; use one of ['a100-sxm-400w']",
        ),
        (
            {"nodes": [NODES, NODES | {"gpus": 1}]},
            "nodes and miners: two groups are called 'node-1'; give them other prefixes or names",
        ),
        (
            {"miners": [MINERS | {"name": "node-2"}]},
            "nodes and miners: two groups are called 'node-2'; give them other prefixes or names",
        ),
        (
            {"signals": [CONTRACT, CONTRACT | {"limit_w": 5000}]},
            "signals.name: two sources are called 'constant'; give each a name of its own",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """The answer names the fields, their values, why it matters and what to do."""
    assert refusal(written(tmp_path, **change)) == f"the site: {said}"


def test_a_miner_that_rests_above_its_nameplate_is_refused(tmp_path: Path) -> None:
    """Otherwise its group would count negative watts."""
    path = written(tmp_path, miners=[MINERS | {"rest_w": 1200}])

    assert refusal(path) == (
        "miners.0: rest_w = 1200 W is above max_w = 1000 W: a miner at rest draws less than at work; "
        "correct one of them"
    )


def test_paces_on_the_edge_are_accepted(tmp_path: Path) -> None:
    """A lease and a fall may fill the reaction time, a silence the grace, the base the firm level: not more."""
    site = loaded(
        tmp_path,
        power={"firm_w": 1815},
        timing={"lease_s": 27, "fall_s": 3, "lost_after_s": 62},
    )
    assert (site.power.firm_w, site.timing.lease_s) == (1815.0, 27.0)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """A person corrects a file once, not once for each mistake."""
    path = written(tmp_path, name="", nodes=[NODES | {"count": 0}])

    assert refusal(path).splitlines() == [
        "name: must match the pattern '^[a-z0-9][a-z0-9-]{0,31}$' (given: '')",
        "nodes.0.count: must be at least 1 (given: '0')",
    ]


@pytest.mark.parametrize("text", ["", "- name: s", "s", "7"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever else YAML can say is no site."""
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")

    assert refusal(path) == "a site file is a mapping with at least name, power and nodes; see configs/sites/"


@pytest.mark.parametrize(
    "content", [b"name: [", b"name: \xff", b"a: &x [*x"], ids=["open", "bytes", "anchor"]
)
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    """What is wrong, with its line, follows on one line; the words are the parser's."""
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_site(path)

    assert str(refused.value).startswith(f"{path}: cannot be read as a site file: line 1")
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A wrong path is the most likely mistake of all."""
    path = tmp_path / "nowhere.yaml"

    assert refusal(path) == (
        "cannot be read as a site file: No such file or directory; "
        "name a file that you may read, see configs/sites/"
    )


def test_guards_read_what_is_written_for_them(tmp_path: Path) -> None:
    """One file per group, in the shape that the workers' own reader accepts, with the pace of the site."""
    site = loaded(
        tmp_path, timing={"lease_s": 8, "fall_s": 2, "save_after_s": 4, "lost_after_s": 42}, job_nice=3
    )
    site.write_groups(tmp_path)

    files = sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / "groups").rglob("*"))
    assert [f for f in files if f.endswith("json")] == [
        f"groups/{gid}/group.json" for gid in ("miners", "node-1", "node-2")
    ]
    specs = site.groups()
    jobs = str(tmp_path / "jobs")
    pace: dict[str, Any] = {"save_after_s": 4.0, "orphan_s": 10.0, "job_nice": 3}
    pace |= {"jobs_dir": jobs, "own_jobs_dir": jobs}
    models = tuple(
        MinerModel(
            miner_id=f"miners-{i}", nameplate_w=1000.0, idle_w=20.0, fall_w_per_s=2000.0, rise_w_per_s=500.0
        )
        for i in (1, 2)
    )
    read = {gid: load(tmp_path / "groups" / gid / "group.json") for gid in specs}
    assert read == {
        "node-1": GroupConfig(spec=specs["node-1"], **pace),
        "node-2": GroupConfig(spec=specs["node-2"], **pace),
        "miners": GroupConfig(spec=specs["miners"], miners=models, **pace),
    }


REAL = {"base_w": 500, "simulated": False}
FOUND = GroupSpec(
    group_id="node-1",
    kind=GroupKind.NODE,
    base_w=500.0,
    gpus=(GpuSlot(gpu_id="GPU-1", model="h100", limits=PowerLimits(min_w=200.0, max_w=700.0, idle_w=80.0)),),
)


def test_this_machine_has_what_was_found_in_it(tmp_path: Path) -> None:
    """Its guard and the scheduler are told the same; until it was looked at it has no GPU."""
    site = loaded(tmp_path, nodes=[REAL])
    assert site.real_nodes() == {"node-1": 500.0}
    assert site.groups()["node-1"].gpus == ()
    assert site.found_before(tmp_path) == {}

    site.write_groups(tmp_path, {"node-1": FOUND})
    assert load(tmp_path / "groups" / "node-1" / "group.json").spec == FOUND
    assert site.found_before(tmp_path) == {"node-1": FOUND}
    assert site.groups(site.found_before(tmp_path))["node-1"] == FOUND


def test_the_firm_level_has_to_cover_what_was_found(tmp_path: Path) -> None:
    """The file alone may make sense, and the machine be larger than it thought."""
    site = loaded(tmp_path, nodes=[REAL], miners=[], power={"firm_w": 640})
    with pytest.raises(SettingsError, match="firm_w = 640 W is below the idle base of the site, 725 W"):
        site.check({"node-1": FOUND})


def test_a_damaged_memory_of_what_was_found_is_named(tmp_path: Path) -> None:
    """With the file and the remedy."""
    site = loaded(tmp_path, nodes=[REAL])
    site.write_groups(tmp_path, {"node-1": FOUND})
    (tmp_path / "groups" / "node-1" / "group.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"group.json: .*barq up"):
        site.found_before(tmp_path)


@pytest.mark.parametrize(
    "nodes, said",
    [
        ([{"count": 1, "simulated": True}], "gpus: is missing; say how many"),
        ([REAL | {"gpus": 8}], "real GPUs are found by themselves; remove these keys"),
        ([REAL | {"count": 2}], "this machine is one node"),
        ([REAL, REAL | {"prefix": "b"}], "there is one machine here"),
    ],
)
def test_real_nodes_say_nothing_that_is_found(tmp_path: Path, nodes: list[Any], said: str) -> None:
    """And simulated ones say what cannot be found."""
    assert said in refusal(written(tmp_path, nodes=nodes))


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    """A site that is started again may have changed its file."""
    loaded(tmp_path).write_groups(tmp_path)
    loaded(tmp_path, job_nice=0).write_groups(tmp_path)

    assert load(tmp_path / "groups" / "node-1" / "group.json").job_nice == 0


def test_the_address_to_listen_on_must_be_one(tmp_path: Path) -> None:
    """Guards tell it to each other's jobs."""
    site = loaded(tmp_path, listen="192.0.2.1")
    site.write_groups(tmp_path, address=str(site.listen))

    assert load(tmp_path / "groups" / "node-1" / "group.json").spec.address == "192.0.2.1"
    assert "listen" in refusal(written(tmp_path, listen="next door"))


def test_jobs_may_be_kept_on_storage_that_is_shared(tmp_path: Path) -> None:
    """An absolute path, for it must be the same everywhere."""
    assert loaded(tmp_path).jobs_dir(tmp_path) == tmp_path / "jobs"
    site = loaded(tmp_path, storage={"jobs_dir": "/shared/barq/jobs"})
    assert site.jobs_dir(tmp_path) == Path("/shared/barq/jobs")
    assert site.guard_config(tmp_path)["jobs_dir"] == "/shared/barq/jobs"
    assert "storage.jobs_dir" in refusal(written(tmp_path, storage={"jobs_dir": "jobs"}))


def test_the_feeder_of_a_source_is_the_site_file_s_affair() -> None:
    """Every kind of source has the key, and none has to read it."""
    settings = SignalSettings.model_validate({"type": "constant", "feeder": "feeder-12", "limit_w": 5.0})
    assert (settings.feeder, settings.options()) == ("feeder-12", {"limit_w": 5.0})
