"""Processes by identity: found again by PID and start time, and never mistaken for another."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from barq.site.files import AlreadyHeld, SiteFiles, exclusive, is_held, read_json, write_json
from barq.site.processes import (
    PRECEDENCE,
    Process,
    descendants,
    end,
    prefer,
    read_stat,
    reap,
    session_members,
    spawn,
    wait_gone,
)
from barq.site.stopping import read_processes, write_processes
from tests.waiting import wait_for

SLEEPER = "import signal; signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
)
PARENT = (
    "import subprocess, sys, signal;"
    f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], start_new_session=True); signal.pause()"
)


class Nursery:
    """Starts programs, and ends what is left of them."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "out.log"
        self._started: list[Process] = []

    def start(self, program: str, **environment: str) -> Process:
        """A Python program in a session of its own."""
        command = [sys.executable, "-c", program]
        process = spawn(command, log=self.log, environment=dict(os.environ) | environment)
        self._started.append(process)
        return process

    def close(self) -> None:
        """End all, also what they started."""
        family = [*self._started, *descendants([process.pid for process in self._started])]
        assert end(family, grace_s=0.0) == []
        for process in self._started:
            try:
                os.waitpid(process.pid, 0)
            except ChildProcessError:
                continue


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Where processes start."""
    made = Nursery(tmp_path)
    yield made
    made.close()


def test_a_process_is_found_again_by_its_record(nursery: Nursery) -> None:
    """What was written down names the same process."""
    process = nursery.start(SLEEPER)
    again = Process.from_record(json.loads(json.dumps(process.record())))
    assert again == process == Process.of(process.pid)
    assert again.is_alive()


@pytest.mark.parametrize("other", [{"starttime": 1}, {"boot_id": "another"}])
def test_another_process_with_the_same_pid_is_never_signalled(nursery: Nursery, other: dict) -> None:
    """A PID alone names nobody: not after a reuse, not after a reboot."""
    process = nursery.start(SLEEPER)
    impostor = replace(process, **other)
    assert not impostor.is_alive()
    assert not impostor.send(signal.SIGKILL)
    assert end([impostor], grace_s=0.0) == []
    assert process.is_alive()


def test_no_file_that_a_caller_left_open_is_held(nursery: Nursery, tmp_path: Path) -> None:
    """`flock LOCK barq up` lets go of its lock once the site is up, and not when it is down again."""
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    try:
        os.set_inheritable(lock, True)  # as a shell, or flock(1), hands it on
        process = nursery.start(f"print('up', flush=True); {SLEEPER}")
        wait_for(lambda: nursery.log.exists() and "up" in nursery.log.read_text(), timeout_s=60)
        held = [str(entry.readlink()) for entry in Path(f"/proc/{process.pid}/fd").iterdir()]
    finally:
        os.close(lock)
    assert set(held) <= {os.devnull, str(nursery.log)}


def test_a_zombie_counts_as_gone(nursery: Nursery) -> None:
    """It runs no more, though nobody has waited for it."""
    process = nursery.start("")
    assert wait_gone([process], timeout_s=60) == []
    stat = read_stat(process.pid)
    assert stat is None or stat.state == "Z"


def test_one_that_ignores_the_polite_signal_is_killed(nursery: Nursery) -> None:
    """The grace is granted, not more."""
    process = nursery.start(STUBBORN)
    wait_for(lambda: nursery.log.exists() and "deaf" in nursery.log.read_text(), timeout_s=60)
    assert end([process], grace_s=0.1) == []
    assert not process.is_alive()


def test_descendants_are_found_across_sessions(nursery: Nursery) -> None:
    """A child that left the session is a child still."""
    parent = nursery.start(PARENT)
    (child,) = wait_for(lambda: descendants([parent.pid]), timeout_s=60)
    assert child != parent
    assert [stat.pid for stat in session_members(parent.pid)] == [parent.pid]


def test_reaping_tells_how_each_child_ended(nursery: Nursery) -> None:
    """Exit codes as such, signals as negative numbers."""
    bad, killed = nursery.start("raise SystemExit(7)"), nursery.start(SLEEPER)
    killed.send(signal.SIGKILL)
    assert wait_gone([bad, killed], timeout_s=60) == []
    codes = reap()
    assert (codes[bad.pid], codes[killed.pid]) == (7, -signal.SIGKILL)


def test_a_started_program_reads_nothing_and_writes_to_its_log(nursery: Nursery) -> None:
    """It hangs on no terminal, leads its session and sees the environment it was given."""
    program = "import os, sys; print(sys.stdin.read() == '', os.getsid(0) == os.getpid(), os.environ['FACT'])"
    process = nursery.start(program, FACT="known")
    wait_gone([process], timeout_s=60)
    assert nursery.log.read_text() == "True True known\n"
    assert nursery.log.stat().st_mode & 0o077 == 0


def test_records_of_the_dead_and_nonsense_are_left_out(nursery: Nursery, tmp_path: Path) -> None:
    """What is read back runs, and is who it was."""
    files = SiteFiles(tmp_path)
    files.create()
    alive, dead = nursery.start(SLEEPER), nursery.start("")
    wait_gone([dead], timeout_s=60)
    write_processes(files, {"api": alive, "scheduler": dead})
    records = read_json(files.processes) | {"enrol": {"pid": "x"}, "ray": []}
    write_json(files.processes, records)
    assert read_processes(files) == {"api": alive}


def test_a_torn_record_is_an_empty_one(tmp_path: Path) -> None:
    """A power cut may leave anything; the site starts all the same."""
    path = tmp_path / "x.json"
    assert read_json(path) == {}
    path.write_text('{"api": {"pi')
    assert read_json(path) == {}


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path: Path) -> None:
    """Whoever asks is told; nobody waits who does not want to."""
    lock = tmp_path / "lock"
    assert not is_held(lock)
    with exclusive(lock, wait=False):
        assert is_held(lock)
        with pytest.raises(AlreadyHeld), exclusive(lock, wait=False):
            pytest.fail("held twice")
    assert not is_held(lock)


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """There are tokens in it: it is closed even if it was open before."""
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    files = SiteFiles(state)
    files.create()
    assert {path.stat().st_mode & 0o777 for path in (files.state, files.run, files.logs, files.groups)} == {
        0o700
    }


def test_a_part_comes_before_jobs_where_the_host_lets_it(nursery: Nursery) -> None:
    """Whoever may not raise anything goes on as it was."""
    own = os.getpriority(os.PRIO_PROCESS, 0)
    part = nursery.start(SLEEPER)

    prefer(part)

    raised = max(-20, own - PRECEDENCE) if os.geteuid() == 0 else own
    assert os.getpriority(os.PRIO_PROCESS, part.pid) == raised
