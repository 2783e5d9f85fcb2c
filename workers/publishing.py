"""Leaving the facts of an attempt for its guard: news at once; its step, what was asked, that it saves, later."""

from __future__ import annotations

import logging
from dataclasses import replace

from scheduler.core.orders import Observed
from workers.attempt_files import AttemptFiles, FactsFile
from workers.clock import boottime_s

PROGRESS_EVERY_S = 0.5

log = logging.getLogger("barq.supervisor")


class Publisher:
    """Writes facts.json when there is news."""

    def __init__(self, files: AttemptFiles) -> None:
        self._files = files
        self._published: FactsFile | None = None
        self._published_at_s = 0.0
        self._asked_since_s: float | None = None

    @property
    def owes(self) -> bool:
        """Whether something was asked that was not told yet."""
        return self._asked_since_s is not None

    def publish(self, facts: FactsFile) -> bool:
        """Leave the facts if they are news; True once final ones are on the disk. What fails is tried again."""
        now_s = boottime_s()
        if self._may_wait(facts, now_s):
            return False
        try:
            self._files.write_facts(facts)
        except OSError:
            log.exception("the facts cannot be written and will be tried again; free some disk space")
            return False
        self._published, self._published_at_s, self._asked_since_s = facts, now_s, None
        return facts.is_final

    def _may_wait(self, facts: FactsFile, now_s: float) -> bool:
        """Steps are told now and then; what was asked with its answer, and a save with its end, if that comes soon."""
        known = self._published
        if known is None:
            return False
        if facts == known:
            return True
        told, now = known.facts, facts.facts
        told_so = replace(told, step=now.step, pause_seq=now.pause_seq)
        if now.observed is Observed.SAVING:
            told_so = replace(told_so, observed=now.observed, asked_to_exit=now.asked_to_exit)
        if replace(known, facts=told_so) != facts:
            return False
        if told.pause_seq == now.pause_seq:
            return now_s - self._published_at_s < PROGRESS_EVERY_S
        if self._asked_since_s is None:
            self._asked_since_s = now_s
        return now_s - self._asked_since_s < PROGRESS_EVERY_S
