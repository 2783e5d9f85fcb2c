"""`barq estop` with a real guard on this machine, whatever answers beside it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from barq.cli import app
from barq.client import Client
from barq.profiles import Profile, load_profiles, save_profiles
from barq.site import emergency
from scheduler.core.orders import FallbackStep, Observed
from tests.guarding import BASE_W, HELD_W, IDLE_W, GuardedNode
from tests.stub_site import StubSite
from tests.waiting import wait_for

STOP = {
    "engaged": True, "id": "0" * 32, "reason": "smoke", "by": "site", "at": "2026-03-01T12:00:00Z",
}  # fmt: skip
FALLBACK = (FallbackStep(after_s=0.0, limit_w=BASE_W + HELD_W + IDLE_W),)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardedNode]:
    """The guard of the only group of the site in BARQ_STATE."""
    made = GuardedNode(tmp_path, save_after_s=0.2).start()
    groups = tmp_path / "state" / "groups"
    groups.mkdir(parents=True)
    (groups / "n1").symlink_to(made.directory)
    monkeypatch.setenv("BARQ_STATE", str(groups.parent))
    patiently(monkeypatch)
    for name in ("BARQ_URL", "BARQ_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield made
    made.close()


def patiently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command wait for guards on a machine that is busy with other things."""
    monkeypatch.setattr(emergency, "GUARD_TIMEOUT_S", 60.0)
    monkeypatch.setattr(emergency, "FALL_TIMEOUT_S", 60.0)


def barq(*words: str, site: StubSite | None = None) -> Result:
    """Type `barq estop` and these words; the API is `site`, or dead."""
    with pytest.MonkeyPatch.context() as patch:
        if site is not None:
            patch.setattr(Client, "from_environment", lambda *_, **__: site.client())
        return CliRunner().invoke(app, ["estop", *words], prog_name="barq")


def run_a_site_here(node: GuardedNode, monkeypatch: pytest.MonkeyPatch, *, token: str) -> None:
    """The site in BARQ_STATE has an address, and the environment a token for it."""
    run = node.directory.parent / "state" / "run"
    run.mkdir()
    (run / "api.json").write_text('{"url": "http://127.0.0.1:1"}')
    monkeypatch.setenv("BARQ_TOKEN", token)


def answering(*nodes: dict[str, Any]) -> StubSite:
    """An API that takes the stop and shows these nodes."""
    site = StubSite().on("POST", "/power/estop", STOP).on("GET", "/nodes", {"nodes": list(nodes)})
    return site.on("GET", "/power", {"estop": STOP, "lease_s": 15.0})


def test_a_guard_falls_back_and_stays_so(node: GuardedNode) -> None:
    """At once, with everything else dead, over its own restart, and whatever is ordered; a release by name ends it."""
    node.order(node.counter("j.1"), fallback=FALLBACK)
    node.await_steps("j.1")

    result = barq("--reason", "smoke in hall 2", "--json")

    stop = json.loads(result.stdout)
    assert (result.exit_code, stop["reason"]) == (1, "smoke in hall 2"), result.output
    [guard] = stop["guards"]
    assert guard["latched"]
    assert guard["draw_w"] <= FALLBACK[0].limit_w
    assert any("API" in line for line in stop["unconfirmed"])
    node.await_observed("j.1", Observed.ENDED)

    node.end(signal.SIGKILL)
    node.start()
    report = node.order(node.counter("j.2"), fallback=FALLBACK).report
    assert report.stop is not None
    assert (report.stop.id, report.in_fallback) == (stop["id"], True)
    assert {f.attempt_id: f.observed for f in report.attempts}["j.2"] is Observed.ABSENT

    node.order(node.counter("j.3"), fallback=FALLBACK, released_stop=stop["id"])
    node.await_steps("j.3")
    assert node.report().stop is None


def test_all_is_well_when_guards_and_api_have_it(node: GuardedNode) -> None:
    """The API is told the id that guards hold, and `status` and people see it."""
    site = answering()

    result = barq("--reason", "smoke", "--yes", site=site)

    report = node.report()
    assert result.exit_code == 0, result.output
    assert report.stop is not None
    assert site.asked() == [("/api/v1/power/estop", {"reason": "smoke", "id": report.stop.id})]
    assert "n1     stopped  510 W" in result.stdout
    told = barq("status", site=site)
    assert told.exit_code == 0
    assert "EMERGENCY STOP by site" in told.stdout
    assert "n1     stopped" in told.stdout


