"""One attempt as its guard sees it: its supervisor, its processes, what it was told and what it reported."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace

from barq.contract import ENV_CONTROL_DIR
from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptFacts, AttemptOrder, Observed
from scheduler.core.presence import Present
from workers.ahead import hold_at_once
from workers.attempt_files import AttemptFiles, Claim, FactsFile, Freshness, Instruction
from workers.clock import boot_id, boottime_s
from workers.processes import ProcessId, ProcessTable, ProcessTree, carrying, is_alive, send
from workers.wire import WireError

log = logging.getLogger("barq.guard")


class LocalAttempt:
    """An attempt that was started on this node, by this guard or one before it."""

    def __init__(
        self, files: AttemptFiles, order: AttemptOrder, claim: Claim | None, table: ProcessTable
    ) -> None:
        self.files = files
        self.order = order
        self._table = table
        is_of_this_boot = claim is not None and claim.boot_id == boot_id()
        self.supervisor: ProcessId | None = claim.process if claim is not None and is_of_this_boot else None
        self.tree = ProcessTree(self.supervisor or ProcessId(pid=0, start=0), table)
        self.known = FactsFile(facts=AttemptFacts(attempt_id=order.attempt_id, observed=Observed.STARTING))
        self._news = Freshness(files.facts_path)
        self._told = Instruction(seq=0, phase=Phase.RUN)
        self._is_told_by_us = False

    @property
    def is_ended(self) -> bool:
        """Whether no process of it is left, and nothing more will be learned of it."""
        return self.known.is_final

    @property
    def is_lively(self) -> bool:
        """Whether it is not over, or processes of it were there when they were last looked at."""
        return not self.is_ended or bool(self.tree.members)

    @property
    def present(self) -> Present:
        """What enforcing needs to know of it."""
        order = self.order
        return Present(
            attempt_id=order.attempt_id,
            job_id=order.job_id,
            gpu_ids=order.gpu_ids,
            tier=order.tier,
            priority=order.priority,
            phase=self._told.phase,
        )

    def remember(self, told: Instruction) -> None:
        """Take note of what it was started with."""
        self._told, self._is_told_by_us = told, True

    def recall(self) -> None:
        """Learn what an earlier guard told it. It is told again, so that it knows that there is a guard."""
        try:
            self._told = self.files.read_instruction() or self._told
        except (OSError, WireError):
            log.exception("what %s was told last cannot be read", self.order.attempt_id)

    def tell(self, phase: Phase, reason: str, *, grace_s: float, save_every_s: float | None = None) -> bool:
        """Leave word of its phase and tempo unless it knows; True if `hold_at_once` and `urge` are to follow.

        Who was told to leave is given no more time than that, but may be given less. What cannot be written is tried
        again at the next look.
        """
        deadline_s = boottime_s() + grace_s if phase is Phase.SAVE_EXIT else None
        known_s = self._told.deadline_boottime_s if phase is self._told.phase else None
        if deadline_s is not None and known_s is not None:
            deadline_s = min(deadline_s, known_s)
        is_other = deadline_s != known_s or (phase is Phase.RUN and save_every_s != self._told.save_every_s)
        if phase is self._told.phase and self._is_told_by_us and not is_other:
            return False
        told = Instruction(
            seq=self._told.seq + 1,
            phase=phase,
            reason=reason,
            deadline_boottime_s=deadline_s,
            save_every_s=save_every_s,
        )
        try:
            self.files.write_instruction(told)
        except OSError:
            log.exception("%s cannot be told to %s; free some disk space", self.order.attempt_id, phase)
            return False
        self._told, self._is_told_by_us = told, True
        return True

    def hold_at_once(self) -> bool:
        """Once it was told to, have a job that runs hold; whether its supervisor had prepared for that."""
        is_running = self.known.facts.observed is Observed.RUNNING
        if not is_running or self._told.phase is not Phase.SUSPEND or self.known.job is None:
            return False
        return hold_at_once(self.files.control_dir, self.known.job)

    def urge(self) -> None:
        """Have its supervisor look at what it was told."""
        if self.supervisor is not None:
            send(self.supervisor, signal.SIGUSR1)

    def look(self) -> None:
        """Take in new facts; clear up after a supervisor that ended without any."""
        if self.is_ended:
            return
        was_alive = self._is_supervisor_alive()
        if self._news.is_new() or not was_alive:
            self._read_facts()  # after the question, so that the last words of one that just ended count
        if not was_alive and not self.is_ended:
            self._bury()

    def end(self, **changes: object) -> None:
        """Note for good that nothing of it is left. Raises OSError."""
        facts = replace(self.known.facts, observed=Observed.ENDED, **changes)  # type: ignore[arg-type]
        known = replace(self.known, facts=facts, is_final=True)
        self.files.write_facts(known)
        self.known = known

    def _is_supervisor_alive(self) -> bool:
        """Whether it was, when the processes of this host were last looked at, or is now if it was not among them."""
        if self.supervisor is None:
            return False
        known = self._table.get(self.supervisor.pid)
        was_seen = known is not None and known.id == self.supervisor and not known.is_dead
        return was_seen or is_alive(self.supervisor)

    def _read_facts(self) -> None:
        try:
            self.known = self.files.read_facts() or self.known
        except (OSError, WireError):
            log.exception("the facts of %s cannot be read; the ones before stand", self.order.attempt_id)

    def _bury(self) -> None:
        """Kill what a dead supervisor left behind; once nothing is left, note that no more is known."""
        left = {stat.id for stat in self.tree.members} | self._left_in_session() | self._left_by_mark()
        for process in left:
            send(process, signal.SIGKILL)
        if left:
            return
        log.warning("the supervisor of %s ended without a word", self.order.attempt_id)
        try:
            self.end()
        except OSError:
            log.exception("the end of %s cannot be written; trying again", self.order.attempt_id)

    def _left_by_mark(self) -> set[ProcessId]:
        """Whoever was started with the control directory of this very attempt: also what nobody has seen yet."""
        if self.supervisor is None:
            return set()
        return carrying(f"{ENV_CONTROL_DIR}={self.files.control_dir}")

    def _left_in_session(self) -> set[ProcessId]:
        """The members of the job's session, if that still is the job's."""
        job = self.known.job
        if job is None or self.supervisor is None:
            return set()
        leader = self._table.get(job.pid)
        if leader is not None and leader.id != job:
            return set()
        return {stat.id for stat in self._table.in_session(job.pid) if not stat.is_dead}
