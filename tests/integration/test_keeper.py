"""The keeper of a site's processes, with parts that only wait: what dies comes back, what stops leaves nothing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq.cli.down import stop_site
from barq.site.files import read_json
from barq.site.parts import KEEPER
from barq.site.processes import Process, descendants
from tests import stub_keeper
from tests.kept_site import KeptSite
from tests.stub_keeper import FAILS, LITTERS
from tests.waiting import wait_for

PARTS = ("api", "guard:node-1", "guard:node-2", "scheduler")


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
    assert {process.pid for process in descendants([keeper.pid])} == {live[name].pid for name in PARTS}
    assert site.address()["api_url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("name", ["api", "scheduler", "guard:node-1"])
def test_a_killed_part_comes_back_and_no_other_is_touched(site: KeptSite, name: str) -> None:
    """Exactly the one that died is started again."""
    site.start()
    before = site.wait_for(*PARTS)
    before[name].send(signal.SIGKILL)
    after = {name: site.wait_for_new(name, before[name])}
    assert {**before, **after} == site.live()


def test_a_part_that_cannot_start_is_tried_again_and_counted(site: KeptSite) -> None:
    """The others run; who waits for the site can tell which one fails, and read why."""
    (site.files.state / "program-api").write_text(FAILS)
    site.start()
    site.wait_for("scheduler")
    wait_for(lambda: read_json(site.files.restarts).get("api", 0) >= 2, timeout_s=30.0)
    assert "cannot do it" in site.files.log("api").read_text()
    assert site.live().keys() >= {"scheduler", "guard:node-1", "guard:node-2"}


def test_stopping_leaves_nothing_not_even_what_nobody_knew_of(site: KeptSite) -> None:
    """A daemon that a part started in a session of its own is found as an orphan, and ended."""
    (site.files.state / "program-scheduler").write_text(LITTERS)
    keeper = site.start()
    live = site.wait_for(*PARTS)
    known = {process.pid for process in live.values()}

    def strays() -> list[Process]:
        return [process for process in descendants([keeper.pid]) if process.pid not in known]

    wait_for(lambda: len(strays()) == 1, timeout_s=30.0, what="the daemon")
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
    assert site.live() == {**before, KEEPER: new}
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
    wait_for(lambda: not before["guard:node-2"].is_alive(), timeout_s=30.0)
    assert site.live()["guard:node-1"] == before["guard:node-1"]


def test_a_lost_record_of_addresses_costs_all_but_the_guards(site: KeptSite) -> None:
    """Nobody knows where the others listen, so they start anew elsewhere; jobs notice nothing."""
    keeper = site.start()
    before = site.wait_for(*PARTS)
    keeper.send(signal.SIGKILL)
    Path(site.address()["ray_temp_dir"]).rmdir()  # nobody will know of it any more
    site.files.address.unlink()
    site.start()
    site.wait_for_new("api", before["api"])
    after = site.wait_for(*PARTS)
    assert after["guard:node-1"] == before["guard:node-1"]
    assert after["scheduler"] != before["scheduler"]


def test_a_site_has_one_keeper(site: KeptSite) -> None:
    """The second one goes away by itself and harms nothing."""
    site.start()
    live = site.wait_for(*PARTS)
    second = subprocess.run(
        stub_keeper.command(site.files.state), capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "has a keeper already" in second.stderr
    assert site.live() == live
