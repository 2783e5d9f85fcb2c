"""What a supervisor does as it starts a job, done once without a job and without a trace, so that it is quick later.

What Python runs for the first time in a process it looks up, builds, and writes into pages that a fork shares: the
kernel copies each of them then. A fork server rehearses so that its children find things looked up and built; a
supervisor that waits for an attempt rehearses so that the pages are its own before anybody waits for it.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from barq.contract import Action, JobPhase, JobStatus, PauseRequest
from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import AttemptFacts, AttemptOrder, Observed
from workers.attempt_files import AttemptFiles, Claim, FactsFile, Instruction, Launching
from workers.clock import boot_id
from workers.inspection import Findings, look
from workers.job_environment import job_environment
from workers.job_process import handles_term
from workers.oom import oom_kills
from workers.prepared import Collected, Prepared
from workers.processes import ProcessId, identify
from workers.supervisor import Supervisor
from workers.wire import adapter, decode, encode

_NOBODY: Final = ProcessId(pid=0, start=0)
NOWHERE: Final = Path("/nonexistent/barq/attempts/rehearsal")  #: nothing is ever found there, or made


def rehearse() -> None:
    """Go through it, without a word. Only in a process whose children, if any, are in its own session."""
    logging.disable()
    try:
        files, launching = rehearse_words()
        job_environment(launching, files, resume_from="")
        Supervisor(files, launching).rehearse()
        look(NOWHERE)
        handles_term(os.getpid())
    finally:
        logging.disable(logging.NOTSET)


def rehearse_words() -> tuple[AttemptFiles, Launching]:
    """The part of it that a guard has in common with its supervisors: what they and the job tell each other."""
    for kind in (Claim, Collected, FactsFile, Findings, Instruction, Launching, Prepared):
        adapter(kind)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # nobody reads who said it
    oom_kills()
    files, launching = AttemptFiles(NOWHERE), decode(Launching, encode(_launching()))
    _say(files, launching)
    return files, launching


def _launching() -> Launching:
    where = str(NOWHERE)
    launch = Launch(
        command=("true",), working_dir=where, checkpoint_dir=where, output_dir=where, log_path=f"{where}/log"
    )
    order = AttemptOrder(
        attempt_id="rehearsal.1",
        job_id="rehearsal",
        number=1,
        phase=Phase.RUN,
        gpu_ids=("0",),
        cap_w=0.0,
        tier=4,
        launch=launch,
    )
    return Launching(
        order=order,
        guard_lock=f"{where}/guard.lock",
        orphan_s=1.0,
        suspend_patience_s=1.0,
        visible_devices="0",
    )


def _say(files: AttemptFiles, launching: Launching) -> None:
    """There and back, as far as that goes without a file."""
    own = identify(os.getpid())
    facts = AttemptFacts(attempt_id=launching.order.attempt_id, observed=Observed.STARTING)
    with suppress(OSError):
        files.write_facts(FactsFile(facts=replace(facts, step=1), job=own))
    with suppress(OSError):
        files.claim(Claim(process=own or _NOBODY, boot_id=boot_id()))
    decode(Instruction, encode(Instruction(seq=1, phase=Phase.RUN)))
    JobStatus.from_json(JobStatus(seq=0, state=JobPhase.RUNNING, step=1).to_json())
    asked = PauseRequest(seq=1, action=Action.SUSPEND, deadline_boottime_s=None, reason="", rung=1)
    PauseRequest.from_json(asked.to_json())
