"""Which site `barq up` starts where there are GPUs, and where there are none."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from barq.cli.local_site import DEFAULT_SITE, find_gpus, read_site, site_text
from barq.cli.up import _up_already, start_site
from barq.doctor.finding import Grade, unread
from barq.doctor.measured import measured
from barq.doctor.place import Place
from barq.doctor.sources import sources
from barq.errors import BarqError, InvalidInput
from barq.site.files import SiteFiles
from barq.site.stopping import read_processes
from scheduler.core.entitlement import nameplate_w
from scheduler.settings import load_site
from tests.fake_nvml import FakeLibrary, gpus, installed
from tests.stores import put_migrated
from workers.nvml.machine import Machine, local_gpus

SITE = """
name: own
power: {firm_w: 2000}
nodes: [{prefix: big, base_w: 300, simulated: false}]
"""


@pytest.fixture
def files(tmp_path: Path) -> SiteFiles:
    """A state directory without a site."""
    made = SiteFiles(tmp_path / "state")
    made.create()
    return made


def machine(library: FakeLibrary) -> Machine:
    """What is found of such a machine."""
    with installed(library):
        return local_gpus()


def never() -> Machine:
    """Nobody looks."""
    raise AssertionError("there was no need to look for GPUs")


def finding(found: Machine) -> Callable[[], Machine]:
    """A look at such a machine."""
    return lambda: found


def test_a_machine_with_gpus_is_a_site_of_its_own(files: SiteFiles) -> None:
    """All that it can draw is allowed until somebody says otherwise; every GPU may run uncapped."""
    found = machine(FakeLibrary(*gpus(4)))
    text, site = read_site(files, None, finding(found))
    specs = find_gpus(site, files.state, finding(found), is_running=False)

    assert "4 x NVIDIA A100-SXM4-80GB, 100-400 W each" in text
    assert list(site.groups(specs)) == ["node-1"]
    assert [g.gpu_id for g in specs["node-1"].gpus] == [g.uuid for g in found.usable]
    assert site.power.firm_w * (1 - site.power.margin) >= nameplate_w(specs["node-1"])
    assert not specs["node-1"].simulated


def test_without_gpus_it_is_simulated(files: SiteFiles) -> None:
    """As on any laptop."""
    text, site = read_site(files, None, finding(Machine(problem="no driver")))

    assert text == DEFAULT_SITE.read_text()
    assert all(spec.simulated for spec in site.groups().values())


def test_a_file_wins_over_what_is_found(files: SiteFiles, tmp_path: Path) -> None:
    """One that is given, or that of the last time."""
    given = tmp_path / "given.yaml"
    given.write_text(SITE)
    assert read_site(files, given, never)[0] == SITE
    files.site_file.write_text(SITE)
    assert read_site(files, None, never)[0] == SITE


def test_a_site_file_may_ask_for_real_gpus(
    files: SiteFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is used is said, and what is left out, with the reason."""
    given = tmp_path / "given.yaml"
    given.write_text(SITE)
    library = FakeLibrary(*gpus(2), is_root=False)
    library.gpus[1].mig = (1, 1)
    _, site = read_site(files, given, never)
    specs = find_gpus(site, files.state, finding(machine(library)), is_running=False)

    assert specs["big-1"].base_w == 300.0 + 400.0
    said = capsys.readouterr().err
    assert "GPU 1 (NVIDIA A100-SXM4-80GB) is left out and counts at 400 W: MIG" in said
    assert "real GPUs: 1 x NVIDIA A100-SXM4-80GB, 400 W each, driver 550.54.15" in said
    assert "cannot be capped and count at their limit: only root may" in said


@pytest.mark.parametrize(
    "found, said",
    [
        (Machine(problem="no driver here"), "no driver here"),
        (machine(FakeLibrary(*gpus(20))), "firm_w = 2000 W is below the idle base"),
    ],
    ids=["no GPU", "too many"],
)
def test_real_gpus_that_cannot_be_kept_are_refused(files: SiteFiles, found: Machine, said: str) -> None:
    """Before anything starts, with what to do."""
    files.site_file.write_text(SITE)
    _, site = read_site(files, None, never)
    with pytest.raises(InvalidInput, match=said):
        find_gpus(site, files.state, finding(found), is_running=False)


def test_what_runs_keeps_what_it_was_told(files: SiteFiles) -> None:
    """A guard that is adopted goes on with its GPUs; nobody measures beside it."""
    files.site_file.write_text(SITE)
    _, site = read_site(files, None, never)
    first = find_gpus(site, files.state, finding(machine(FakeLibrary(*gpus(2)))), is_running=False)
    site.write_groups(files.state, first)

    assert find_gpus(site, files.state, never, is_running=True) == first


def test_the_text_is_a_site_file(tmp_path: Path) -> None:
    """Also where nothing can be capped."""
    path = tmp_path / "site.yaml"
    path.write_text(site_text(machine(FakeLibrary(*gpus(1), is_root=False))))

    assert load_site(path).name == "local"


