"""`barq doctor`: each check by a machine where it is well and one where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from barq.cli import app
from barq.doctor import capacity, clocks, control_groups, disk, network, python, ray_here, rights
from barq.doctor.examination import CHECKS, examine
from barq.doctor.finding import Finding, Grade, ok
from barq.doctor.place import Place
from barq.site.files import SiteFiles, exclusive, write_json

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
GB = 1_000_000_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty machine with a private state directory."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return Place(root=tmp_path / "root", environ={}, state=state)


def put(place: Place, files: dict[str, str]) -> Place:
    """The machine with these files."""
    for path, text in files.items():
        place.at(path).parent.mkdir(parents=True, exist_ok=True)
        place.at(path).write_text(text)
    return place


V2 = {
    "sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
    "proc/self/cgroup": "0::/site.scope\n",
    "sys/fs/cgroup/site.scope/cgroup.procs": "",
    "sys/fs/cgroup/site.scope/cgroup.freeze": "0",
    "sys/fs/cgroup/site.scope/memory.events": "oom_kill 0\n",
}
LIMITS = "Limit                     Soft Limit           Hard Limit           Units\n"
MOUNTS = (
    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "22 21 0:5 / /mem rw shared:1 - tmpfs tmpfs rw\n"
    "23 21 0:6 / /net\\040work rw - nfs4 server:/x rw\n"
)

Case = tuple[Callable[[Place], Finding], dict[str, str], Grade, str]
CASES: list[Case] = [
    (control_groups.control_groups, V2, OK, "version 2"),
    (control_groups.control_groups, {"sys/fs/cgroup/unified/cgroup.procs": ""}, WARN, "hybrid"),
    (control_groups.control_groups, {"sys/fs/cgroup/memory/tasks": ""}, WARN, "version 1"),
    (control_groups.control_groups, {}, WARN, "not mounted"),
    (control_groups.freezer, V2, OK, "is ours, with a freezer"),
    (control_groups.freezer, V2 | {"proc/self/cgroup": "0::/\n"}, OK, "has no freezer"),
    (control_groups.freezer, {}, OK, "no group of version 2"),
    (control_groups.memory_controller, V2, OK, "are counted"),
    (control_groups.memory_controller, V2 | {"sys/fs/cgroup/cgroup.controllers": "cpu\n"}, WARN, "no memory"),
    (ray_here.other_ray, {"proc/7/cmdline": "/usr/bin/python\0-m\0job"}, OK, "none"),
    (ray_here.other_ray, {"proc/7/cmdline": "/x/gcs_server\0--dir=/tmp/barq-ab12/ray"}, OK, "none"),
    (ray_here.other_ray, {"proc/7/cmdline": "/x/gcs_server\0--dir=/tmp/ray/s"}, WARN, "PID 7"),
    (rights.root, {"proc/self/status": "CapEff:\t000001ffffffffff\n"}, OK, "with CAP_SYS_ADMIN"),
    (rights.root, {"proc/self/status": "CapEff:\t0000000000000000\n"}, OK, "without CAP_SYS_ADMIN"),
    (network.ports, {"proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n"}, OK, "28232 ports"),
    (network.ports, {"proc/sys/net/ipv4/ip_local_port_range": "60000\t60999\n"}, WARN, "1000 free ports"),
    (network.ports, {}, WARN, "unknown"),
    (
        capacity.memory,
        {"proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 12000000 kB\n"},
        OK,
        "12.3 of 16.4",
    ),
    (
        capacity.memory,
        {"proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 1000000 kB\n"},
        WARN,
        "1.0 of 16.4",
    ),
    (capacity.memory, {}, WARN, "unknown"),
    (capacity.open_files, {"proc/self/limits": LIMITS + "Max open files 65536 65536 files\n"}, OK, "65536"),
    (capacity.open_files, {"proc/self/limits": LIMITS + "Max open files 1024 65536 files\n"}, WARN, "1024"),
    (
        capacity.processes,
        {"proc/self/limits": LIMITS + "Max processes unlimited unlimited x\n"},
        OK,
        "unlimited",
    ),
    (capacity.processes, {"proc/self/limits": LIMITS + "Max processes 100 100 x\n"}, WARN, "100"),
    (capacity.processes, {}, WARN, "unknown"),
    (network.loopback, {}, OK, "works"),
    (clocks.boottime, {}, OK, "counts"),
    (ray_here.ray, {}, OK, "Ray 2.60"),
    (ray_here.ray_variables, {}, OK, "none"),
    (python.packages, {}, OK, "all that a site needs"),
]


@pytest.mark.parametrize("check, files, grade, found", CASES)
def test_a_machine_is_judged_by_its_files(
    place: Place, check: Callable[[Place], Finding], files: dict[str, str], grade: Grade, found: str
) -> None:
    """The grade, and what was found; whatever is not well has a remedy."""
    finding = check(put(place, files))

    assert (finding.grade, found in finding.found) == (grade, True), finding
    assert (bool(finding.remedy), "\n" in finding.remedy) == (grade is not OK, False)


def test_python_has_to_be_new_and_apart(place: Place) -> None:
    """An old one cannot, one of the system had better not."""
    assert python.python(place, (3, 10, 1)).grade is FAIL
    assert python.python(place, (3, 12, 1), sys.base_prefix).grade is WARN
    assert python.python(place, (3, 12, 1), "/venv").grade is OK
    assert "no_such_package" in python.packages(place, ["json", "no_such_package"]).found


def test_ray_variables_are_named(tmp_path: Path) -> None:
    """Each that a program started by hand would obey."""
    finding = ray_here.ray_variables(Place(environ={"RAY_ADDRESS": "x", "PATH": "y"}, state=tmp_path))
    assert (finding.grade, finding.found, finding.remedy) == (WARN, "RAY_ADDRESS", "unset RAY_ADDRESS")


def test_a_clock_is_synchronized_or_not(place: Place) -> None:
    """As the kernel says; where it does not, that is said."""

    def forbidden() -> int:
        raise PermissionError(1, "not permitted")

    assert clocks.synchronized(place, lambda: 0).grade is OK
    assert clocks.synchronized(place, lambda: clocks.TIME_ERROR).grade is WARN
    assert "not permitted" in clocks.synchronized(place, forbidden).found
    assert clocks.synchronized(place).grade in {OK, WARN}


@pytest.fixture
def dated() -> Iterator[Callable[[str], str]]:
    """Starts an API whose clock says what a test wants, and gives its address."""
    servers: list[HTTPServer] = []

    def start(date: str) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(200)
                self.send_header("Date", date or self.date_time_string())
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        servers.append(HTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "date, grade", [("", OK), ("Sun, 06 Nov 1994 08:49:37 GMT", FAIL), ("nonsense", WARN)]
)
def test_clocks_that_disagree_are_told(
    place: Place, dated: Callable[[str], str], date: str, grade: Grade
) -> None:
    """By the date that the site's API answers with."""
    assert clocks.drift(Place(environ={"BARQ_URL": dated(date)}, state=place.state)).grade is grade


