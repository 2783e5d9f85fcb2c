"""A request to hold, written ahead by the supervisor, that its guard puts in force: all jobs of a node in one go.

    .next.json    beside pause.json. Whoever takes the name away has the request: the guard, who makes it pause.json, or
                  the supervisor, who takes it back before it asks for anything else

So the supervisor alone writes requests, each number is given once, and a later one of its own replaces whatever the
guard delivered. The guard leaves its instruction before it takes the request: a supervisor that finds the name gone
finds the instruction there.
"""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from barq.contract import PAUSE_FILE, JobStatus, PauseRequest, write_in_turn
from scheduler.core.jobs import Phase
from workers.attempt_files import Instruction
from workers.job_process import handles_term
from workers.ladder import Ladder
from workers.processes import ProcessId, family, send

NEXT_FILE = ".next.json"
SETTLED_S = 1.0  #: after it started or went on, there are other things to do

log = logging.getLogger("barq.supervisor")


class Ahead:
    """The supervisor's end."""

    def __init__(self, control_dir: Path) -> None:
        self._pause = f"{control_dir}/{PAUSE_FILE}"
        self._next = f"{control_dir}/{NEXT_FILE}"
        self._laid: PauseRequest | None = None

    def lay(
        self, ladder: Ladder, wanted: Instruction, status: JobStatus | None, *, settled_s: float, now_s: float
    ) -> None:
        """Write the request to hold, for a job that speaks, runs and shall run since `settled_s`. None is no harm."""
        if self._laid is not None or ladder.is_held or ladder.is_leaving or wanted.phase is not Phase.RUN:
            return
        if status is None or now_s - max(settled_s, ladder.asked_at_s) < SETTLED_S:
            return
        request = ladder.ahead("the node holds its jobs: `barq show` of this job says why")
        try:
            write_in_turn(self._pause, request.to_json().encode(), under=self._next)
        except OSError:
            log.exception("no request can be written ahead; free some disk space")
            return
        self._laid = request

    def learn(self, ladder: Ladder, now_s: float) -> bool:
        """See whether the guard has put it in force just now. It has left word why before it did."""
        if self._laid is None or os.access(self._next, os.F_OK):
            return False
        log.info("asked to hold by the guard itself")
        ladder.was_asked(self._laid, now_s)
        self._laid = None
        return True

    def take_back(self) -> None:
        """Leave nothing for the guard; what it took a moment ago is overruled by what is asked next."""
        if self._laid is not None:
            self._laid = None
            Path(self._next).unlink(missing_ok=True)


def hold_at_once(control_dir: Path, job: ProcessId) -> bool:
    """The guard's end: put the request in force, if one lies there and the job is one process that minds the signal."""
    if family(job.pid) != {job.pid} or not handles_term(job.pid):
        return False
    try:
        (control_dir / NEXT_FILE).replace(control_dir / PAUSE_FILE)
    except OSError:
        return False
    return send(job, signal.SIGTERM)
