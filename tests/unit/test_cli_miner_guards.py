"""`barq miners join` and its kin: what a machine that guards miners is left with, and what it is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from barq.cli import app, down, members, miner_guards
from barq.errors import BarqError, NotFound, Refused, Unreachable
from barq.site.files import SiteFiles
from barq.site.membership import Membership, read_membership, write_membership
from barq.site.ticket import Ticket
from workers.group_config import load

TICKET = Ticket(url="http://127.0.0.2:7480", token="barq_x")  # noqa: S106 - of no site
GUARD = {"save_after_s": 5.0, "orphan_s": 18.0, "job_nice": 5, "jobs_dir": "/shared/jobs"}
HALL: dict[str, Any] = {
    "name": "hall",
    "guard_on": "hut-1",
    "simulated": False,
    "max_w": 3400.0,
    "count": 1,
    "lan": {"addresses": ["10.20.0.7"], "credentials": {"braiins": {"password_file": "secrets/braiins"}}},
}
YARD: dict[str, Any] = {"name": "yard", "guard_on": "hut-1", "simulated": True, "max_w": 3000.0, "count": 2}
JOIN = ("join", TICKET.text(), "--name", "hut-1", "--address", "127.0.0.3")


class Site:
    """The site that a machine talks to, as far as guards go."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.refuses: BarqError | None = None
        self.told = [HALL, YARD]

    def __call__(self, url: str, token: str) -> Site:
        del url, token
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def join_guard(self, name: str, address: str, *, again: bool = False) -> Any:
        self.asked.append((name, address, again))
        if self.refuses is not None:
            raise self.refuses
        groups = [{"name": told["name"], "told": told} for told in self.told]
        return {
            "site": "t",
            "ray_address": "127.0.0.2:7481",
            "ray_token": "s3cret",
            "guard": GUARD,
            "groups": groups,
        }

    def let_node_leave(self, name: str) -> None:
        self.asked.append(("leave", name))

    def forget_node(self, name: str) -> None:
        self.asked.append(("forget", name))

    def nodes(self) -> list[Any]:
        hall, yard = (
            {"id": t["name"], "guard_on": "hut-1", "gpus": [], "reachable": True} for t in (HALL, YARD)
        )
        return [hall, yard, {"id": "node-1", "gpus": [], "reachable": True}]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """It answers, and no keeper is started."""
    made = Site()
    monkeypatch.setattr(members, "Client", made)
    monkeypatch.setattr(miner_guards, "connect", lambda: made)
    monkeypatch.setattr(members, "_start", lambda files, membership, *, is_new: None)
    return made


@pytest.fixture
def files(tmp_path: Path) -> SiteFiles:
    """A state directory that does not exist yet."""
    return SiteFiles(tmp_path / "state")


def barq(files: SiteFiles, *arguments: str) -> Any:
    """One command of `barq miners`."""
    return CliRunner(env={"BARQ_STATE": str(files.state)}).invoke(app, ["miners", *arguments])


def test_joining_leaves_all_that_the_guards_need(site: Site, files: SiteFiles) -> None:
    """Files of secrets are below the state directory here; what the site says is secret is for this user only."""
    done = barq(files, *JOIN)

    assert done.exit_code == 0, done.output
    assert done.stdout == "hut-1 guards hall, yard of t (http://127.0.0.2:7480)\n"
    assert site.asked == [("hut-1", "127.0.0.3", False)]
    hall, yard = (load(files.groups / name / "group.json") for name in ("hall", "yard"))
    assert hall.lan is not None
    [secret] = hall.lan.credentials.values()
    assert secret.password_file == f"{files.state}/secrets/braiins"
    assert (hall.spec.address, hall.orphan_s, len(yard.miners)) == ("127.0.0.3", 18.0, 2)
    assert hall.spec.elsewhere is not None
    assert hall.spec.elsewhere.machine == "hut-1"
    for path, content in ((files.ray_token, "s3cret"), (files.token, "barq_x")):
        assert path.read_text().strip() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    membership = read_membership(files)
    assert membership is not None
    assert (membership.guards, membership.node, membership.what) == (True, "hut-1", "a guard of miners")


def test_a_refusal_of_the_site_leaves_nothing(site: Site, files: SiteFiles) -> None:
    """Exit code 4, and its words; an answer of another version is none."""
    site.refuses = Refused("hall has a guard at 127.0.0.9", code="guarded_already")
    done = barq(files, *JOIN)
    assert (done.exit_code, "has a guard at 127.0.0.9" in done.stderr) == (4, True)

    site.refuses, site.told = None, [HALL | {"colour": "red"}]
    done = barq(files, *JOIN)
    assert (done.exit_code, "same version of Barq" in done.stderr) == (1, True)
    assert not files.membership.exists()
    assert not files.ray_token.exists()


