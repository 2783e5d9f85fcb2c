"""The supervisor: one process per attempt per node, which outlives its guard and is outlived by nothing of its job.

It has a session of its own, inherits every orphan of the job, and runs one loop over signals, the job's output and a
tick. It starts the job, moves it along the pause ladder as the guard wants, clears away what the job leaves behind,
verifies what was committed, and leaves the facts. If its own life ends, the kernel ends the job's first process, and
the guard the rest.

A job is never trusted: what it says is a claim, commits count once they verified, and nonsense is noted.
Without a guard for `orphan_s`, a job above tier 0 is suspended until a guard says otherwise.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import assert_never

from barq.contract import Action, JobPhase, PauseRequest, write_pause_request
from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptFacts, Observed
from workers.attempt_files import AttemptFiles, Claim, FactsFile, Launching
from workers.clock import boot_id, boottime_s
from workers.commits import Commits
from workers.instructions import Instructions
from workers.job_environment import job_environment
from workers.job_log import JobLog
from workers.job_process import JobProcess
from workers.ladder import Act, Ladder, Sight
from workers.oom import oom_kills
from workers.parenthood import adopt_orphans
from workers.processes import identify
from workers.watches import ComputingWatch, GuardWatch, StatusWatch

log = logging.getLogger("barq.supervisor")

TICK_S = 0.2
TICK_SOON_S = 0.04  #: while an answer of the job is due, at first
TICK_CLEARING_S = 0.01
PROGRESS_EVERY_S = 0.5
NICE_AFTERWARDS = 5  #: jobs that still save and leave come before the books of one that has left
_CHUNK_BYTES = 65536
_CHUNKS_AT_ONCE = 32


class Stage(Enum):
    """How far the attempt is."""

    CHECKING = auto()  #: looking for the commit to resume from; held here while it must not run
    RUNNING = auto()
    CLEARING = auto()  #: the first process ended, others may be left
    INSPECTING = auto()  #: looking for the newest commit
    ENDED = auto()  #: the final facts are still to be written
    OVER = auto()


def supervise(path: Path) -> None:
    """Look after the attempt in `path` until it is over; nothing if somebody ever did so before."""
    files = AttemptFiles(path)
    own = identify(os.getpid())
    if own is None or not files.claim(Claim(process=own, boot_id=boot_id())):
        return
    launching = files.read_launching()
    if launching is None:
        raise FileNotFoundError(
            f"{path}/launch.json is missing; the guard writes it before it starts a supervisor"
        )
    adopt_orphans()
    Supervisor(files, launching).run()


class Supervisor:
    """Looks after one attempt."""

    def __init__(self, files: AttemptFiles, launching: Launching) -> None:
        order = launching.order
        self._files = files
        self._launching = launching
        self._selector = selectors.DefaultSelector()
        self._instructions = Instructions(
            files, GuardWatch(Path(launching.guard_lock), launching.orphan_s), is_firm=order.tier == 0
        )
        self._ladder = Ladder(patience_s=launching.suspend_patience_s, grace_s=order.launch.grace_s)
        self._job = JobProcess()
        self._said = StatusWatch(files.status_dir)
        self._computing = ComputingWatch(self._job)
        self._commits = Commits(Path(order.launch.checkpoint_dir), self._selector)
        self._log = JobLog(Path(order.launch.log_path))
        self._output: int | None = None
        self._stage = Stage.CHECKING
        self._started_at_s = 0.0
        self._resumed_step: int | None = None
        self._launch_error: str | None = None
        self._oom_before: int | None = None
        self._was_terminated = False
        self._published: FactsFile | None = None
        self._published_at_s = 0.0

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Return when the attempt is over and its final facts are on the disk."""
        self._listen()
        self._instructions.read()
        self._commits.look_for_newest()
        while True:
            self._tick()
            self._publish()
            if self._stage is Stage.OVER:
                return
            for key, _ in self._selector.select(self._tick_s()):
                key.data()

    def _listen(self) -> None:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGTERM):
            signal.signal(signum, lambda *_: None)
        self._selector.register(
            reader, selectors.EVENT_READ, lambda: self._on_signals(os.read(reader, _CHUNK_BYTES))
        )

    def _on_signals(self, received: bytes) -> None:
        if signal.SIGTERM in received:
            self._instructions.shut_down()
        if signal.SIGUSR1 in received:
            self._instructions.read()

    def _tick_s(self) -> float:
        if self._stage is Stage.CLEARING:
            return TICK_CLEARING_S
        is_due = self._ladder.is_held and not self._ladder.holds(self._said.status)
        if not (is_due or self._ladder.is_leaving):
            return TICK_S
        waited_s = boottime_s() - self._ladder.asked_at_s  # a host that is busy is not asked ever more often
        return min(TICK_S, max(TICK_SOON_S, waited_s / 2))

    def _tick(self) -> None:
        self._job.reap()
        self._instructions.look(boottime_s())
        self._said.look()
        match self._stage:
            case Stage.CHECKING:
                self._tick_checking()
            case Stage.RUNNING:
                self._tick_running()
            case Stage.CLEARING:
                self._tick_clearing()
            case Stage.INSPECTING:
                self._stage = Stage.INSPECTING if self._commits.is_looking else Stage.ENDED
            case Stage.ENDED | Stage.OVER:
                pass
            case _:
                assert_never(self._stage)

    # --- stages --------------------------------------------------------------------------------------------------

    def _tick_checking(self) -> None:
        wanted = self._instructions.wanted().phase
        if wanted in (Phase.SAVE_EXIT, Phase.KILL):
            self._climb()
        if self._commits.is_looking and not self._ladder.is_killed:
            return
        if self._ladder.is_leaving:
            self._stage = Stage.ENDED
        elif wanted is Phase.RUN:
            self._launch()

    def _launch(self) -> None:
        self._oom_before = oom_kills()
        self._resumed_step = self._commits.newest.step or 0
        output, job_output = os.pipe2(os.O_CLOEXEC)
        try:
            self._start(job_output)
        except (OSError, ValueError) as error:  # ValueError: a NUL byte where none may be
            self._launch_error = f"{' '.join(self._launching.order.launch.command)[:200]}: {error}"
            log.warning("cannot start: %s", self._launch_error)
            self._stage = Stage.ENDED
        else:
            self._stage = Stage.RUNNING
        finally:
            os.close(job_output)
        os.set_blocking(output, False)
        self._output = output
        self._selector.register(output, selectors.EVENT_READ, self._read_output)

    def _start(self, output: int) -> None:
        launch = self._launching.order.launch
        for directory in (launch.output_dir, launch.checkpoint_dir):
            Path(directory).mkdir(parents=True, exist_ok=True)
        resume_from = self._commits.newest.path or ""
        self._job.start(
            launch.command,
            working_dir=launch.working_dir,
            environment=job_environment(self._launching, self._files, resume_from=resume_from),
            output=output,
            nice=self._launching.nice,
        )
        self._started_at_s = boottime_s()

    def _tick_running(self) -> None:
        status = self._said.status
        if status is not None and status.commit is not None and not self._ladder.is_leaving:
            self._commits.check(
                status.commit
            )  # of one that leaves, once it has: it may need the CPU for that
        self._climb()
        if self._ladder.is_killed:
            self._job.kill()
        if self._job.is_over:
            os.nice(NICE_AFTERWARDS)
            self._stage = Stage.CLEARING
            self._tick_clearing()

    def _tick_clearing(self) -> None:
        """What a job without the contract leaves behind has what is left of its grace; all else ends at once."""
        self._climb()
        has_grace = self._said.status is None and self._ladder.grace_left_s(boottime_s()) > 0
        if has_grace and self._job.members():
            if not self._was_terminated:
                self._was_terminated = True
                self._job.terminate()
        elif self._job.kill():
            self._read_output()
            self._stage = Stage.INSPECTING
            self._commits.look_for_newest()

    # --- the ladder ----------------------------------------------------------------------------------------------

    def _climb(self) -> None:
        now_s = boottime_s()
        steps = self._ladder.climb(self._instructions.wanted(), self._sight(now_s))
        for step in steps:
            if isinstance(step, PauseRequest):
                if not self._ask(step):
                    return
            else:
                self._act(step)
        if steps:
            log.info("%s", ", ".join(map(str, steps)))

    def _sight(self, now_s: float) -> Sight:
        holds = self._ladder.holds(self._said.status) and not self._ladder.is_frozen
        if not holds:
            self._computing.rest()
        is_computing = holds and self._computing.is_computing(now_s)
        return Sight(now_boottime_s=now_s, status=self._said.status, is_computing=is_computing)

    def _ask(self, request: PauseRequest) -> bool:
        """Put the request where the job finds it. If the disk refuses, a job that should hold is frozen instead."""
        try:
            write_pause_request(self._files.control_dir, request)
        except OSError:
            log.exception("the request cannot be written; free some disk space")
            if request.action is Action.SUSPEND:
                self._ladder.is_frozen = True
                self._job.freeze()
                return False
        return True

    def _act(self, act: Act) -> None:
        match act:
            case Act.SIGNAL:
                self._job.ask(is_contract=self._said.status is not None, is_gentle=self._ladder.is_held)
            case Act.FREEZE:
                self._job.freeze()
            case Act.THAW:
                self._job.thaw()
            case Act.KILL:
                self._job.kill()
            case _:
                assert_never(act)

    # --- output and facts ----------------------------------------------------------------------------------------

    def _read_output(self) -> None:
        """Move what the job has printed to its log; no more at a time than a full pipe holds, and then some."""
        for _ in range(_CHUNKS_AT_ONCE):
            if self._output is None:
                return
            try:
                data = os.read(self._output, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if data:
                self._log.write(data)
            else:
                self._selector.unregister(self._output)
                os.close(self._output)
                self._output = None

    def _publish(self) -> None:
        """Leave the facts: at once when anything changed, now and then if it is only the step, or what was asked."""
        facts = self._facts()
        now_s = boottime_s()
        if facts == self._published or (
            self._is_progress(facts) and now_s - self._published_at_s < PROGRESS_EVERY_S
        ):
            return
        try:
            self._files.write_facts(facts)
        except OSError:
            log.exception("the facts cannot be written and will be tried again; free some disk space")
            return
        self._published, self._published_at_s = facts, now_s
        if facts.is_final:
            self._stage = Stage.OVER

    def _is_progress(self, facts: FactsFile) -> bool:
        if self._published is None:
            return False
        told, now = self._published.facts, facts.facts
        return replace(self._published, facts=replace(told, step=now.step, pause_seq=now.pause_seq)) == facts

    def _facts(self) -> FactsFile:
        status, newest = self._said.status, self._commits.newest
        oom_now = oom_kills() if self._job.signal == signal.SIGKILL else None
        facts = AttemptFacts(
            attempt_id=self._launching.order.attempt_id,
            observed=self._observed(),
            step=None if status is None else status.step,
            committed_step=newest.step,
            committed_path=newest.path,
            resumed_step=self._resumed_step,
            save_s=None if status is None else status.save_s,
            quarantined=self._commits.quarantined,
            pause_seq=0 if self._ladder.asked is None else self._ladder.asked.seq,
            asked_to_exit=self._ladder.was_asked_to_exit,
            says_done=status is not None and status.state is JobPhase.DONE,
            killed=self._ladder.is_killed,
            exit_code=self._job.exit_code,
            signal=self._job.signal,
            oom_killed=oom_now is not None and self._oom_before is not None and oom_now > self._oom_before,
            launch_error=self._launch_error,
        )
        notes = () if self._said.complaint is None else (self._said.complaint,)
        return FactsFile(facts=facts, job=self._job.main, notes=notes, is_final=self._stage is Stage.ENDED)

    def _observed(self) -> Observed:
        match self._stage:
            case Stage.CHECKING:
                is_held = self._instructions.wanted().phase is Phase.SUSPEND
                return Observed.SUSPENDED if is_held else Observed.STARTING
            case Stage.RUNNING:
                return self._observed_running()
            case Stage.CLEARING | Stage.INSPECTING:
                return Observed.SAVING
            case Stage.ENDED | Stage.OVER:
                return Observed.ENDED
            case _:
                assert_never(self._stage)

    def _observed_running(self) -> Observed:
        if self._ladder.is_leaving:
            return Observed.SAVING
        if self._ladder.holds(self._said.status):
            return Observed.SUSPENDED
        is_old = boottime_s() - self._started_at_s >= self._launching.legacy_after_s
        return Observed.RUNNING if is_old or self._said.status is not None else Observed.STARTING
