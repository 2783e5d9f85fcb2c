"""What a supervisor keeps an eye on."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from barq.contract import JobPhase, JobStatus, write_status
from scheduler.core.jobs import Phase
from tests.waiting import wait_for
from workers.attempt_files import AttemptFiles, Instruction
from workers.instructions import Instructions
from workers.job_process import JobProcess
from workers.watches import Bell, ComputingWatch, GuardWatch, StatusWatch


class FakeJob:
    """A job that has spent as much CPU time as told."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def cpu_s(self) -> float:
        return self.spent_s


def watch_spending(*spent_s: float) -> list[bool]:
    """What a watch says at each second, the job having spent that much by then."""
    job = FakeJob()
    watch = ComputingWatch(cast("JobProcess", job))
    said = []
    for second, spent in enumerate(spent_s):
        job.spent_s = spent
        said.append(watch.is_computing(float(second)))
    return said


def test_two_busy_windows_in_a_row_are_work() -> None:
    """One last effort is forgiven, two are not."""
    assert watch_spending(0.0, 0.9, 0.9, 1.8, 1.8) == [False] * 5
    assert watch_spending(0.0, 0.9, 1.8, 2.7) == [False, False, True, True]
    assert watch_spending(0.0, 0.05, 0.10, 0.15) == [False] * 4


def test_a_watch_that_rested_begins_anew() -> None:
    """Work from before it had to hold does not count against a job."""
    job = FakeJob()
    watch = ComputingWatch(cast("JobProcess", job))
    for second in range(2):
        job.spent_s += 1.0
        watch.is_computing(float(second))
    watch.rest()
    job.spent_s += 50.0

    assert not watch.is_computing(60.0)
    assert not watch.is_computing(61.0)


def test_nonsense_leaves_the_last_sensible_word(tmp_path: Path) -> None:
    """A job that breaks its status file is complained about; what it said before stands until it says more."""
    watch = StatusWatch(tmp_path)
    watch.look()
    assert (watch.status, watch.complaint) == (None, None)
    write_status(tmp_path, JobStatus(seq=1, state=JobPhase.RUNNING, step=4))
    watch.look()

    (tmp_path / "status.json").write_text("{}")
    watch.look()
    assert watch.status is not None
    assert watch.status.step == 4
    assert watch.complaint is not None
    write_status(tmp_path, JobStatus(seq=1, state=JobPhase.RUNNING, step=5))
    watch.look()
    assert watch.status.step == 5
    assert not watch.complaint


def test_a_job_that_cannot_commit_is_told_of(tmp_path: Path) -> None:
    """As long as it says so, and in characters that can be printed anywhere."""
    watch = StatusWatch(tmp_path)
    bad = JobStatus(seq=1, state=JobPhase.RUNNING, step=4, trouble="step 4: no space\x1b[2J left")
    write_status(tmp_path, bad)
    watch.look()
    assert watch.complaint == "step 4: no space [2J left"
    write_status(tmp_path, replace(bad, trouble=None, step=5))
    watch.look()
    assert not watch.complaint


def test_a_bell_rings_once_for_each_time_that_it_is_wound(tmp_path: Path) -> None:
    """A new status makes a sound at once; a job that never stops talking does not keep its supervisor busy."""
    heard: list[int] = []
    former = signal.signal(signal.SIGIO, lambda signum, _: heard.append(signum))
    try:
        watch = StatusWatch(tmp_path)
        watch.hang_bell()
        assert watch.silent_s == Bell.LONGEST_S
        for step in range(5):
            write_status(tmp_path, JobStatus(seq=1, state=JobPhase.RUNNING, step=step))
        assert len(heard) == 1
        watch.hear_bell()
        assert watch.silent_s == Bell.EVERY_S
        watch.look()
        assert watch.status is not None
        assert watch.status.step == 4

        wait_for(lambda: _is_wound(watch), timeout_s=60, what="the bell is wound again")
        write_status(tmp_path, JobStatus(seq=2, state=JobPhase.RUNNING, step=5))
        assert len(heard) == 2
    finally:
        signal.signal(signal.SIGIO, former)


def test_a_bell_that_was_hushed_wakes_nobody(tmp_path: Path) -> None:
    """What a job says while it leaves is read when somebody looks, and nobody looks more often for it."""
    heard: list[int] = []
    former = signal.signal(signal.SIGIO, lambda signum, _: heard.append(signum))
    try:
        watch = StatusWatch(tmp_path)
        watch.hang_bell()
        watch.hush_bell()
        write_status(tmp_path, JobStatus(seq=1, state=JobPhase.EXITING, step=4))
        watch.look()
        write_status(tmp_path, JobStatus(seq=1, state=JobPhase.EXITING, step=5))

        assert (heard, watch.silent_s) == ([], Bell.LONGEST_S)
        assert watch.status is not None
        assert watch.status.step == 4
    finally:
        signal.signal(signal.SIGIO, former)