def test_a_source_that_makes_no_sense_is_refused_before_anything_starts(
    files: SiteFiles, tmp_path: Path
) -> None:
    """By the file, the source, its field and the value; `barq doctor` says the same."""
    given = tmp_path / "given.yaml"
    given.write_text(f"{SITE}signals: [{{type: constant, name: grid, limit_w: 3kW}}]\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"given.yaml: signals: grid: limit_w: .* got '3kW'"):
        read_site(files, given, never)

    found = sources(Place(environ={}, state=files.state, proposed=given))
    assert (found.grade, "'3kW'" in found.found) == (Grade.FAIL, True)
    given.write_text(f"{SITE}signals: [{{type: synthetic_day, name: day, max_w: 9000}}]\n", encoding="utf-8")
    assert sources(Place(environ={}, state=files.state, proposed=given)).grade is Grade.OK
    assert not list(files.run.glob("began-*")), "its day has not begun"


def test_who_wants_another_file_while_a_site_is_up_is_told(files: SiteFiles, tmp_path: Path) -> None:
    """It goes on as it was started; the same file again is no news."""
    given = tmp_path / "given.yaml"
    for path in (given, files.site_file):
        path.write_text(SITE, encoding="utf-8")
    assert _up_already(files, given) == _up_already(files, None) == "the site is up already"
    given.write_text(SITE.replace("2000", "3000"), encoding="utf-8")
    assert "`barq down` first" in _up_already(files, given)
    assert "`barq down` first" in _up_already(files, tmp_path / "none.yaml")
    assert _up_already(files, None, 8470, "http://127.0.0.1:8470") == "the site is up already"
    assert "not at port 9999: `barq down` first" in _up_already(files, None, 9999, "http://127.0.0.1:8470")


def test_what_is_no_site_file_is_said_in_one_line(files: SiteFiles, tmp_path: Path) -> None:
    """A directory, bytes, and several mistakes at once, each by its field; the file is named once."""
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\n")
    (tmp_path / "wrong.yaml").write_text(SITE.replace("2000", "2kW") + "colour: red\n")
    told = {}
    for name in ("", "bytes.yaml", "wrong.yaml"):
        with pytest.raises(InvalidInput) as caught:
            read_site(files, tmp_path / name, lambda: machine(FakeLibrary(*gpus(1))))
        told[name] = str(caught.value)

    assert "Is a directory; name a file" in told[""]
    assert "line 1 is not UTF-8; save it as UTF-8" in told["bytes.yaml"]
    assert told["wrong.yaml"].count("wrong.yaml") == 1
    assert "power.firm_w: must be a number (given: '2kW')" in told["wrong.yaml"]
    assert "also colour: is not known" in told["wrong.yaml"]


def test_doctor_tells_of_an_unreadable_site_file_once(tmp_path: Path) -> None:
    """As what does not hold; who would have looked into it says so and no more."""
    (tmp_path / "site.yaml").write_text("name: [")
    place = Place(environ={}, state=tmp_path, proposed=tmp_path / "site.yaml")

    assert sources(place).grade is Grade.FAIL
    assert "line 1" in sources(place).found
    assert measured(place) == unread("measured")


SCHEDULE = """
name: t
power: {firm_w: 20000}
nodes: [{count: 1, gpus: 4, simulated: true}]
signals: [{type: schedule_file, name: feeder, path: day.csv}]
"""


@pytest.mark.parametrize(
    "day, grade, found",
    [
        (None, Grade.WARN, "feeder: {state}/day.csv: No such file or directory; put the schedule there"),
        ("from,mw\n2026-01-01T00:00Z,3\n", Grade.WARN, "day.csv"),
        ("time,limit\n2026-01-01T00:00Z,-3\n", Grade.WARN, "-3"),
        ("time,limit\n2026-01-01T00:00Z,3000\n2026-01-02T00:00Z,4000\n", Grade.OK, "1 can be opened"),
    ],
    ids=["missing", "columns", "negative", "good"],
)
def test_doctor_reads_the_files_that_limit_the_site(
    tmp_path: Path, day: str | None, grade: Grade, found: str
) -> None:
    """A schedule that is not there, or says nothing, is told before the site starts with it."""
    (tmp_path / "site.yaml").write_text(SCHEDULE)
    if day is not None:
        (tmp_path / "day.csv").write_text(day)

    finding = sources(Place(environ={}, state=tmp_path))

    assert finding.grade is grade
    assert found.format(state=tmp_path) in finding.found


def test_a_state_that_cannot_be_used_is_said_before_anything_starts(files: SiteFiles, tmp_path: Path) -> None:
    """A file in place of a directory, and databases that are none or of another version of Barq."""
    blocked, database = tmp_path / "file", files.state / "barq.db"
    blocked.write_text("")
    with pytest.raises(InvalidInput, match="cannot keep the state of a site: File exists"):
        start_site(DEFAULT_SITE, blocked)

    put_migrated(database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(
        BarqError, match=r"its schema is of another version: .*'9999'; start the version of Barq"
    ):
        start_site(DEFAULT_SITE, files.state)

    for name in files.state.glob("barq.db*"):
        name.unlink()
    database.write_text("junk")
    with pytest.raises(BarqError, match="file is not a database; name a directory"):
        start_site(DEFAULT_SITE, files.state)
    assert not files.address.exists()


def test_a_port_that_is_taken_is_said_before_anything_starts(files: SiteFiles) -> None:
    """An API that cannot listen would be started and end, again and again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=rf"port {port} of 127\.0\.0\.1 is taken") as refused:
            start_site(Path("configs/sites/shadow.yaml"), files.state, port=port)
    assert "name another one" in str(refused.value.remedy)
    assert not read_processes(files)
