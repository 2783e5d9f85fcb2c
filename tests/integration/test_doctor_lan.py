"""`barq doctor` at a site file with a LAN of miners: who is there, what opens them, what feeds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from barq.doctor.finding import Grade
from barq.doctor.lan import lans
from barq.doctor.place import Place
from scheduler.group_files import group_config, write_group
from scheduler.settings import load_site
from tests.miners.braiins import PASSWORD, BraiinsEmulator
from tests.miners.cgminer import CgminerEmulator
from tests.miners.lan import address, lan
from tests.miners.luxos import LuxosEmulator

Miners = dict[str, Any]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A machine without a site yet; secrets go below its state directory."""
    (tmp_path / "state" / "secrets").mkdir(parents=True)
    return Place(environ={}, state=tmp_path / "state", proposed=tmp_path / "site.yaml")


def described(place: Place, *addresses: str, **more: Any) -> dict[str, tuple[Grade, str]]:
    """What is found of a site with miners there."""
    miners: Miners = {"name": "hall", "simulated": False, "max_w": 3400, "lan": {"addresses": [*addresses]}}
    miners["lan"] |= more.pop("lan", {})
    signals = [{"type": "constant", "name": "grid", "limit_w": 50_000}]
    nodes = [{"gpus": 1, "simulated": True}]
    site = {
        "name": "t",
        "power": {"firm_w": 9000},
        "nodes": nodes,
        "miners": [miners | more],
        "signals": signals,
    }
    assert place.proposed is not None
    place.proposed.write_text(yaml.safe_dump(site))
    return {f.check: (f.grade, f.found) for f in lans(place)}


def test_a_lan_where_all_is_well_is_told_by_its_machines(place: Place) -> None:
    """How many of which firmware; who can only be read is named; secrets are private and below the state directory."""
    secret = place.state / "secrets" / "braiins"
    secret.write_text(f"{PASSWORD}\n")
    secret.chmod(0o600)
    braiins = {"user": "root", "password_file": "secrets/braiins"}
    with lan() as net:
        machines = [address(net.add(make)) for make in (LuxosEmulator, BraiinsEmulator, CgminerEmulator)]
        found = described(place, *machines, lan={"credentials": {"braiins": braiins}})
    assert found["lan-hall-secrets"] == (Grade.OK, "1 are there")
    grade, text = found["lan-hall"]
    assert grade is Grade.OK
    assert text.startswith(
        "3 of 3 machines can be used (1 braiins, 1 cgminer, 1 luxos); 1 of them can only be"
    )
    assert machines[2] in text


def test_what_is_wrong_with_a_lan_is_said_with_its_place(place: Place) -> None:
    """A secret that others can read, or that is not there; machines that do not take it or are silent; an outlet."""
    public = place.state / "secrets" / "braiins"
    public.write_text("not-it")
    public.chmod(0o644)
    braiins = {"user": "root", "password_file": "secrets/braiins"}
    pdu = {"name": "pdu-a", "type": "snmp", "host": "127.0.0.1", "port": 9, "make": "apc", "version": "2c"}
    with lan() as net:
        where, other = (address(net.add(BraiinsEmulator)) for _ in range(2))
        gone = "127.0.0.1:9"
        found = described(place, where, other, gone, lan={"credentials": {"braiins": braiins}})
        assert found["lan-hall-secrets"] == (Grade.WARN, f"can be read by others: {public}")
        grade, text = found["lan-hall"]
        assert grade is Grade.WARN
        assert text.startswith(
            f"0 of 3 machines can be used; not usable: {where}, {other}: braiins: does not take"
        )
        assert text.endswith(f"; nobody answers at {gone}")

        outlets = {"pdus": [pdu | {"community_env": "NOT_SET_HERE"}], "feeds": {where: "pdu-a/7"}}
        found = described(place, where, lan={"credentials": {"braiins": braiins}}, outlets=outlets)
    assert found["lan-hall-secrets"] == (Grade.FAIL, "NOT_SET_HERE is not set")
    grade, text = found["lan-hall-outlets"]
    assert (grade, text.partition(": ")[0]) == (Grade.WARN, "1 of 1")


def test_a_site_without_real_miners_has_no_lan(place: Place) -> None:
    """Nor has a machine without a site."""
    assert [f.grade for f in lans(place)] == [Grade.OK]


def test_a_group_that_is_guarded_elsewhere_is_looked_at_there(place: Place) -> None:
    """On the head it is only said where; on the machine that joined it is known by what its guard was told."""
    with lan() as net:
        machine = address(net.add(LuxosEmulator))
        found = described(place, machine, guard_on="hut-1")
        assert found == {"lan-hall": (Grade.OK, "guarded on hut-1 (guard_on): run `barq doctor` there")}

        assert place.proposed is not None
        site = load_site(place.proposed)
        spec, [miners] = site.groups()["hall"], site.guarded_on("hut-1")
        there = Place(environ={}, state=place.state)
        write_group(there.state / "groups", "hall", group_config(spec, {}, there.state, miners))
        told = {f.check: (f.grade, f.found) for f in lans(there)}
    assert told["lan-hall"] == (Grade.OK, "1 of 1 machines can be used (1 luxos)")
