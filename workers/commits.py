"""What a supervisor knows of the checkpoints of its job: only what verified, and what had to be quarantined."""

from __future__ import annotations

import logging
import os
import selectors
from pathlib import Path

from workers.inspection import Findings, Inspection, is_small, look

AGAIN_S = 2.0  #: until another look where the last one could not be had
MOST_TOLD = 20  #: quarantined checkpoints that are told of in an attempt; all of them lie in its quarantine
PATIENCE_S = 60.0  #: for which such looks are tried

log = logging.getLogger("barq.supervisor")


class Commits:
    """Looks through one checkpoint directory, one look at a time, in a child process that reports to the selector.

    Only a small commit that nobody writes any more is read here: before the job starts, and after it ended.
    """

    def __init__(self, checkpoint_dir: Path, selector: selectors.BaseSelector) -> None:
        self._dir = checkpoint_dir
        self._selector = selector
        self._inspection: Inspection | None = None
        self._checked: str | None = None
        self._is_wanted = False  #: the newest is, whatever becomes of the look at the one that was checked
        self._is_for_newest = False  #: the look in progress
        self._trouble: str | None = (
            None  #: why the newest is not known: that is not to say that there is none
        )
        self._trouble_since_s: float | None = None
        self._looked_at_s = float("-inf")
        self.are_away = False  #: the job was not started, because they could not be read
        self.newest = Findings()  #: the newest commit that verified
        self.quarantined: tuple[str, ...] = ()

    @property
    def is_looking(self) -> bool:
        """Whether a look is in progress."""
        return self._inspection is not None

    def is_settled(self, now_s: float) -> bool:
        """Whether the newest is known, or given up. What could not be read is looked at again, now and then."""
        if self.is_looking or self._trouble is None:
            return not self.is_looking
        if self._trouble_since_s is None:
            self._trouble_since_s = self._looked_at_s = now_s
        if now_s - self._trouble_since_s >= PATIENCE_S:
            return True
        if now_s - self._looked_at_s >= AGAIN_S:
            self._looked_at_s = now_s
            self.look_for_newest()
        return False

    def check_known(self) -> None:
        """Raise OSError if it is not known where to go on: a job that began anew would lose what it has."""
        if self._trouble is not None:
            self.are_away = True
            raise OSError(f"{self._trouble}; see whether the storage of checkpoints is at hand")

    def look_for_newest(self) -> None:
        """Find the newest commit that verifies; damaged ones on the way are quarantined.

        What verified since this attempt began, or is just being looked at, is not read a second time.
        """
        self._trouble = None
        try:
            newest = self._newest_on_disk()
        except OSError:
            newest = ""  # the look will say what is wrong
        if newest is None:
            self._stop()
            self.newest = Findings()
        elif self._inspection is not None and newest == self._checked:
            self._is_wanted = True
        elif newest != self._newest_name():
            self._stop()
            if not (newest and self._learn_at_once(newest)):
                self._start(None)

    def _learn_at_once(self, name: str) -> bool:
        """Verify a small commit here: a child takes longer to fork than this to read. False: leave it to the child."""
        if not is_small(self._dir / name):
            return False
        findings = look(self._dir, only=name)
        if findings.error is not None:
            return False
        self._learn(findings)
        return True

    def _newest_on_disk(self) -> str | None:
        """The name of the newest directory that may be a commit, None if there is none. Raises OSError."""
        try:
            names = os.listdir(self._dir)  # noqa: PTH208 - names are enough
        except FileNotFoundError:
            return None
        return max((name for name in names if name.startswith("step-")), default=None, key=_by_step)

    def check(self, name: str) -> None:
        """Verify the commit `name` that the job claims, once, unless a look is in progress."""
        if self._inspection is None and name not in (self._checked, self._newest_name()):
            self._checked = name
            self._start(name)

    def _start(self, only: str | None) -> None:
        self._is_for_newest = only is None
        try:
            inspection = Inspection(self._dir, only=only)
        except OSError as error:
            self._learn(Findings(error=f"cannot look through the checkpoints: {error}"))
            return
        self._inspection = inspection
        self._selector.register(inspection.descriptor, selectors.EVENT_READ, self._on_news)

    def _stop(self) -> None:
        """Give up a look that nobody waits for any more."""
        if self._inspection is not None:
            self._selector.unregister(self._inspection.descriptor)
            self._inspection.close()
            self._inspection = None

    def _on_news(self) -> None:
        inspection = self._inspection
        if inspection is None:
            return
        descriptor = inspection.descriptor
        if inspection.advance():
            self._selector.unregister(descriptor)
            inspection.close()
            self._inspection = None
            self._learn(inspection.findings)

    def _learn(self, findings: Findings) -> None:
        self.quarantined = (*self.quarantined, *findings.quarantined)[:MOST_TOLD]
        is_wanted, self._is_wanted = self._is_wanted, False
        if findings.error is None:
            self.newest = findings
            return
        log.warning("%s", findings.error)
        if is_wanted:
            self._start(None)
        elif self._is_for_newest:
            self._trouble = findings.error

    def _newest_name(self) -> str | None:
        return None if self.newest.path is None else Path(self.newest.path).name


def _by_step(name: str) -> tuple[int, str]:
    """What is the name of a commit, the later step last, and all else before."""
    digits = name.removeprefix("step-")
    return (int(digits) if digits.isascii() and digits.isdigit() else -1), name
