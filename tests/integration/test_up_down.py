"""`barq up` and `barq down`: ready or an error that shows why, and nothing left in between."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from barq.cli import app, up as up_module
from barq.cli.up import start_site
from barq.errors import BarqError, InvalidInput, Refused
from barq.site.parts import KEEPER
from barq.site.processes import wait_gone
from scheduler.core.orders import GroupKind, GroupSpec
from scheduler.store.database import open_database
from scheduler.store.desk import Desk
from tests import stub_keeper
from tests.fake_nvml import FakeLibrary, gpus, installed
from tests.kept_site import KeptSite
from workers.group_config import load

SITE = """
name: tiny
power: {firm_w: 2000, overhead: 1.1}
nodes: [{prefix: NODE, count: 2, gpus: 1, base_w: 300, simulated: true}]
signals: [{type: constant, name: contract, limit_w: 3000, provenance: "for tests"}]
"""
#: An API that is ready at once; the guard of its node is heard of from the third time on that somebody asks.
READY = """
import json, http.server, pathlib
asked = 0
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += self.path.endswith("nodes")
        pathlib.Path(STATE, "asked").write_text(str(asked))
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"nodes": [{"id": "node-1", "reachable": asked > 2}]}).encode())
port = int(json.loads(pathlib.Path(STATE, "run/site.json").read_text())["api_url"].rpartition(":")[2])
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""

EXPECTED = {KEEPER, "api", "enrol", "guard:node-1", "guard:node-2", "ray", "scheduler"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptSite]:
    """A state directory whose keeper starts stubs; its API is ready at once."""
    made = KeptSite(tmp_path / "state", groups=())
    (made.files.state / "program-api").write_text(READY)
    monkeypatch.setattr(up_module, "keeper_command", lambda state, port: stub_keeper.command(state))
    yield made
    made.destroy()


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    """A small site with two nodes."""
    return written(tmp_path, "node")


def written(tmp_path: Path, prefix: str) -> Path:
    """A site file with nodes of that name."""
    path = tmp_path / f"{prefix}.yaml"
    path.write_text(SITE.replace("NODE", prefix))
    return path


def test_up_prepares_starts_and_waits(site: KeptSite, site_file: Path) -> None:
    """All is in its place, for this user only, when the site says that it is ready."""
    running = start_site(site_file, site.files.state)
    assert running.is_new
    assert running.api_url == site.address()["api_url"]
    assert set(site.wait_for("enrol")) == EXPECTED
    assert site.files.site_file.read_text() == site_file.read_text()
    assert running.token_file.stat().st_mode & 0o777 == 0o600


