"""Which processes make a site, when a dead one may start again, and which ones a new keeper keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from barq.site.files import SiteFiles
from barq.site.parts import HEALTHY_AFTER_S, LAST_DELAY_S, BackOff, Part, adoptable, member_parts, site_parts
from barq.site.ray_head import RayHead
from barq.site.ray_member import RayMember

WANTED = {"ray", "guard:node-1", "guard:miners", "enrol", "scheduler", "api"}


def a_site(tmp_path: Path) -> list[Part]:
    """The parts of a site with two groups, as started from a shell that knows another Ray."""
    files = SiteFiles(tmp_path)
    for name in ("node-1", "miners"):
        (files.groups / name).mkdir(parents=True)
        (files.groups / name / "group.json").touch()
    (files.groups / "left-over").mkdir()
    head = RayHead(port=7777, temp_dir=tmp_path / "ray", token=files.ray_token)
    inherited = {"RAY_ADDRESS": "192.0.2.1:6379", "HOME": "/home/somebody"}
    return site_parts(files, head, api_port=8888, inherited=inherited)


def test_parts_come_in_the_order_of_the_start(tmp_path: Path) -> None:
    """Ray first, then what acts, then what decides, then what shows; a group without a description is none."""
    names = [part.name for part in a_site(tmp_path)]
    assert names == ["ray", "guard:miners", "guard:node-1", "enrol", "scheduler", "api"]


def test_only_those_who_talk_to_ray_are_told_of_it(tmp_path: Path) -> None:
    """Jobs inherit from guards: they must neither see our token nor somebody else's cluster."""
    told = {
        part.name: sorted(v for v in part.environment if v.startswith("RAY_AUTH"))
        for part in a_site(tmp_path)
    }
    with_ray = ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"]
    assert {name for name, variables in told.items() if variables == with_ray} == {
        "ray",
        "enrol",
        "scheduler",
    }
    assert {name for name, variables in told.items() if not variables} == {
        "api",
        "guard:miners",
        "guard:node-1",
    }


def test_nobody_is_told_of_another_ray(tmp_path: Path) -> None:
    """RAY_ADDRESS of the shell is ignored; the rest of the environment is passed on."""
    for part in a_site(tmp_path):
        assert "RAY_ADDRESS" not in part.environment
        assert part.environment["HOME"] == "/home/somebody"


def test_addresses_reach_those_who_need_them(tmp_path: Path) -> None:
    """Drivers get the address of our Ray on purpose, the API its port."""
    parts = {part.name: " ".join(part.command) for part in a_site(tmp_path)}
    assert "--ray-address 127.0.0.1:7777" in parts["enrol"]
    assert "--ray-address 127.0.0.1:7777" in parts["scheduler"]
    assert "--port=7777" in parts["ray"]
    assert parts["api"].endswith("--port 8888")


def test_the_delay_doubles_up_to_its_end() -> None:
    """A part that dies at once is tried at 0.2, 0.4, ... and from then on every 5 s."""
    backoff, delays, now_s = BackOff(), [], 100.0
    for _ in range(8):
        backoff = backoff.started(now_s).ended(now_s + 1.0)
        delays.append(round(backoff.due_s - now_s - 1.0, 3))
        now_s = backoff.due_s
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert backoff.restarts == 8


def test_a_healthy_life_resets_the_delay() -> None:
    """After 30 s of life a death is news again."""
    worn = BackOff(delay_s=LAST_DELAY_S).started(0.0).ended(HEALTHY_AFTER_S)
    assert worn.due_s == pytest.approx(HEALTHY_AFTER_S + 0.2)


@given(st.lists(st.floats(min_value=0.0, max_value=100.0), min_size=1, max_size=30))
def test_it_is_always_due_again_within_the_last_delay(lives_s: list[float]) -> None:
    """However it lived, a part is tried again within 5 s of its end, and not at once."""
    backoff, now_s = BackOff(), 0.0
    assert backoff.is_due(now_s)
    for life_s in lives_s:
        backoff = backoff.started(now_s).ended(now_s + life_s)
        now_s += life_s
        assert not backoff.is_due(now_s)
        assert backoff.is_due(now_s + LAST_DELAY_S)


def test_all_that_runs_and_is_wanted_is_adopted() -> None:
    """A keeper that was killed left a working site: nothing of it is restarted."""
    alive = {*WANTED, "ray/raylet:12", "ray/gcs_server:11"}
    assert adoptable(alive, WANTED, addresses_known=True) == alive


def test_what_ray_left_behind_is_not_adopted_without_its_head() -> None:
    """Its members are of no use to the next head."""
    alive = {"guard:node-1", "api", "ray/raylet:12"}
    assert adoptable(alive, WANTED, addresses_known=True) == {"guard:node-1", "api"}


def test_what_the_site_no_longer_has_is_not_adopted() -> None:
    """A group that left the site file takes its guard along."""
    assert adoptable({"guard:old", "api"}, WANTED, addresses_known=True) == {"api"}


def test_without_addresses_only_guards_are_adopted() -> None:
    """Nobody could tell where the others listen; jobs hang on the guards alone."""
    alive = {*WANTED, "ray/raylet:12"}
    assert adoptable(alive, WANTED, addresses_known=False) == {"guard:node-1", "guard:miners"}


@given(
    st.sets(st.sampled_from([*sorted(WANTED), "ray/raylet:1", "guard:old"])),
    st.sets(st.sampled_from(sorted(WANTED))),
    st.booleans(),
)
def test_only_living_processes_are_adopted_and_guards_that_are_wanted_always(
    alive: set[str], wanted: set[str], known: bool
) -> None:
    """Adoption never invents a process, and never costs a job."""
    kept = adoptable(alive, wanted, addresses_known=known)
    assert kept <= alive
    assert {name for name in alive & wanted if name.startswith("guard:")} <= kept


def test_a_member_has_no_part_that_decides(tmp_path: Path) -> None:
    """Its guard waits for nobody; Ray joins by the address and the token that it was given."""
    files = SiteFiles(tmp_path)
    (files.groups / "hall-1").mkdir(parents=True)
    (files.groups / "hall-1" / "group.json").touch()
    ray = RayMember(
        address="192.0.2.1:7481",
        host="192.0.2.8",
        ports_from=8000,
        node_name="hall-1",
        temp_dir=tmp_path / "ray",
        token=files.ray_token,
    )

    guard, raylet, enrol = member_parts(files, ray, inherited={"RAY_ADDRESS": "192.0.2.9:6379", "HOME": "/h"})

    assert [guard.name, raylet.name, enrol.name] == ["guard:hall-1", "ray", "enrol"]
    assert not [name for name in guard.environment if name.startswith("RAY_")]
    assert {"--address=192.0.2.1:7481", "--node-ip-address=192.0.2.8", "--node-name=hall-1"} <= {
        *raylet.command
    }
    assert {"--node-manager-port=8002", "--object-manager-port=8003", "--num-gpus=0"} <= {*raylet.command}
    assert {"--min-worker-port=8010", "--max-worker-port=8099"} <= {*raylet.command}
    assert raylet.environment["RAY_AUTH_MODE"] == "token"
    assert raylet.environment["RAY_AUTH_TOKEN_PATH"] == str(files.ray_token)
    assert enrol.needs_ray
    assert str(tmp_path / "ray" / "ray") in enrol.command
