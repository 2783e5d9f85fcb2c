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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import assert_never

from barq.contract import PAUSE_FILE, Action, JobPhase, PauseRequest, write_pause_request
from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptFacts, Observed
from workers.ahead import Ahead
from workers.attempt_files import AttemptFiles, FactsFile, Launching
from workers.cadence import rest_s
from workers.clock import boottime_s
from workers.collecting import Collecting
from workers.commits import Commits
from workers.courtesy import Courtesy
from workers.host_faults import in_the_way, is_of_the_host
from workers.instructions import Instructions
from workers.job_environment import job_environment
from workers.job_log import JobLog
from workers.job_output import JobOutput
from workers.job_process import JobProcess
from workers.ladder import Act, Ladder, Sight
from workers.oom import OomWatch
from workers.prepared import (
    COLLECT,
    PREPARE,
    Prepared,
    check_working_dir,
    make_directories,
    read_collected,
    read_doing,
    read_prepared,
    start_beside,
)
from workers.publishing import Publisher
from workers.reminding import Reminding, first_share
from workers.stages import Stage
from workers.starter import Starter
from workers.wakeups import Wakeups
from workers.watches import Bell, ComputingWatch, GuardWatch, StatusWatch

log = logging.getLogger("barq.supervisor")

NICE_AFTERWARDS = 10  #: jobs that still save and leave come before the books of one that has left


