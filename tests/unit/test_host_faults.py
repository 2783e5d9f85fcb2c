"""A machine that cannot start an attempt: that is told as a fault of its own, and no job pays for it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptFacts, AttemptOrder, Observed
from tests.guarding import node
from workers.attempt_files import AttemptFiles, Instruction, Launching
from workers.attempts import Attempts, Surroundings
from workers.forkserver import ForkFailed, ForkServer
from workers.gpu.port import GpuDriver
from workers.group_config import GroupConfig
from workers.host_faults import in_the_way, is_of_the_host


class _Exhausted:
    """The fork server of a host that takes no more processes."""

    def start(self, attempt: Path) -> int:
        """None can be had."""
        raise ForkFailed(f"[Errno {errno.EAGAIN}] {os.strerror(errno.EAGAIN)}: {attempt.name}")


def order(tmp_path: Path) -> AttemptOrder:
    """An attempt of a job that needs one GPU."""
    launch = Launch(
        command=("true",),
        working_dir=str(tmp_path),
        checkpoint_dir=str(tmp_path / "checkpoints"),
        log_path=str(tmp_path / "job.log"),
        output_dir=str(tmp_path),
    )
    return AttemptOrder(
        attempt_id="a-1.1",
        job_id="a-1",
        number=1,
        phase=Phase.RUN,
        gpu_ids=("g0",),
        cap_w=300.0,
        tier=4,
        launch=launch,
    )


_LAST_WORDS = """
import errno, os, sys
from pathlib import Path
from workers.attempt_files import AttemptFiles
from workers.job_process import JobProcess
from workers.supervisor import Supervisor

def refuse(*_, **__):
    raise OSError(int(sys.argv[2]), os.strerror(int(sys.argv[2])))

JobProcess.start = refuse
files = AttemptFiles(Path(sys.argv[1]))
Supervisor(files, files.read_launching()).run()
"""


def last_facts(tmp_path: Path, number: int) -> AttemptFacts:
    """What a supervisor leaves whose host refused the job with an error."""
    files = AttemptFiles(tmp_path / "a-1.1")
    launching = Launching(
        order=order(tmp_path), guard_lock=str(tmp_path / "lock"), orphan_s=60.0, suspend_patience_s=1.0
    )
    files.create(launching)
    files.write_instruction(Instruction(seq=1, phase=Phase.RUN))
    subprocess.run([sys.executable, "-c", _LAST_WORDS, str(files.path), str(number)], check=True, timeout=60)
    facts = files.read_facts()
    assert facts is not None
    return facts.facts


def test_a_host_that_takes_no_more_processes_is_at_fault_itself(tmp_path: Path) -> None:
    """The attempt ended as one that may go well at another time: that spends no retry."""
    attempts = Attempts(
        Surroundings(
            directory=tmp_path / "attempts",
            guard_lock=tmp_path / "lock",
            config=GroupConfig(spec=node()),
            fork_server=cast("ForkServer", _Exhausted()),
            gpus=cast("GpuDriver", None),
        )
    )
    attempts.adopt()
    attempts.start(order(tmp_path))

    (facts,) = attempts.facts([])
    assert (facts.observed, facts.exit_code) == (Observed.ENDED, os.EX_TEMPFAIL)
    assert "Resource temporarily unavailable" in str(facts.launch_error)


@pytest.mark.parametrize(
    "error, expected",
    [
        (OSError(errno.EMFILE, "too many open files"), True),
        (OSError(errno.ENOSPC, "no space left"), True),
        (FileNotFoundError(errno.ENOENT, "no such file"), False),
        (OSError(errno.EROFS, "a folder that cannot be written"), False),
        (PermissionError(errno.EACCES, "denied"), False),
        (OSError(errno.E2BIG, "argument list too long"), False),
        (ValueError("a NUL byte"), False),
    ],
)
def test_want_of_room_is_the_hosts_and_a_wrong_command_is_the_jobs(
    error: Exception, *, expected: bool
) -> None:
    """Only what another time or node can mend is of the host."""
    assert is_of_the_host(error) is expected


@pytest.mark.parametrize("number, exit_code", [(errno.EMFILE, os.EX_TEMPFAIL), (errno.ENOENT, None)])
def test_a_supervisor_tells_a_fault_of_the_host_from_one_of_the_job(
    tmp_path: Path, number: int, exit_code: int | None
) -> None:
    """Out of descriptors is a reason to try again; no such program is not."""
    facts = last_facts(tmp_path, number)

    assert (facts.observed, facts.exit_code) == (Observed.ENDED, exit_code)
    assert os.strerror(number) in str(facts.launch_error)


@pytest.mark.parametrize(
    "error, words",
    [
        (FileNotFoundError(2, "No such file or directory", "nosuch"), "there is no nosuch on this node"),
        (PermissionError(13, "Permission denied", "/etc/passwd"), "/etc/passwd: Permission denied"),
        (OSError(7, "Argument list too long"), "Argument list too long"),
        (ValueError("embedded null byte"), "embedded null byte"),
    ],
)
def test_what_is_in_the_way_of_a_program_is_told_in_words(error: Exception, words: str) -> None:
    """A mistyped command is the most usual mistake of all."""
    assert in_the_way(error) == words