def test_without_a_site_no_clock_disagrees(place: Place) -> None:
    """One that does not answer is named."""
    assert clocks.drift(place).grade is OK
    gone = Place(environ={"BARQ_URL": "http://127.0.0.1:1"}, state=place.state)
    assert clocks.drift(gone).grade is WARN


def test_the_state_is_ours_alone(place: Place, tmp_path: Path) -> None:
    """Its directory by owner and mode, its token by mode; one that is not there yet is no fault."""
    assert rights.state_directory(place).grade is OK
    assert rights.state_directory(Place(state=place.state, uid=place.uid + 1)).grade is FAIL
    place.state.chmod(0o755)
    assert rights.state_directory(place).grade is WARN
    assert rights.state_directory(Place(state=tmp_path / "new" / "state")).grade is OK
    (tmp_path / "file").touch()
    assert rights.state_directory(Place(state=tmp_path / "file" / "state")).grade is FAIL

    assert rights.token(place).found == "no site has run here yet"
    token = place.state / "token"
    token.touch(0o600)
    assert rights.token(place).grade is OK
    token.chmod(0o644)
    assert rights.token(place).remedy.startswith(f"chmod 600 {token}")


def test_the_port_of_the_api_is_ours_or_free(place: Place, dated: Callable[[str], str]) -> None:
    """A site that is up listens there; while it is down nobody else should."""
    files = SiteFiles(place.state)
    files.create()
    assert network.api_port(place).grade is OK
    write_json(files.address, {"api_url": dated("")})
    assert network.api_port(place).grade is WARN
    with exclusive(files.keeper_lock, wait=False):
        assert network.api_port(place).found.endswith("ours")
        write_json(files.address, {"api_url": "http://127.0.0.1:1"})
        assert network.api_port(place).grade is FAIL
    assert network.api_port(place).found.endswith("free")