def _is_wound(watch: StatusWatch) -> bool:
    watch.look()
    return watch.silent_s == Bell.LONGEST_S


def test_a_directory_that_is_gone_has_no_bell(tmp_path: Path) -> None:
    """Then it is looked at as often as one without."""
    watch = StatusWatch(tmp_path / "none")
    watch.hang_bell()

    watch.look()
    assert watch.silent_s is None


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    """The guard's lock, held as a guard holds it."""
    descriptor = os.open(tmp_path / "guard.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def test_a_guard_is_missed_after_a_while(lock: int, tmp_path: Path) -> None:
    """Only an absence without interruption counts."""
    watch = GuardWatch(tmp_path / "guard.lock", orphan_s=10.0)
    assert not watch.is_orphaned(0.0)
    assert not watch.is_orphaned(100.0)

    fcntl.flock(lock, fcntl.LOCK_UN)
    assert not watch.is_orphaned(101.0)
    fcntl.flock(lock, fcntl.LOCK_EX)  # a new guard, and the watch does not stand in its way
    assert not watch.is_orphaned(112.0)
    fcntl.flock(lock, fcntl.LOCK_UN)
    assert not watch.is_orphaned(113.0)
    assert watch.is_orphaned(123.0)


def test_without_a_lock_there_is_no_guard(tmp_path: Path) -> None:
    """A directory that never had a guard has none."""
    watch = GuardWatch(tmp_path / "guard.lock", orphan_s=1.0)

    assert not watch.is_orphaned(0.0)
    assert watch.is_orphaned(1.0)


class OneGuard:
    """A watch that says what it is told to."""

    def __init__(self) -> None:
        self.is_lost = False

    def is_orphaned(self, now_s: float) -> bool:
        return self.is_lost


def instructions(path: Path, guard: OneGuard, *, is_firm: bool = False) -> Instructions:
    """The instructions of an attempt in `path`."""
    return Instructions(AttemptFiles(path), cast("GuardWatch", guard), is_firm=is_firm)


def test_nothing_runs_without_a_word(tmp_path: Path) -> None:
    """Until the guard has said anything the attempt is held."""
    assert instructions(tmp_path, OneGuard()).wanted().phase is Phase.SUSPEND


def test_only_a_later_word_counts(tmp_path: Path) -> None:
    """An older instruction that turns up again changes nothing."""
    files = AttemptFiles(tmp_path)
    said = instructions(tmp_path, OneGuard())
    for seq, phase in ((2, Phase.RUN), (1, Phase.KILL)):
        files.write_instruction(Instruction(seq=seq, phase=phase))
        said.read()

    assert said.wanted().phase is Phase.RUN


def test_without_a_guard_what_it_said_does_not_let_a_job_run(tmp_path: Path) -> None:
    """A lost guard suspends; only a new word lets the job go on, also if the guard is seen before that."""
    files, guard = AttemptFiles(tmp_path), OneGuard()
    said, firm = instructions(tmp_path, guard), instructions(tmp_path, guard, is_firm=True)
    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    for each in (said, firm):
        each.look(0.0)
    guard.is_lost = True
    for each in (said, firm):
        each.look(5.0)

    assert said.wanted().phase is Phase.SUSPEND
    assert firm.wanted().phase is Phase.RUN
    guard.is_lost = False
    said.look(10.0)
    assert said.wanted().phase is Phase.SUSPEND
    files.write_instruction(Instruction(seq=2, phase=Phase.RUN))
    said.look(15.0)
    assert said.wanted().phase is Phase.RUN


def test_a_host_that_goes_down_saves_first(tmp_path: Path) -> None:
    """SIGTERM to the supervisor means save and exit, and nothing takes that back but a kill."""
    files = AttemptFiles(tmp_path)
    said = instructions(tmp_path, OneGuard())
    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    said.read()
    said.shut_down()
    assert said.wanted().phase is Phase.SAVE_EXIT

    files.write_instruction(Instruction(seq=2, phase=Phase.KILL))
    said.read()
    assert said.wanted().phase is Phase.KILL


def test_nonsense_of_the_guard_changes_nothing(tmp_path: Path) -> None:
    """A word that makes no sense is logged, and the one before stands."""
    files = AttemptFiles(tmp_path)
    said = instructions(tmp_path, OneGuard())
    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    said.read()
    (tmp_path / "desired.json").write_text("run!")
    said.read()

    assert said.wanted().phase is Phase.RUN
