"""Fillers in a site file: taken over to the letter, or refused with field, value and remedy; and what doctor says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from barq.cli.commission_facts import read_facts
from barq.doctor.fillers import fillers
from barq.doctor.finding import Grade
from barq.doctor.place import Place
from barq.errors import Refused
from scheduler.core.orders import FillerKind
from scheduler.errors import SettingsError
from scheduler.filler_settings import stated
from scheduler.settings import Site, load_site
from workers.fillers.config import FillerConfig
from workers.fleet.config import Secret
from workers.group_config import load

IN_FILE = Secret(password_file=str(Path("secrets") / "rig"))
RIG = {"name": "rig", "nodes": ["node-*"], "command": ["sh", "-c", "mine {gpu} {x}"]}
RIG_TOLD = "d81fd73e6a418bfb"  #: how it is run, digested
PLAIN: dict[str, Any] = {
    "name": "s",
    "power": {"firm_w": 3000},
    "nodes": [
        {"count": 2, "gpus": 2, "base_w": 600, "simulated": True},
        {"prefix": "bare", "gpus": 2, "base_w": 600, "simulated": True},
    ],
}


def written(directory: Path, *named: dict[str, Any], **document: Any) -> Path:
    """A site file with these fillers."""
    path = directory / "site.yaml"
    path.write_text(yaml.safe_dump(PLAIN | {"fillers": list(named)} | document), encoding="utf-8")
    return path


def loaded(directory: Path, *named: dict[str, Any], **document: Any) -> Site:
    """The site that such a file describes."""
    return load_site(written(directory, *named, **document))


def test_guards_of_the_nodes_that_are_named_are_told(tmp_path: Path) -> None:
    """The first filler that names a node is its own; a node that none names has none."""
    north = {"name": "north"}
    own = RIG | {
        "name": "own",
        "nodes": ["node-2"],
        "partner": "north",
        "least_w": 150,
        "most_w": 300,
        "gpus": ["1"],
    }
    own |= {"command": ["mine", "--port={port}"], "api": {"port": 18_088, "token_file": "secrets/rig"}}
    site = loaded(tmp_path, own, RIG, partners=[north])
    site.write_groups(tmp_path)
    told = {gid: load(tmp_path / "groups" / gid / "group.json") for gid in site.groups()}

    kinds = {gid: told[gid].spec.filler for gid in ("node-1", "node-2")}
    digests = {kind.told for kind in kinds.values() if kind is not None}

    assert kinds == {gid: stated(site.fillers)(gid) for gid in kinds}
    assert len(digests) == 2
    assert kinds["node-1"] == FillerKind(name="rig", told=RIG_TOLD)
    assert told["node-1"].filler == FillerConfig(command=("sh", "-c", "mine {gpu} {x}"))
    assert kinds["node-2"] == FillerKind(
        name="own",
        partner="north",
        gpu_ids=("1",),
        least_cap_w=150.0,
        most_cap_w=300.0,
        told=max(digests - {RIG_TOLD}),
    )
    assert told["node-2"].filler == FillerConfig(
        command=("mine", "--port={port}"), api_port=18_088, token=IN_FILE
    )
    assert (told["bare-1"].spec.filler, told["bare-1"].filler) == (None, None)


def test_each_gpu_has_a_program_of_its_own(tmp_path: Path) -> None:
    """With its id, a port of its own and the token; braces that mean nothing stay, and marks never meet."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "rig").write_text("t0ken\n")
    guard = tmp_path / "groups" / "n1"
    config = FillerConfig(
        command=("mine", "{gpu}/{x}", "--port={port}"),
        api_port=18_088,
        token=IN_FILE,
    )
    first, second = config.program("n1", "GPU-a", 0, guard), config.program("n1", "GPU-b", 1, guard)

    assert first.command == ("mine", "GPU-a/{x}", "--port=18088")
    assert second.command == ("mine", "GPU-b/{x}", "--port=18089")
    assert second.api is not None
    assert (second.api.port, second.api.token) == (18_089, "t0ken")
    assert first.mark != second.mark != config.program("n1", "GPU-b", 1, tmp_path / "other" / "n1").mark
    unread = FillerConfig(command=("mine",), api_port=1, token=Secret(password_file=str(tmp_path / "none")))
    assert unread.program("n1", "0", 0, guard).api is not None


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"partner": "acme"}, "fillers.partner: 'acme' is no partner of this site"),
        ({"least_w": 300, "most_w": 200}, "most_w = 200 W is below least_w = 300 W"),
        ({"least_w": 500}, "fillers.rig: gpus, least_w and most_w leave it no GPU of node-1"),
        ({"gpus": ["7"]}, "fillers.rig.gpus = '7': node-1 has no such GPU, it has 0, 1; correct it"),
        ({"gpus": ["0", "7"]}, "fillers.rig.gpus = '7': node-1 has no such GPU, it has 0, 1; correct it"),
        ({"api": {"port": 18_088}}, "write {port} where the command takes it"),
        (
            {"command": ["a{port}"], "api": {"port": 65_535}},
            "fillers.api.port = 65535: leaves no port for each GPU",
        ),
        (
            {"command": ["{port}"], "api": {"port": 9999, "token_file": "a", "token_env": "B"}},
            "token_file or token_env",
        ),
        ({"command": []}, "fillers.0.command"),
        ({"nodes": ["Node 1"]}, "fillers.0.nodes"),
        ({"pool": "x"}, "pool"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    """Before anything is started."""
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, RIG | changes)

    assert says in str(refused.value)


