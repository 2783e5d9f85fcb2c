"""The fork server, from a process of its own: this one may have threads, and the server's must not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptOrder, Observed
from tests.waiting import wait_for
from workers.attempt_files import AttemptFiles, FactsFile, Instruction, Launching
from workers.processes import identify, is_alive
from workers.starter import Starter, Wanted

WANTED = Wanted(
    command=["sh", "-c", "echo $$ $(ps -o sid= -p $$) $COLOUR $PWD; exec ls /proc/self/fd"],
    working_dir="/",
    environment={"COLOUR": "blue", "PATH": "/no/such/dir:/usr/bin:/bin"},
    nice=0,
)

STARTS = """
import sys
from pathlib import Path
from workers.forkserver import ForkServer
server = ForkServer()
print(server.pid, *(server.start(Path(path)) for path in sys.argv[1:]), flush=True)
sys.stdin.read()
server.close()
"""


RAN = ("/bin/sh", "-c", "echo ran >> runs")


def attempt(directory: Path, name: str, command: tuple[str, ...] = RAN) -> AttemptFiles:
    """An attempt that notes that it ran."""
    home = directory / name
    home.mkdir()
    launch = Launch(
        command=command,
        working_dir=str(home),
        checkpoint_dir=str(home / "checkpoints"),
        output_dir=str(home / "output"),
        log_path=str(home / "job.log"),
    )
    order = AttemptOrder(
        attempt_id=f"{name}.1",
        job_id=name,
        number=1,
        phase=Phase.RUN,
        gpu_ids=(),
        cap_w=0.0,
        tier=0,
        launch=launch,
    )
    files = AttemptFiles(directory / f"{name}.1")
    lock = str(directory / "guard.lock")
    files.create(Launching(order=order, guard_lock=lock, orphan_s=60.0, suspend_patience_s=1.0))
    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    return files


@contextmanager
def open_pipe() -> Iterator[tuple[int, int]]:
    """Both ends, closed afterwards."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for descriptor in ends:
            with suppress(OSError):
                os.close(descriptor)


def final(files: AttemptFiles) -> FactsFile | None:
    """The last facts, once they are."""
    facts = files.read_facts()
    return facts if facts is not None and facts.is_final else None


def test_many_supervisors_are_forked_and_each_attempt_runs_once(tmp_path: Path) -> None:
    """Sixteen attempts, each asked for twice: each runs once, and supervisors outlive the one who asked."""
    attempts = [attempt(tmp_path, f"j{number}") for number in range(16)]
    paths = [str(files.path) for files in attempts]

    asking = subprocess.run(
        [sys.executable, "-c", STARTS, *paths, *paths],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    server, *supervisors = map(int, asking.stdout.split())
    assert len(set(supervisors)) == 2 * len(attempts)
    assert identify(server) is None
    for files in attempts:
        known = wait_for(lambda files=files: final(files), timeout_s=60, what=f"{files.path} ends")  # type: ignore[misc]
        assert known is not None
        assert known.facts.observed is Observed.ENDED
        assert known.facts.exit_code == 0
        claim = files.read_claim()
        assert claim is not None
        wait_for(lambda claim=claim: not is_alive(claim.process), timeout_s=60, what="its supervisor ends")  # type: ignore[misc]
        assert (tmp_path / files.path.stem / "runs").read_text() == "ran\n"


AHEAD = """
import sys, time
from pathlib import Path
from workers import spares
from workers.forkserver import ForkServer
from workers.processes import family
spares.is_crowded = lambda: False  # whatever else this host does
server = ForkServer()
server.keep_ready(3)
while len(ready := family(server.pid) - {server.pid}) < 6:  # a supervisor and its starter each
    time.sleep(0.01)
print(*ready, flush=True)
print(*(server.start(Path(path)) for path in sys.argv[1:]), flush=True)
sys.stdin.read()
server.close()
"""


def test_supervisors_that_were_forked_ahead_are_used_and_those_left_end_with_the_server(
    tmp_path: Path,
) -> None:
    """Two attempts take two of three that wait, one of them unable to start; the third ends when the server does."""
    well, ill = attempt(tmp_path, "well"), attempt(tmp_path, "ill", command=("/no/such/command",))
    asking = subprocess.run(
        [sys.executable, "-c", AHEAD, str(well.path), str(ill.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    ready, used = ({int(pid) for pid in line.split()} for line in asking.stdout.splitlines())
    assert len(ready) == 6
    assert used < ready
    ends = [wait_for(lambda files=files: final(files), timeout_s=60, what="it ends") for files in (well, ill)]  # type: ignore[misc]
    assert [end and end.facts.exit_code for end in ends] == [0, None]
    assert "there is no /no/such/command on this node" in str(ends[1])
    wait_for(lambda: not any(identify(pid) for pid in ready), timeout_s=60, what="all are gone")


@pytest.mark.parametrize(
    "change, error",
    [
        (
            {"command": ["no-such-command"]},
            FileNotFoundError(2, "No such file or directory", "no-such-command"),
        ),
        ({"command": ["/etc/passwd"]}, PermissionError(13, "Permission denied", "/etc/passwd")),
        ({"working_dir": "/no/such/dir"}, FileNotFoundError(2, "No such file or directory", "/no/such/dir")),
        ({"command": ["echo", "a\0b"]}, ValueError("embedded null byte")),
    ],
    ids=["command", "permission", "folder", "nul"],
)
def test_a_starter_says_what_is_in_the_way(change: dict[str, Any], error: Exception) -> None:
    """What a job cannot be started for is told in the words of the system, as without a starter."""
    with open_pipe() as (_, writer), pytest.raises(type(error)) as raised:
        Starter().start(replace(WANTED, **change), writer)
    assert str(raised.value) == str(error)


def test_a_starter_becomes_the_job_and_one_that_is_gone_says_so() -> None:
    """It finds the command by the job's own PATH, with nothing open but its output; a dead one leaves it to others."""
    with open_pipe() as (reader, writer):
        starter = Starter()
        assert starter.start(WANTED, writer)
        os.close(writer)
        with open(reader, closefd=False, encoding="utf-8") as output:
            assert output.read() == f"{starter.pid} {starter.pid} blue /\n0\n1\n2\n3\n"
        assert os.waitpid(starter.pid, 0)[1] == 0

        dead = Starter()
        os.kill(dead.pid, signal.SIGKILL)
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        assert not dead.start(WANTED, reader)
        os.waitpid(dead.pid, 0)


REHEARSES = """
import os
from workers.processes import family
from workers.rehearsal import NOWHERE, rehearse
rehearse()
before = os.listdir("/proc/self/fd")
rehearse()
assert os.listdir("/proc/self/fd") == before
assert family(os.getpid()) == {os.getpid()}
assert not any(path.exists() for path in (NOWHERE, *NOWHERE.parents[:-1]))
"""


def test_a_rehearsal_leaves_nothing_behind() -> None:
    """No process, no open file, no folder, no word."""
    rehearsing = subprocess.run([sys.executable, "-c", REHEARSES], capture_output=True, check=False)
    assert (rehearsing.returncode, rehearsing.stdout, rehearsing.stderr) == (0, b"", b"")