def test_up_takes_the_gpus_of_this_machine(site: KeptSite, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a site file: its guard is told their UUIDs, the site file says so, and so does the command."""
    library = FakeLibrary(*gpus(2))
    with installed(library):
        start_site(None, site.files.state)

    assert "real GPUs: 2 x NVIDIA A100-SXM4-80GB" in capsys.readouterr().err
    assert "simulated: false" in site.files.site_file.read_text()
    config = load(site.files.groups / "node-1" / "group.json")
    assert [slot.gpu_id for slot in config.spec.gpus] == [gpu.uuid for gpu in library.gpus]


def test_up_returns_when_every_guard_was_heard_of(site: KeptSite, site_file: Path) -> None:
    """The API is ready before the guards are enrolled; `up` waits for those too."""
    start_site(site_file, site.files.state)
    assert (site.files.state / "asked").read_text() == "3"


def test_the_token_is_known_by_its_hash_and_made_once(site: KeptSite, site_file: Path) -> None:
    """The next start keeps a good token, and replaces one that was lost or spoilt."""

    def token() -> str:
        start_site(site_file, site.files.state)
        assert site.stop()
        return site.files.token.read_text().strip()

    first = token()
    assert first.encode() not in site.files.database.read_bytes()
    assert token() == first
    site.files.token.write_text("spoilt")
    second = token()
    engine = open_database(site.files.database)
    desk = Desk(engine, site="tiny")
    assert desk.find_token(second) is not None
    assert desk.find_token(first) is None
    engine.dispose()


def test_up_twice_says_where_it_is(site: KeptSite, site_file: Path) -> None:
    """The second one changes nothing."""
    first = start_site(site_file, site.files.state)
    live = site.wait_for("enrol")
    second = start_site(None, site.files.state)
    assert (second.api_url, second.is_new) == (first.api_url, False)
    assert site.parts() == live


def test_a_restart_takes_the_site_file_of_the_last_time(site: KeptSite, site_file: Path) -> None:
    """Once given, it need not be given again."""
    start_site(site_file, site.files.state)
    site.stop()
    site_file.unlink()
    start_site(None, site.files.state)
    assert "guard:node-1" in site.live()


def test_groups_that_left_the_site_file_are_left_out(site: KeptSite, site_file: Path, tmp_path: Path) -> None:
    """Their directories stay, for the records in them; no guard looks after them any more."""
    start_site(site_file, site.files.state)
    site.stop()
    start_site(written(tmp_path, "hall"), site.files.state)
    assert {name for name in site.wait_for("scheduler") if name.startswith("guard:")} == {
        "guard:hall-1",
        "guard:hall-2",
    }
    assert (site.files.groups / "node-1").is_dir()


def test_up_after_a_killed_keeper_adopts(site: KeptSite, site_file: Path, tmp_path: Path) -> None:
    """The same processes under a new keeper; but not under another site file."""
    start_site(site_file, site.files.state)
    before = site.wait_for("enrol")
    before[KEEPER].send(signal.SIGKILL)
    assert wait_gone([before[KEEPER]], timeout_s=60) == []
    with pytest.raises(Refused, match="barq down"):
        start_site(written(tmp_path, "hall"), site.files.state)
    assert start_site(site_file, site.files.state).is_new
    after = site.parts()
    assert after.pop(KEEPER) != before.pop(KEEPER)
    assert after == before


def test_a_part_that_fails_is_shown_and_nothing_is_left(
    site: KeptSite, site_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the part, its last words are shown, and the others are ended."""
    (site.files.state / "program-api").write_text(stub_keeper.FAILS)
    with pytest.raises(BarqError, match="api ended 5 times"):
        start_site(site_file, site.files.state)
    assert "cannot do it" in capsys.readouterr().err
    site.assert_gone()


def test_a_senseless_site_file_starts_nothing(site: KeptSite, tmp_path: Path) -> None:
    """It is named with field, value and remedy before anything runs."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(SITE.replace("NODE", "node").replace("firm_w: 2000", "firm_w: 1"))
    with pytest.raises(InvalidInput, match="firm_w"):
        start_site(wrong, site.files.state)
    with pytest.raises(InvalidInput, match="there is no site file"):
        start_site(tmp_path / "nowhere.yaml", site.files.state)
    assert site.live() == {}
    site.assert_gone()


def test_by_hand_the_address_goes_to_stdout_and_talk_to_stderr(site: KeptSite, site_file: Path) -> None:
    """`barq up --json` is one JSON value; `barq down` twice is no error."""
    runner = CliRunner(env={"BARQ_STATE": str(site.files.state)})
    result = runner.invoke(app, ["up", str(site_file), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "api_url": site.address()["api_url"],
        "token_file": str(site.files.token),
        "state": str(site.files.state),
    }
    result = runner.invoke(app, ["up", "-q"])
    assert (result.exit_code, result.stdout.strip()) == (0, site.address()["api_url"])
    assert "up already" in result.stderr
    site.live()
    for words in ("the site is down", "no site runs"):
        result = runner.invoke(app, ["down", "--grace", "1s"])
        assert result.exit_code == 0
        assert words in result.stderr
    site.assert_gone()


def test_jobs_find_the_python_that_barq_runs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python` in an entrypoint means the one with what a job needs, whether or not its environment is active."""
    monkeypatch.setenv("PATH", os.defpath)
    path = up_module._environment()["PATH"].split(os.pathsep)
    assert (Path(path[0]) / "python").exists()
    assert path[1:] == os.defpath.split(os.pathsep)


def test_nodes_that_joined_count_when_the_firm_level_is_checked(site: KeptSite, site_file: Path) -> None:
    """The site file alone would fit: the refusal names who does not."""
    start_site(site_file, site.files.state)
    site.stop()
    engine = open_database(site.files.database)
    spec = GroupSpec(group_id="hall-1", kind=GroupKind.NODE, base_w=1500.0)
    Desk(engine, site="tiny").join(spec, by="ops", check=lambda _: None)
    engine.dispose()
    with pytest.raises(InvalidInput, match="hall-1"):
        start_site(site_file, site.files.state)
    site.assert_gone()


def test_storage_that_cannot_be_used_is_named(site: KeptSite, site_file: Path) -> None:
    """Such as a directory below a file."""
    (site.files.state / "file").touch()
    text = site_file.read_text() + f"storage: {{jobs_dir: {site.files.state / 'file' / 'jobs'}}}\n"
    site_file.write_text(text)
    with pytest.raises(InvalidInput, match=r"storage\.jobs_dir"):
        start_site(site_file, site.files.state)


def test_a_member_of_another_site_is_no_head(site: KeptSite, site_file: Path) -> None:
    """It says how to become one."""
    site.files.membership.write_text("{}")
    with pytest.raises(Refused, match="barq node leave"):
        start_site(site_file, site.files.state)