def test_a_partner_has_miners_or_a_filler(tmp_path: Path) -> None:
    """One that has neither would be paid for nothing; names are given once."""
    with pytest.raises(SettingsError, match="partner 'north' has neither miners nor a filler"):
        loaded(tmp_path, RIG, partners=[{"name": "north"}])
    with pytest.raises(SettingsError, match="two are called 'rig'"):
        loaded(tmp_path, RIG, RIG)

    site = loaded(tmp_path, RIG | {"partner": "north"}, partners=[{"name": "north"}])
    assert [p.partner_id for p in site.mining_partners()] == ["north"]


def found(directory: Path, environ: dict[str, str], **changes: Any) -> tuple[Grade, str]:
    """What doctor says of the filler of such a site."""
    place = Place(environ=environ, state=directory, proposed=written(directory, RIG | changes))
    (finding,) = fillers(place)
    return finding.grade, finding.found


def test_doctor_looks_for_programs_and_tokens(tmp_path: Path) -> None:
    """On the machine that starts them."""
    tools, bare = tmp_path / "bin", tmp_path / "bare"
    for directory, names in ((tools, ("setpriv", "nice", "mine")), (bare, ("nice", "mine"))):
        directory.mkdir()
        for name in names:
            (directory / name).write_text("#!/bin/sh\n")
            (directory / name).chmod(0o755)
    path, api = (
        {"PATH": str(tools)},
        {"command": ["mine", "{port}"], "api": {"port": 18_088, "token_file": "rig"}},
    )

    assert found(tmp_path, path, command=["mine"]) == (Grade.OK, "mine is there")
    assert found(tmp_path, path, command=["mien"]) == (Grade.WARN, "mien is not there or no program")
    no_setpriv = (Grade.WARN, "there is no setpriv (util-linux)")
    assert found(tmp_path, {"PATH": str(bare)}, command=["mine"]) == no_setpriv
    assert found(tmp_path, path, nodes=["hall-*"])[0] is Grade.OK
    assert "No such file" in found(tmp_path, path, **api)[1]
    (tmp_path / "rig").write_text("t\n")
    (tmp_path / "rig").chmod(0o644)
    assert found(tmp_path, path, **api) == (Grade.WARN, f"{tmp_path / 'rig'} can be read by others")
    (tmp_path / "rig").chmod(0o600)
    assert found(tmp_path, path, **api) == (Grade.OK, "mine and its token are there")
    by_env = api | {"api": {"port": 18_088, "token_env": "RIG"}}
    assert found(tmp_path, path, **by_env) == (Grade.WARN, "api.token_env: RIG is not set")
    elsewhere = found(tmp_path, path, nodes=["hall-1"])
    assert (elsewhere[0], "no node here is called hall-1" in elsewhere[1]) == (Grade.OK, True)


def test_doctor_has_nothing_to_look_for_without_fillers(tmp_path: Path) -> None:
    """Nor without a site."""
    none = fillers(Place(environ={}, state=tmp_path / "none"))
    without = fillers(Place(environ={}, state=tmp_path, proposed=written(tmp_path)))
    (tmp_path / "site.yaml").write_text("name: [")
    broken = fillers(Place(environ={}, state=tmp_path, proposed=tmp_path / "site.yaml"))

    assert [f.grade for f in (*none, *without, *broken)] == [Grade.OK, Grade.OK, Grade.WARN]


def test_a_site_with_fillers_is_not_commissioned(tmp_path: Path) -> None:
    """They would draw what is taken for the rest of its GPUs."""
    (tmp_path / "state").mkdir()
    written(tmp_path / "state", RIG)

    with pytest.raises(Refused, match="fillers: they would mine on the very GPUs that are measured"):
        read_facts(tmp_path / "state")


def test_a_shadow_runs_none(tmp_path: Path) -> None:
    """Its twin knows no programs."""
    site = loaded(tmp_path, RIG, mode="shadow")

    assert {spec.filler for spec in site.groups().values()} == {None}
