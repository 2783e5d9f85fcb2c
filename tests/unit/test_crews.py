"""Whom a keeper keeps: addresses that members can rely on, and what a member does when the head is gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq.site import ray_head
from barq.site.crews import HeadCrew, MemberCrew
from barq.site.files import SiteFiles, write_json
from barq.site.membership import Membership, own_address, read_membership, write_membership
from barq.site.network import choose_network
from barq.site.parts import API, ENROL, RAY, RAY_GONE
from barq.site.ray_head import PORTS_FROM, free_port

NEAR = "127.0.0.9"


@pytest.fixture
def files(tmp_path: Path) -> SiteFiles:
    """An empty state directory."""
    made = SiteFiles(tmp_path / "state")
    made.create()
    return made


@pytest.fixture(autouse=True)
def _leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray is started: its directories may have long names."""
    monkeypatch.setattr(ray_head, "TEMP_PARENT", str(tmp_path))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody who listens where Ray would."""
    with socket.create_server((NEAR, 0)) as server:
        yield server


def a_member(port: int) -> Membership:
    """This machine belongs to a site whose Ray is at that port."""
    return Membership(
        site="t", node="hall-1", api_url="http://x", ray_address=f"{NEAR}:{port}", host="127.0.0.1"
    )


def test_a_site_for_this_machine_alone_takes_any_ports(files: SiteFiles) -> None:
    """Two of them never meet, and if one is taken Ray moves."""
    crew = HeadCrew(files, api_port=0, environment={})
    address = crew.address()

    assert address["ray_address"].startswith("127.0.0.1:")
    with socket.create_server(("127.0.0.1", int(address["ray_address"].rpartition(":")[2]))):
        assert crew.moves_ray()
    assert crew.address()["ray_address"] != address["ray_address"]


def test_a_site_that_listens_has_known_ports(files: SiteFiles) -> None:
    """API and Ray, on the address that it was told; a firewall can know them."""
    choose_network(files, host=NEAR, port=0)
    crew = HeadCrew(files, api_port=0, environment={})

    assert crew.address()["api_url"] == f"http://{NEAR}:{PORTS_FROM}"
    assert crew.address()["ray_address"] == f"{NEAR}:{PORTS_FROM + 1}"
    commands = {part.name: part.command for part in crew.parts()}
    assert f"--node-ip-address={NEAR}" in commands[RAY]
    assert commands[API][-4:] == ["--host", NEAR, "--port", str(PORTS_FROM)]


def test_a_port_that_members_know_is_never_given_up(files: SiteFiles, listener: socket.socket) -> None:
    """Ray waits for it instead of going where nobody looks."""
    choose_network(files, host=NEAR, port=listener.getsockname()[1] - 1)
    crew = HeadCrew(files, api_port=0, environment={})

    with pytest.raises(OSError, match="is taken by somebody else"):
        crew.moves_ray()


def test_a_member_joins_only_who_is_there(files: SiteFiles, listener: socket.socket) -> None:
    """Until the head listens nothing is started: Ray would take long to find out."""
    crew = MemberCrew(files, a_member(listener.getsockname()[1]), environment={})
    assert crew.may_start_ray()

    away = MemberCrew(files, a_member(free_port(NEAR)), environment={})
    assert not away.may_start_ray()
    assert not away.moves_ray()


def test_a_member_starts_ray_anew_when_its_head_is_gone(files: SiteFiles) -> None:
    """Told by who keeps the agents; a crash of that alone says nothing."""
    crew = MemberCrew(files, a_member(1), environment={})

    assert [crew.loses_ray(ENROL, code) for code in (RAY_GONE, None, 1, -9)] == [True, True, False, False]
    assert not crew.loses_ray("guard:hall-1", RAY_GONE)


def test_a_new_keeper_finds_the_directory_of_the_ray_that_runs(files: SiteFiles) -> None:
    """It adopts what the last one started."""
    first = MemberCrew(files, a_member(1), environment={})
    write_json(files.address, first.address())

    assert MemberCrew(files, a_member(1), environment={}).ray.temp_dir == first.ray.temp_dir


def test_a_membership_is_remembered(files: SiteFiles) -> None:
    """None before there is one; nonsense is named."""
    assert read_membership(files) is None
    write_membership(files, a_member(7481))
    assert read_membership(files) == a_member(7481)
    write_json(files.membership, {"site": "t"})
    with pytest.raises(ValueError, match=r"member\.json"):
        read_membership(files)


def test_the_own_address_is_that_of_the_interface_that_leads_there() -> None:
    """This machine reaches itself by the loopback interface."""
    assert own_address("127.0.0.1") == "127.0.0.1"
