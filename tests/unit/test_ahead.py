"""A request to hold that lies ready: whoever takes it has it, and the supervisor alone writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from barq.contract import Action, JobPhase, JobStatus, PauseRequest, read_pause_request, write_pause_request
from scheduler.core.jobs import Phase
from workers.ahead import NEXT_FILE, SETTLED_S, Ahead, hold_at_once
from workers.attempt_files import Instruction
from workers.cadence import TICK_HELD_S, TICK_INSPECTING_S, TICK_S, rest_s
from workers.instructions import LOOK_EVERY_S
from workers.ladder import Ladder, Sight
from workers.processes import ProcessId, identify
from workers.stages import Stage

RUN = Instruction(seq=1, phase=Phase.RUN)
RUNNING = JobStatus(seq=0, state=JobPhase.RUNNING, step=1)
MINDS = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('heard', flush=True));"
WAITS = "print('up', flush=True); [signal.pause() for _ in range(2)]"


class Job:
    """A process, by what it prints."""

    def __init__(self, program: str) -> None:
        command = [sys.executable, "-c", f"import subprocess; {program}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.next_word() == "up"
        found = identify(self._process.pid)
        assert found is not None
        self.id: ProcessId = found

    def next_word(self) -> str:
        """Waits for it."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def job() -> Iterator[Job]:
    """A job that minds the signal."""
    job = Job(f"{MINDS} {WAITS}")
    yield job
    job.end()


@pytest.fixture
def ladder() -> Ladder:
    """One on which nothing was asked."""
    return Ladder(patience_s=5.0, grace_s=20.0)


def laid(directory: Path, ladder: Ladder) -> Ahead:
    """The supervisor's end, with a request."""
    ahead = Ahead(directory)
    ahead.lay(ladder, RUN, RUNNING, settled_s=0.0, now_s=SETTLED_S)
    assert (directory / NEXT_FILE).exists()
    return ahead


def test_the_guard_puts_it_in_force(tmp_path: Path, ladder: Ladder, job: Job) -> None:
    """The job hears of it at once; its supervisor finds out, and counts on from there."""
    ahead = laid(tmp_path, ladder)
    assert not ahead.learn(ladder, 2.0)
    assert not ladder.is_held

    assert hold_at_once(tmp_path, job.id)
    assert job.next_word() == "heard"
    request = read_pause_request(tmp_path)
    assert request is not None
    assert (request.seq, request.action, request.rung) == (1, Action.SUSPEND, 1)
    assert ahead.learn(ladder, 2.0)
    assert (ladder.is_held, ladder.asked, ladder.asked_at_s) == (True, request, 2.0)
    assert not hold_at_once(tmp_path, job.id)

    held = JobStatus(seq=1, state=JobPhase.SUSPENDED, step=1)
    assert ladder.climb(Instruction(seq=2, phase=Phase.SUSPEND), Sight(now_boottime_s=3.0, status=held)) == []
    [resume] = ladder.climb(RUN, Sight(now_boottime_s=4.0, status=held))
    assert isinstance(resume, PauseRequest)
    assert (resume.seq, write_pause_request(tmp_path, resume)) == (2, resume)


def test_what_the_supervisor_took_back_the_guard_does_not_find(
    tmp_path: Path, ladder: Ladder, job: Job
) -> None:
    """Then the supervisor's own request stands alone, and its number is a later one."""
    ahead = laid(tmp_path, ladder)
    ahead.take_back()

    assert not hold_at_once(tmp_path, job.id)
    assert read_pause_request(tmp_path) is None
    assert not ahead.learn(ladder, 2.0)
    leave = ladder.climb(Instruction(seq=2, phase=Phase.SAVE_EXIT), Sight(now_boottime_s=3.0))[0]
    assert isinstance(leave, PauseRequest)
    assert leave.seq == 2


def test_what_the_guard_took_is_overruled_by_the_next_request(
    tmp_path: Path, ladder: Ladder, job: Job
) -> None:
    """If it came between the supervisor's look and its request."""
    ahead = laid(tmp_path, ladder)
    [leave, *_] = ladder.climb(Instruction(seq=2, phase=Phase.SAVE_EXIT), Sight(now_boottime_s=3.0))
    assert hold_at_once(tmp_path, job.id)
    ahead.take_back()

    assert isinstance(leave, PauseRequest)
    assert write_pause_request(tmp_path, leave) == leave
    assert read_pause_request(tmp_path) == leave


@pytest.mark.parametrize(
    "program",
    [f"import signal; {WAITS}", f"{MINDS} subprocess.Popen(['sleep', '60'], stdout=2); {WAITS}"],
    ids=["does not mind", "is not alone"],
)
def test_a_signal_that_might_end_work_is_left_to_the_supervisor(
    tmp_path: Path, ladder: Ladder, program: str
) -> None:
    """The guard touches nothing then."""
    laid(tmp_path, ladder)
    job = Job(program)
    try:
        assert not hold_at_once(tmp_path, job.id)
        assert (tmp_path / NEXT_FILE).exists()
    finally:
        job.end()


def test_it_is_written_for_a_job_that_runs_and_speaks(tmp_path: Path, ladder: Ladder) -> None:
    """Not before it settled, not for one that is to hold, or that never said anything."""
    ahead = Ahead(tmp_path)
    ahead.lay(ladder, RUN, None, settled_s=0.0, now_s=9.0)
    ahead.lay(ladder, RUN, RUNNING, settled_s=8.5, now_s=9.0)
    ahead.lay(ladder, Instruction(seq=2, phase=Phase.SUSPEND), RUNNING, settled_s=0.0, now_s=9.0)
    ladder.climb(Instruction(seq=2, phase=Phase.SUSPEND), Sight(now_boottime_s=0.0, status=RUNNING))
    ahead.lay(ladder, RUN, RUNNING, settled_s=0.0, now_s=9.0)

    assert list(tmp_path.iterdir()) == []


def test_a_supervisor_rests_as_long_as_nothing_can_be_missed(ladder: Ladder) -> None:
    """The time of patience, and of a deadline, is kept whether or not the job rings."""

    def rests(silent_s: float | None, status: JobStatus | None = RUNNING, *, owes: bool = False) -> float:
        return rest_s(Stage.RUNNING, ladder, status, silent_s=silent_s, owes=owes, now_boottime_s=10.0)

    assert (rests(None), rests(1.0), rests(0.02)) == (TICK_S, LOOK_EVERY_S, 0.02)
    assert (rests(1.0, None), rests(1.0, owes=True)) == (TICK_S, TICK_S)
    hold = Instruction(seq=1, phase=Phase.SUSPEND)
    ladder.climb(hold, Sight(now_boottime_s=10.0, status=RUNNING))
    assert rests(1.0) == TICK_S
    assert rests(None) < TICK_S
    assert rests(1.0, JobStatus(seq=1, state=JobPhase.SUSPENDED, step=1)) == TICK_HELD_S
    ladder.climb(Instruction(seq=2, phase=Phase.SAVE_EXIT), Sight(now_boottime_s=10.0, status=RUNNING))
    assert rests(1.0) == TICK_S
    inspecting = rest_s(Stage.INSPECTING, ladder, RUNNING, silent_s=1.0, owes=False, now_boottime_s=10.0)
    assert inspecting == TICK_INSPECTING_S