class Supervisor:
    """Looks after one attempt."""

    def __init__(self, files: AttemptFiles, launching: Launching, starter: Starter | None = None) -> None:
        order = launching.order
        self._files = files
        self._launching = launching
        self._selector = selectors.DefaultSelector()
        self._instructions = Instructions(
            files, GuardWatch(Path(launching.guard_lock), launching.orphan_s), is_firm=order.tier == 0
        )
        self._ladder = self._new_ladder()
        self._ahead = Ahead(files.control_dir)
        self._job = JobProcess(starter)
        self._beside: JobProcess | None = None  #: preparing, or collecting
        self._is_to_prepare = order.launch.needs_preparation
        self._prepared = Prepared(working_dir=order.launch.working_dir)
        self._outputs = Collecting(order)
        self._said = StatusWatch(files.status_dir)
        self._computing = ComputingWatch(self._job)
        self._reminding = Reminding(first_share(order.attempt_id))
        self._commits = Commits(Path(order.launch.checkpoint_dir), self._selector)
        self._output = JobOutput(JobLog(Path(order.launch.log_path)), self._selector)
        self._stage = Stage.CHECKING
        self._started_at_s = 0.0
        self._resumed_step: int | None = None
        self._launch_error: str | None = None
        self._is_hosts_fault = False  #: that it could not be started
        self._was_terminated = self._is_looked_through = False
        self._oom, self._courtesy = OomWatch(), Courtesy()
        self._wakeups = Wakeups(
            self._selector,
            {
                signal.SIGTERM: self._instructions.shut_down,
                signal.SIGUSR1: self._instructions.read,
                signal.SIGIO: self._said.hear_bell,
                signal.SIGCHLD: lambda: None,  # each tick buries who has ended
            },
        )
        self._publisher = Publisher(files)

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Return when the attempt is over and its final facts are on the disk."""
        self._wakeups.listen()
        self._commits.look_for_newest()
        while True:
            self._tick()
            if self._publisher.publish(self._facts()):
                return
            # What a job says can wait a moment: others may just be told to hold.
            self._wakeups.wait(self._rest_s(), unhurried=signal.SIGIO, gather_s=Bell.EVERY_S)

    def rehearse(self) -> None:
        """Look around for an attempt of which nothing is there, and leave it. Nobody wants it to run: nothing does."""
        for told in (self._instructions.read, self._instructions.shut_down):
            told()
            self._tick()
            self._rest_s()
            self._facts()
        self._selector.close()

    def _rest_s(self) -> float:
        said, owes, now_s = self._said, self._publisher.owes, boottime_s()
        stage, ladder, silent_s = self._stage, self._ladder, said.silent_s
        return rest_s(stage, ladder, said.status, silent_s=silent_s, owes=owes, now_boottime_s=now_s)

    def _tick(self) -> None:
        self._living.reap()
        self._instructions.look(boottime_s())
        self._said.look()
        match self._stage:
            case Stage.CHECKING:
                self._tick_checking()
            case Stage.PREPARING:
                self._tick_preparing()
            case Stage.RUNNING:
                self._tick_running()
            case Stage.CLEARING:
                self._tick_clearing()
            case Stage.INSPECTING:
                self._tick_inspecting()
            case Stage.COLLECTING:
                self._tick_collecting()
            case Stage.ENDED:
                pass
            case _:
                assert_never(self._stage)

    # --- stages --------------------------------------------------------------------------------------------------

    def _tick_checking(self) -> None:
        wanted = self._instructions.wanted().phase
        if wanted in (Phase.SAVE_EXIT, Phase.KILL):
            self._climb()
        if self._ladder.is_killed or (self._ladder.is_leaving and not self._commits.is_looking):
            self._stage = Stage.ENDED
        elif self._ladder.is_leaving or not self._commits.is_settled(boottime_s()):
            return
        elif wanted is Phase.RUN and self._is_to_prepare:
            self._launch_error = self._enter(Stage.PREPARING, partial(self._start_beside, PREPARE))
        elif wanted is Phase.RUN:
            self._oom.begin()
            self._launch_error = self._enter(Stage.RUNNING, self._start)

    def _tick_preparing(self) -> None:
        """Moved along the ladder like a job: frozen to suspend it, ended to pause it."""
        self._climb()
        if not self._is_beside_over(is_unwanted=self._ladder.is_killed):
            return
        self._prepared, self._is_to_prepare = read_prepared(self._files), False
        if self._ladder.is_leaving:
            self._stage = Stage.ENDED
        elif self._prepared.error is not None:
            self._launch_error, self._stage = self._prepared.error, Stage.ENDED
            self._is_hosts_fault = self._prepared.is_hosts_fault
        else:  # the job itself was never asked anything
            (self._files.control_dir / PAUSE_FILE).unlink(missing_ok=True)
            self._ladder, self._stage = self._new_ladder(), Stage.CHECKING

    def _enter(self, stage: Stage, start: Callable[[int], None]) -> str | None:
        """Go on to `stage` once `start` has started a process that prints to the descriptor it is given.

        If it cannot be started the attempt is over, and what is returned says why.
        """
        try:
            with self._output.opened() as output:
                start(output)
        except (OSError, ValueError) as error:  # ValueError: a NUL byte where none may be
            why = f"{' '.join(self._launching.order.launch.command)[:200]}: {in_the_way(error)}"
            log.warning("cannot start: %s", why)
            self._is_hosts_fault = stage is not Stage.COLLECTING and is_of_the_host(error)
            self._stage = Stage.ENDED
            return why
        self._stage = stage
        return None

    def _start_beside(self, module: str, output: int) -> None:
        self._beside = start_beside(module, self._launching, self._files, output)

    def _start(self, output: int) -> None:
        self._commits.check_known()
        self._resumed_step = self._commits.newest.step or 0
        launch = self._launching.order.launch
        make_directories(launch)
        check_working_dir(Path(self._prepared.working_dir))
        self._job.start(
            launch.command,
            working_dir=self._prepared.working_dir,
            environment=job_environment(
                self._launching,
                self._files,
                resume_from=self._commits.newest.path or "",
                prepared=self._prepared,
            ),
            output=output,
            nice=self._launching.nice,
        )
        self._started_at_s = boottime_s()
        self._said.hang_bell()

    def _tick_running(self) -> None:
        status = self._said.status
        if status is not None and status.commit is not None and not self._ladder.is_leaving:
            self._commits.check(status.commit)  # of one that leaves, once it has: it may need the CPU
        self._climb()
        if self._ladder.is_killed:
            self._job.kill()
        if self._job.is_over:
            os.nice(NICE_AFTERWARDS)
            self._stage = Stage.CLEARING
            self._tick_clearing()
        else:
            wanted, now_s = self._instructions.wanted(), boottime_s()
            is_due = self._reminding.is_due(status, wanted.save_every_s, now_s)
            if is_due and (request := self._ladder.remind(wanted, self._sight(now_s))) is not None:
                self._ask(request)
            self._ahead.lay(self._ladder, wanted, status, settled_s=self._started_at_s, now_s=now_s)

    def _tick_clearing(self) -> None:
        """What a job without the contract leaves behind has what is left of its grace; all else ends at once."""
        self._climb()
        has_grace = self._said.status is None and self._ladder.grace_left_s(boottime_s()) > 0
        if has_grace and self._job.members():
            if not self._was_terminated:
                self._was_terminated = True
                self._job.terminate()
        elif self._job.kill():
            self._output.read()
            self._stage = Stage.INSPECTING
            self._tick_inspecting()

    def _tick_inspecting(self) -> None:
        if not self._is_looked_through:
            if self._ladder.was_asked_to_exit and self._courtesy.waits(boottime_s()):
                return
            self._is_looked_through = True
            self._commits.look_for_newest()
        if self._commits.is_looking:
            return
        self._stage = Stage.ENDED
        asked, killed = self._ladder.was_asked_to_exit, self._ladder.is_killed
        if self._outputs.is_wanted(exit_code=self._job.exit_code, asked_to_exit=asked, killed=killed):
            self._outputs.begin(boottime_s())
            self._outputs.error = self._enter(Stage.COLLECTING, partial(self._start_beside, COLLECT))

    def _tick_collecting(self) -> None:
        is_late = self._outputs.is_late(self._instructions.wanted(), boottime_s())
        if self._is_beside_over(is_unwanted=is_late):
            self._outputs.error = read_collected(self._files).error
            self._stage = Stage.ENDED

    def _is_beside_over(self, *, is_unwanted: bool) -> bool:
        """Whether the process beside has ended, and all that it started."""
        beside = self._beside
        if beside is not None and not ((beside.is_over or is_unwanted) and beside.kill()):
            return False
        self._output.read()
        self._beside = None
        return True

    # --- the ladder ----------------------------------------------------------------------------------------------

    def _new_ladder(self) -> Ladder:
        grace_s = self._launching.order.launch.grace_s
        return Ladder(patience_s=self._launching.suspend_patience_s, grace_s=grace_s)

    @property
    def _living(self) -> JobProcess:
        """Whom the ladder moves, and whose end is waited for."""
        return self._beside or self._job

    def _climb(self) -> None:
        now_s = boottime_s()
        if self._ahead.learn(self._ladder, now_s):
            self._instructions.read()
        steps = self._ladder.climb(self._instructions.wanted(), self._sight(now_s))
        if steps and self._ladder.is_leaving:
            self._said.hush_bell()  # its end is what counts from now on, and that is heard by SIGCHLD
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
        computes = holds and self._computing.is_computing(now_s)
        return Sight(now_boottime_s=now_s, status=self._said.status, is_computing=computes)

    def _ask(self, request: PauseRequest) -> bool:
        """Put the request where the job finds it. If the disk refuses, a job that should hold is frozen instead."""
        self._ahead.take_back()
        try:
            write_pause_request(self._files.control_dir, request)
        except OSError:
            log.exception("the request cannot be written; free some disk space")
            if request.action is Action.SUSPEND:
                self._ladder.is_frozen = True
                self._living.freeze()
                return False
        return True

    def _act(self, act: Act) -> None:
        match act:
            case Act.SIGNAL:
                self._living.ask(is_contract=self._said.status is not None, is_gentle=self._ladder.is_held)
            case Act.FREEZE:
                self._living.freeze()
            case Act.THAW:
                self._living.thaw()
            case Act.KILL:
                self._living.kill()
            case _:
                assert_never(act)

    # --- output and facts ----------------------------------------------------------------------------------------

    def _facts(self) -> FactsFile:
        status, newest = self._said.status, self._commits.newest
        is_to_be_tried_again = self._commits.are_away or self._is_hosts_fault
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
            exit_code=os.EX_TEMPFAIL if is_to_be_tried_again else self._job.exit_code,
            signal=self._job.signal,
            oom_killed=self._job.signal == signal.SIGKILL and self._oom.has_killed,
            launch_error=self._launch_error,
            doing=read_doing(self._files) if self._beside is not None else "",
            outputs_error=self._outputs.error,
        )
        notes = tuple(note for note in (self._said.complaint, self._outputs.note) if note is not None)
        return FactsFile(facts=facts, job=self._living.main, notes=notes, is_final=self._stage is Stage.ENDED)

    def _observed(self) -> Observed:
        match self._stage:
            case Stage.CHECKING:
                is_held = self._instructions.wanted().phase is Phase.SUSPEND
                return Observed.SUSPENDED if is_held else Observed.STARTING
            case Stage.PREPARING if not self._ladder.is_leaving:
                return Observed.SUSPENDED if self._ladder.holds(None) else Observed.STARTING
            case Stage.RUNNING:
                return self._observed_running()
            case Stage.PREPARING | Stage.CLEARING | Stage.INSPECTING | Stage.COLLECTING:
                return Observed.SAVING
            case Stage.ENDED:
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
