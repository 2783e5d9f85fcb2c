"""The keeper of a site's processes, with parts that only wait: what dies comes back, what stops leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq.cli.down import stop_site
from barq.site.files import read_json, write_json
from barq.site.membership import Membership, write_membership
from barq.site.network import choose_network
from barq.site.parts import KEEPER, RAY_GONE
from barq.site.processes import Process, all_stats, descendants, spawn
from tests import stub_keeper
from tests.kept_site import KeptSite, reap_keepers
from tests.stub_keeper import FAILS, LITTERS, WAITS
from tests.waiting import wait_for

#: As `workers.enrol` does when nothing listens where the head of Ray should.
ENDS_WITHOUT_HEAD = f"""
import pathlib, time
while not pathlib.Path(STATE, "away").exists():
    time.sleep(0.05)
raise SystemExit({RAY_GONE})
"""
PARTS = ("api", "enrol", "guard:node-1", "guard:node-2", "ray", "scheduler")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KeptSite]:
    """A site that is not up yet."""
    made = KeptSite(tmp_path / "state")
    yield made
    made.destroy()


def test_all_parts_start_each_in_a_session_of_its_own(site: KeptSite) -> None:
    """A signal to one terminal or group never reaches another part."""
    keeper = site.start()
    live = site.wait_for(*PARTS)
    assert set(live) == {KEEPER, *PARTS}
    sessions = {stat.session for stat in all_stats() if stat.parent == keeper.pid}
    assert sessions == {live[name].pid for name in PARTS}
    assert site.address()["api_url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("name", ["api", "scheduler", "guard:node-1"])
def test_a_killed_part_comes_back_and_no_other_is_touched(site: KeptSite, name: str) -> None:
    """Exactly the one that died is started again."""
    site.start()
    before = site.wait_for(*PARTS)
    before[name].send(signal.SIGKILL)
    after = {name: site.wait_for_new(name, before[name])}
    assert {**before, **after} == site.parts()


def test_a_part_that_cannot_start_is_tried_again_and_counted(site: KeptSite) -> None:
    """The others run; who waits for the site can tell which one fails, and read why."""
    (site.files.state / "program-api").write_text(FAILS)
    site.start()
    site.wait_for("scheduler")
    wait_for(lambda: read_json(site.files.restarts).get("api", 0) >= 2, timeout_s=60)
    assert "cannot do it" in site.files.log("api").read_text()
    assert site.live().keys() >= {"scheduler", "guard:node-1", "guard:node-2"}


def test_stopping_leaves_nothing_not_even_what_nobody_knew_of(site: KeptSite) -> None:
    """A daemon that a part started in a session of its own is found as an orphan, and ended."""
    (site.files.state / "program-scheduler").write_text(LITTERS)
    keeper = site.start()
    live = site.wait_for(*PARTS)
    sessions = {process.pid for process in live.values()}

    def strays() -> list[Process]:
        return [child for child in descendants([keeper.pid]) if os.getsid(child.pid) not in sessions]

    wait_for(lambda: len(strays()) == 1, timeout_s=60, what="the daemon")
    site.seen.update(strays())
    assert site.stop()
    site.assert_gone()
    assert "left over" in site.log()


def test_stopping_what_does_not_run_is_harmless(site: KeptSite) -> None:
    """Down twice, or before any up, says that there was nothing."""
    assert not site.stop()
    site.start()
    assert site.stop()
    assert not site.stop()
    site.assert_gone()
    assert not stop_site(site.files.state / "never-made")


def test_a_killed_keeper_leaves_the_site_and_the_next_one_adopts_it(site: KeptSite) -> None:
    """The same processes at the same addresses; and they are kept again."""
    keeper = site.start()
    before, address = site.wait_for(*PARTS), site.address()
    keeper.send(signal.SIGKILL)
    new = site.start()
    assert site.parts() == {**before, KEEPER: new}
    assert site.address() == address
    before["api"].send(signal.SIGKILL)
    site.wait_for_new("api", before["api"])


def test_a_killed_keeper_is_not_needed_to_stop_the_site(site: KeptSite) -> None:
    """Down ends what is recorded, by PID and start time."""
    keeper = site.start()
    site.wait_for(*PARTS)
    keeper.send(signal.SIGKILL)
    assert site.stop()
    site.assert_gone()


def test_a_guard_that_left_the_site_is_not_adopted(site: KeptSite) -> None:
    """The next keeper ends what the site file no longer names."""
    keeper = site.start()
    before = site.wait_for(*PARTS)
    keeper.send(signal.SIGKILL)
    (site.files.groups / "node-2" / "group.json").unlink()
    site.start()
    wait_for(lambda: not before["guard:node-2"].is_alive(), timeout_s=60)
    assert site.live()["guard:node-1"] == before["guard:node-1"]


def test_a_lost_record_of_addresses_costs_all_but_the_guards(site: KeptSite) -> None:
    """Nobody knows where the others listen, so they start anew elsewhere; jobs notice nothing."""
    keeper = site.start()
    before = site.wait_for(*PARTS)
    keeper.send(signal.SIGKILL)
    lost = Path(site.address()["ray_temp_dir"])
    site.files.address.unlink()
    site.start()
    site.wait_for_new("api", before["api"])
    after = site.wait_for(*PARTS)
    assert after["guard:node-1"] == before["guard:node-1"]
    assert after["scheduler"] != before["scheduler"]
    assert not before["ray"].is_alive()
    shutil.rmtree(lost)


def test_a_site_has_one_keeper(site: KeptSite) -> None:
    """The second one goes away by itself and harms nothing."""
    site.start()
    live = site.wait_for(*PARTS)
    second = subprocess.run(
        stub_keeper.command(site.files.state), capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "has a keeper already" in second.stderr
    assert site.parts() == live


def member_of_ray(site: KeptSite) -> Process:
    """What the stub of the Ray head started, once it is recorded."""

    def members() -> list[Process]:
        return [process for name, process in site.live().items() if name.startswith("ray/")]

    (member,) = wait_for(members, timeout_s=60, what="a member of Ray")
    return member


def test_a_dead_ray_takes_its_members_and_drivers_along(site: KeptSite) -> None:
    """What it left is ended, enrol starts anew with the next one, and nobody else notices."""
    site.start()
    before = site.wait_for(*PARTS)
    left = member_of_ray(site)
    before["ray"].send(signal.SIGKILL)
    after = {name: site.wait_for_new(name, before[name]) for name in ("ray", "enrol")}
    assert not left.is_alive()
    assert site.parts() == {**before, **after}


def test_a_taken_port_moves_ray_and_those_who_were_told_of_it(site: KeptSite) -> None:
    """Somebody else may listen where our Ray was: the scheduler is told the new address."""
    site.start()
    before, address = site.wait_for(*PARTS), site.address()
    host, _, port = address["ray_address"].rpartition(":")
    with socket.create_server((host, int(port))):
        before["ray"].send(signal.SIGKILL)
        for name in ("ray", "scheduler", "enrol"):
            site.wait_for_new(name, before[name])
    assert site.address()["ray_address"] != address["ray_address"]
    assert site.address()["api_url"] == address["api_url"]


def test_jobs_that_outlived_their_guard_are_ended_with_the_site(site: KeptSite, tmp_path: Path) -> None:
    """A guard that was killed for good cannot stop its supervisors: they are found by what they recorded."""
    attempt = site.files.groups / "node-1" / "attempts" / "a-1.1"
    (attempt).mkdir(parents=True)
    log = tmp_path / "job.log"
    supervisor, job = (
        spawn([sys.executable, "-c", WAITS], log=log, environment=os.environ) for _ in range(2)
    )
    site.seen.update((supervisor, job))
    claim = {"process": {"pid": supervisor.pid, "start": supervisor.starttime}, "boot_id": supervisor.boot_id}
    write_json(attempt / "supervisor.pid", claim)
    write_json(attempt / "facts.json", {"facts": {}, "job": {"pid": job.pid, "start": job.starttime}})
    site.start()
    site.wait_for("guard:node-1")
    assert site.stop()
    site.assert_gone()
    reap_keepers({supervisor, job})


def test_a_taken_port_that_members_know_is_waited_for(site: KeptSite) -> None:
    """Ray stays where it is looked for; guards, and so the jobs, wait for nobody."""
    with socket.create_server(("127.0.0.9", 0)) as somebody:
        choose_network(site.files, host="127.0.0.9", port=somebody.getsockname()[1] - 1)
        site.start()
        site.wait_for("guard:node-1", "guard:node-2", "scheduler")
        wait_for(lambda: "is taken by somebody else" in site.log(), timeout_s=60.0, what=site.log())
        assert "ray" not in site.live()
    site.wait_for("ray", "enrol")


def test_a_member_joins_its_head_and_joins_again_when_that_was_away(tmp_path: Path) -> None:
    """Its guard never waits; Ray waits for the head, and is started anew once its drivers found the head gone."""
    site = KeptSite(tmp_path / "state", groups=("hall-1",))
    (site.files.state / "program-enrol").write_text(ENDS_WITHOUT_HEAD)
    try:
        with socket.create_server(("127.0.0.9", 0)) as head:
            port = head.getsockname()[1]
            membership = Membership(
                site="t",
                node="hall-1",
                api_url="http://127.0.0.9:1",
                ray_address=f"127.0.0.9:{port}",
                host="127.0.0.1",
            )
            write_membership(site.files, membership)
            site.start()
            before = site.wait_for("guard:hall-1", "ray", "enrol")
            assert set(before) == {KEEPER, "guard:hall-1", "ray", "enrol"}
            assert site.address()["node"] == "hall-1"
        (site.files.state / "away").touch()
        wait_for(lambda: "ray ended (its head is gone)" in site.log(), timeout_s=60.0, what=site.log())
        assert not before["ray"].is_alive()
        assert site.live()["guard:hall-1"] == before["guard:hall-1"]
        (site.files.state / "away").unlink()
        with socket.create_server(("127.0.0.9", port)):
            site.wait_for("ray", "enrol")
        assert site.stop()
        site.assert_gone()
    finally:
        site.destroy()
