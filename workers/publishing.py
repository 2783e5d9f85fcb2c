"""Leaving the facts of an attempt for its guard: at once where it has arrived; now and then how far it is."""

from __future__ import annotations

import logging
from dataclasses import replace

from scheduler.core.orders import Observed
from workers.attempt_files import AttemptFiles, FactsFile
from workers.clock import boottime_s

PROGRESS_EVERY_S = 0.5
ON_THE_WAY = frozenset({Observed.STARTING, Observed.SAVING})  #: nobody can do anything before it has arrived

log = logging.getLogger("barq.supervisor")


class Publisher:
    """Writes facts.json when there is news."""

    def __init__(self, files: AttemptFiles) -> None:
        self._files = files
        self._published: FactsFile | None = None
        self._published_at_s = 0.0
        self._owes_since_s: float | None = None

    @property
    def owes(self) -> bool:
        """Whether there is something that was not told yet, and that nobody tells by itself."""
        return self._owes_since_s is not None

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
        self._published, self._published_at_s, self._owes_since_s = facts, now_s, None
        return facts.is_final

    def _may_wait(self, facts: FactsFile, now_s: float) -> bool:
        """Steps are told now and then. What was asked, and what is under way, travels with its outcome, if soon."""
        known = self._published
        if facts == known:
            return True
        if known is not None and _is_same_but_for_steps(facts, known):
            return now_s - self._published_at_s < PROGRESS_EVERY_S
        has_arrived = facts.facts.observed not in ON_THE_WAY
        if has_arrived and (known is None or not _is_same_but_asked(facts, known)):
            return False
        if self._owes_since_s is None:
            self._owes_since_s = now_s
        return now_s - self._owes_since_s < PROGRESS_EVERY_S


def _is_same_but_for_steps(now: FactsFile, told: FactsFile) -> bool:
    return replace(told, facts=replace(told.facts, step=now.facts.step)) == now


def _is_same_but_asked(now: FactsFile, told: FactsFile) -> bool:
    asked = replace(told.facts, step=now.facts.step, pause_seq=now.facts.pause_seq)
    return replace(told, facts=asked) == now
