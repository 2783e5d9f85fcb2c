"""What the attempt should be in now: the guard's word, unless there is no guard to have one, or no host to run on."""

from __future__ import annotations

import logging
from dataclasses import replace

from scheduler.core.jobs import Phase
from workers.attempt_files import AttemptFiles, Instruction
from workers.watches import GuardWatch
from workers.wire import WireError

log = logging.getLogger("barq.supervisor")

LOOK_EVERY_S = 1.0


class Instructions:
    """Reads the guard's word when told to and once a second, and looks whether there still is a guard."""

    def __init__(self, files: AttemptFiles, guard: GuardWatch, *, is_firm: bool) -> None:
        self._files = files
        self._guard = guard
        self._is_firm = is_firm  #: tier 0 goes on without a guard
        self._looked_at_s = float("-inf")
        self._desired = Instruction(seq=0, phase=Phase.SUSPEND, reason="no word from the guard yet")
        self._orphaned_at_seq = -1
        self._is_shutdown = False

    def read(self) -> None:
        """Take in the guard's newest word."""
        try:
            desired = self._files.read_instruction()
        except (OSError, WireError):
            log.exception("the guard's word cannot be read; the one before stands")
            return
        if desired is not None and desired.seq > self._desired.seq:
            log.info("told to %s: %s", desired.phase, desired.reason)
            self._desired = desired

    def shut_down(self) -> None:
        """From now on the job is to save and exit: this host goes down."""
        log.warning("told to end (SIGTERM): the job saves and exits")
        self._is_shutdown = True

    def look(self, now_s: float) -> None:
        """Once a second: a signal of the guard may have been lost, or the guard itself."""
        if now_s - self._looked_at_s < LOOK_EVERY_S:
            return
        self._looked_at_s = now_s
        self.read()
        if self._guard.is_orphaned(now_s) and not self._is_firm and self._orphaned_at_seq < self._desired.seq:
            log.warning("no guard looks after this node: suspended until one says otherwise")
            self._orphaned_at_seq = self._desired.seq

    def wanted(self) -> Instruction:
        """What the attempt should be in now. What the guard said before it was lost does not let a job run."""
        if self._is_shutdown and self._desired.phase is not Phase.KILL:
            return replace(self._desired, phase=Phase.SAVE_EXIT, reason="this host shuts down")
        if self._orphaned_at_seq >= self._desired.seq and self._desired.phase is Phase.RUN:
            return replace(self._desired, phase=Phase.SUSPEND, reason="no guard looks after this node")
        return self._desired
