"""Leaving the facts of an attempt for its guard: news at once; the step, or what was asked, now and then."""

from __future__ import annotations

import logging
from dataclasses import replace

from workers.attempt_files import AttemptFiles, FactsFile
from workers.clock import boottime_s

PROGRESS_EVERY_S = 0.5

log = logging.getLogger("barq.supervisor")


class Publisher:
    """Writes facts.json when there is news."""

    def __init__(self, files: AttemptFiles) -> None:
        self._files = files
        self._published: FactsFile | None = None
        self._progress_since_s: float | None = None

    @property
    def owes(self) -> bool:
        """Whether there is progress that was not told yet."""
        return self._progress_since_s is not None

    def publish(self, facts: FactsFile) -> bool:
        """Leave the facts if they are news; True once final ones are on the disk. What fails is tried again."""
        if facts == self._published:
            self._progress_since_s = None
            return False
        if self._may_wait(facts, boottime_s()):
            return False
        try:
            self._files.write_facts(facts)
        except OSError:
            log.exception("the facts cannot be written and will be tried again; free some disk space")
            return False
        self._published, self._progress_since_s = facts, None
        return facts.is_final

    def _may_wait(self, facts: FactsFile, now_s: float) -> bool:
        """Progress travels with the news that often follows it at once, or else after a while."""
        if not self._is_progress(facts):
            return False
        if self._progress_since_s is None:
            self._progress_since_s = now_s
        return now_s - self._progress_since_s < PROGRESS_EVERY_S

    def _is_progress(self, facts: FactsFile) -> bool:
        if self._published is None:
            return False
        told, now = self._published.facts, facts.facts
        return replace(self._published, facts=replace(told, step=now.step, pause_seq=now.pause_seq)) == facts