def test_it_starts_again_with_what_the_site_says_now(site: Site, files: SiteFiles) -> None:
    """Groups that it has no more, it guards no more."""
    assert barq(files, *JOIN).exit_code == 0
    site.told = [HALL | {"max_w": 3500.0}]

    done = barq(files, "join")

    assert done.stdout == "hut-1 guards hall of t (http://127.0.0.2:7480)\n"
    assert site.asked[-1] == ("hut-1", "127.0.0.3", True)
    lan = load(files.groups / "hall" / "group.json").lan
    assert lan is not None
    assert lan.max_w == 3500.0


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("http://127.0.0.2:7480 does not answer"),
        Refused("Ray is not up yet", code="not_ready"),
        NotFound("no such path"),
    ],
    ids=["away", "not ready", "another version"],
)
def test_a_site_that_cannot_be_asked_keeps_no_guard_from_its_work(
    site: Site, files: SiteFiles, error: BarqError
) -> None:
    """It goes on with what it knew, and says so."""
    assert barq(files, *JOIN).exit_code == 0
    site.refuses = error

    done = barq(files, "join")

    assert done.exit_code == 0, done.output
    assert "it goes on with what it knew" in done.stderr
    assert files.group_ids() == ["hall", "yard"]


def test_what_others_guard_by_now_is_not_guarded_again(site: Site, files: SiteFiles) -> None:
    """Two guards would fight: it stays down."""
    assert barq(files, *JOIN).exit_code == 0
    site.refuses = Refused("hall was taken on by 127.0.0.9", code="guarded_already")

    assert barq(files, "join").exit_code == 4


def test_leaving_tells_the_site_of_each_group(site: Site, files: SiteFiles) -> None:
    """What is known of the machines stays, for the next time."""
    assert barq(files, *JOIN).exit_code == 0
    notebook = files.groups / "hall" / "machines.json"
    notebook.write_text("{}")

    done = barq(files, "leave")

    assert done.exit_code == 0, done.output
    assert site.asked[1:] == [("leave", "hall"), ("leave", "yard"), ("forget", "hall"), ("forget", "yard")]
    assert files.group_ids() == []
    assert notebook.exists()
    assert not files.membership.exists()
    assert "nobody holds them" in done.stderr


def test_a_machine_that_is_gone_is_forgotten_by_its_name_or_that_of_a_group(
    site: Site, files: SiteFiles
) -> None:
    """No node is called by it."""
    assert barq(files, "forget", "hut-1").exit_code == 0
    assert barq(files, "forget", "yard").exit_code == 0
    assert site.asked == [("forget", "hall"), ("forget", "yard"), ("forget", "yard")]
    done = barq(files, "forget", "node-1")
    assert (done.exit_code, "see `barq nodes`" in done.stderr) == (3, True)


def test_a_member_file_of_before_is_a_node(files: SiteFiles) -> None:
    """Machines that joined with an earlier version go on."""
    files.create()
    node = Membership(site="t", node="n", api_url="http://x", ray_address="127.0.0.2:1", host="127.0.0.3")
    write_membership(files, node)
    written = json.loads(files.membership.read_text())
    del written["guards"]
    files.membership.write_text(json.dumps(written))
    assert read_membership(files) == node


def test_a_machine_waits_for_all_its_groups_and_for_no_site_when_it_may_be_alone(
    site: Site, files: SiteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one is there once the site hears of each group; one that starts again once its guards are at work."""
    assert barq(files, *JOIN).exit_code == 0
    known = read_membership(files)
    assert known is not None
    assert members._is_reachable(files, known, may_be_alone=False)

    def nobody() -> Any:
        raise Unreachable("it is away")

    monkeypatch.setattr(site, "nodes", nobody)
    with pytest.raises(Unreachable):
        members._is_reachable(files, known, may_be_alone=False)
    assert not members._is_reachable(files, known, may_be_alone=True), "no guard runs here"


def test_words_fit_a_machine_that_guards_miners(site: Site, files: SiteFiles) -> None:
    """Who has nothing to join by is told of both invitations; whichever verb it leaves by, its miners are told of."""
    assert "`barq miners invite`" in barq(files, "join").stderr
    assert "`barq miners invite`" in barq(files, "join", "halls").stderr
    assert barq(files, *JOIN).exit_code == 0

    done = CliRunner(env={"BARQ_STATE": str(files.state)}).invoke(app, ["node", "leave"])

    assert (done.exit_code, "nobody holds them" in done.stderr) == (0, True)


def test_nothing_is_forgotten_that_no_other_machine_guards(
    site: Site, files: SiteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exists all the same, and the refusal does not say otherwise."""
    monkeypatch.setattr(site, "nodes", lambda: [{"id": "hall-a", "kind": "miners", "guard_on": ""}])

    done = barq(files, "forget", "hall-a")

    assert (done.exit_code, "does not say guard_on" in done.stderr) == (4, True)


def test_a_machine_that_goes_down_stays_part_of_its_site(
    site: Site, files: SiteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said that the site is down."""
    monkeypatch.setattr(down, "stop_site", lambda directory, *, grace_s: True)
    env = {"BARQ_STATE": str(files.state)}
    assert CliRunner(env=env).invoke(app, ["down"]).stderr == "the site is down\n"
    assert barq(files, *JOIN).exit_code == 0
    assert "stays part of its site" in CliRunner(env=env).invoke(app, ["down"]).stderr