def test_a_disk_has_room_and_is_quick(place: Place) -> None:
    """By what is free and how long it takes until something is written for good."""
    grades = [disk.space(place, lambda _, left=left: left * GB).grade for left in (0, 5, 50)]  # type: ignore[misc]
    assert grades == [FAIL, WARN, OK]
    grades = [disk.sync(place, lambda _, took=took: took).grade for took in (2.0, 0.1, 0.001)]  # type: ignore[misc]
    assert grades == [FAIL, WARN, OK]
    assert disk.free_bytes(place.state) > 0
    assert disk.sync_s(place.state) > 0
    assert disk.sync(Place(state=Path("/proc/none"))).grade is WARN


@pytest.mark.parametrize(
    "path, grade", [("/home", OK), ("/mem/x", WARN), ("/net work/x", FAIL), ("/memory", OK)]
)
def test_a_disk_keeps_what_it_is_given(place: Place, path: str, grade: Grade) -> None:
    """Memory forgets, and a network lies about locks; the nearest mount counts."""
    put(place, {"proc/self/mountinfo": MOUNTS})
    kind = disk._kind(place, Path(path))

    assert disk.judged(Path(path), kind).grade is grade


def test_few_cores_are_told(place: Place) -> None:
    """One is little."""
    assert [capacity.cores(place, n).grade for n in (1, 2)] == [WARN, OK]


def test_one_check_that_hangs_or_breaks_hides_no_other(place: Place) -> None:
    """Each is a finding, in the order of the checks."""
    released = threading.Event()

    def hangs(_: Place) -> Finding:
        released.wait(60)
        return ok("hangs", "at last")

    def breaks(_: Place) -> Finding:
        raise RuntimeError("by mistake")

    checks = {"hangs": hangs, "breaks": breaks, "works": lambda _: ok("works", "fine")}
    found = examine(place, checks, patience_s=0.2)
    released.set()

    assert [(f.check, f.grade) for f in found] == [("hangs", WARN), ("breaks", FAIL), ("works", OK)]
    assert "by mistake" in found[1].found


def test_it_runs_here_without_a_site(tmp_path: Path) -> None:
    """One JSON value with every check, and a code that says whether something fails."""
    done = subprocess.run(
        [sys.executable, "-m", "barq", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ) | {"BARQ_STATE": str(tmp_path / "none")},
    )
    document = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0 if document["ok"] else 1, "")
    assert set(CHECKS) <= {finding["check"] for finding in document["findings"]}
    assert all(f["grade"] == "ok" or (f["means"] and f["remedy"]) for f in document["findings"])
    assert not (tmp_path / "none").exists()


def test_people_get_a_table_and_scripts_what_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remedies stand below the table; -q names what fails, and nothing else."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "token").touch(0o644)
    (state / "token").chmod(0o644)
    runner = CliRunner(env={"BARQ_STATE": str(state), "BARQ_URL": "", "BARQ_TOKEN": ""})

    table = runner.invoke(app, ["doctor"])
    assert table.exit_code == 1
    assert any(line.split()[:2] == ["token", "fail"] for line in table.stdout.splitlines())
    assert f"    chmod 600 {state / 'token'}" in table.stdout
    quiet = runner.invoke(app, ["doctor", "-q"])
    assert "token" in quiet.stdout.splitlines()
    assert quiet.exit_code == 1


def test_a_site_file_that_is_not_there_is_said_at_once() -> None:
    """Nobody wonders why a file that was named is well."""
    done = CliRunner().invoke(app, ["doctor", "/nowhere/site.yaml"])
    assert done.exit_code != 0
    assert "there is no site file /nowhere/site.yaml" in done.output