def test_no_stop_fails_for_how_its_reason_is_spelled(
    node: GuardedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a terminal that does not speak UTF-8: the words suffer, the stop does not.

    Nothing here says whom a token names that only the environment has: the account is named, as one.
    """
    monkeypatch.setenv("LOGNAME", "ren\udce9")
    run_a_site_here(node, monkeypatch, token="of-ada")  # noqa: S106
    site = answering()

    result = barq("--reason", "fum\udce9e", "--yes", site=site)

    report = node.report()
    assert result.exit_code == 0, result.output
    assert report.stop is not None
    assert (report.stop.reason, report.stop.by) == ("fum?e", "account ren?")
    assert site.asked() == [("/api/v1/power/estop", {"reason": "fum?e", "id": report.stop.id})]


def test_a_stop_and_its_release_name_people_alike(node: GuardedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their tokens, whether a guard or the API was told first, and whoever is logged in to the machine."""
    monkeypatch.setenv("LOGNAME", "root")

    result = barq("--reason", "smoke", "--yes", site=answering())

    report = node.report()
    assert report.stop is not None
    assert (report.stop.by, STOP["by"]) == ("site", "site")
    assert "EMERGENCY STOP by site: smoke" in result.stdout


def test_a_guard_that_hangs_is_told_of(node: GuardedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it longer than the deadline, and the exit code says that it is not confirmed."""
    monkeypatch.setattr(emergency, "GUARD_TIMEOUT_S", 0.3)
    assert node._process is not None
    node._process.send_signal(signal.SIGSTOP)

    result = barq("--reason", "smoke", site=answering())
    alone = barq("--reason", "smoke")

    node._process.send_signal(signal.SIGCONT)
    assert (result.exit_code, alone.exit_code) == (1, 1)
    assert "NOT STOPPED, nobody took it" in alone.stdout
    assert "n1: not confirmed: its guard cannot be asked: timed out" in result.stderr
    wait_for(lambda: node.report().stop, timeout_s=60.0, what="the stop that waited in its socket")


def test_guards_on_other_machines_are_waited_for(node: GuardedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not confirm falls by its lease if the scheduler is dead: people are told within what time."""
    monkeypatch.setattr("barq.cli.estop.OTHERS_TIMEOUT_S", 0.1)
    far, near = ({"id": f"far-{i}", "draw_w": 900.0, "estop": s} for i, s in enumerate((None, STOP)))

    result = barq("--reason", "smoke", site=answering(far, near))

    assert result.exit_code == 1
    assert (
        "far-0: not confirmed; with the scheduler dead it falls by itself within a lease of 15 s"
        in result.stderr
    )
    assert "far-1" not in result.stderr


def test_miners_that_nobody_guards_are_named_and_not_waited_for(
    node: GuardedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lease makes them fall: they may draw on, and the exit code says that not all is stopped."""
    monkeypatch.setattr("barq.cli.estop.OTHERS_TIMEOUT_S", 1e9)
    hut = {"id": "hut", "draw_w": 6800.0, "estop": None, "unguarded": True}

    result = barq("--reason", "smoke", site=answering(hut))

    assert result.exit_code == 1
    assert "hut: nobody guards it: its machines were not told, and may draw on" in result.stderr
    assert any(line.split() == ["hut", "unguarded", "6.8", "kW", "-"] for line in result.stdout.splitlines())


@pytest.mark.parametrize("words", [(), ("release",), ("--reason", "x", "release"), ("--reason", " ")])
def test_nothing_is_done_without_a_reason(node: GuardedNode, words: tuple[str, ...]) -> None:
    """Neither a stop nor its release."""
    site = answering()

    assert barq(*words, site=site).exit_code == 2
    assert site.asked() == []
    assert node.report().stop is None


def test_another_site_does_not_stop_this_one(node: GuardedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """With BARQ_URL elsewhere only that site's API is told."""
    monkeypatch.setenv("BARQ_URL", "http://elsewhere.test")
    site = answering()

    assert barq("--reason", "smoke", site=site).exit_code == 0
    assert len(site.asked()) == 1
    assert node.report().stop is None


def test_a_profile_of_another_site_does_not_stop_this_one(
    node: GuardedNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the command line names it or the environment does."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    lab = Profile(url="http://elsewhere.test", token="x")  # noqa: S106 - of no site
    save_profiles(os.environ, load_profiles(os.environ).with_one("lab", lab))
    site = answering()

    assert barq("--reason", "drill", "--profile", "lab", site=site).exit_code == 0
    monkeypatch.setenv("BARQ_PROFILE", "lab")
    monkeypatch.delenv("BARQ_STATE")
    assert barq("--reason", "drill", site=site).exit_code == 0
    assert node.report().stop is None


def test_a_release_goes_through_the_api(node: GuardedNode) -> None:
    """It says what it released; a stop that the scheduler never heard of goes on, and that is said too."""
    site = answering().on("POST", "/power/estop/release", {"engaged": False, "released": [STOP]})
    site.on("POST", "/power/estop", httpx.ConnectError("down"))
    assert barq("--reason", "smoke", site=site).exit_code == 1

    result = barq("release", "--reason", "false alarm", site=site)

    assert result.stdout == "released the stop by site: smoke\n"
    assert result.exit_code == 1
    assert "n1: held by a stop that is not released" in result.stderr
