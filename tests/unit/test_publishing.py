"""When a supervisor leaves its facts for the guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.core.orders import AttemptFacts, Observed
from workers import publishing
from workers.attempt_files import AttemptFiles, FactsFile
from workers.publishing import PROGRESS_EVERY_S, Publisher

RUNNING = AttemptFacts(attempt_id="a-1.1", observed=Observed.RUNNING, step=1)


class Told:
    """A publisher, its clock, and what a guard finds."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = AttemptFiles(directory)
        self.publisher = Publisher(self.files)
        self.now_s = 100.0
        monkeypatch.setattr(publishing, "boottime_s", lambda: self.now_s)

    def after(self, wait_s: float, facts: AttemptFacts) -> AttemptFacts | None:
        """What stands once these facts were seen, so much later."""
        self.now_s += wait_s
        self.publisher.publish(FactsFile(facts=facts))
        found = self.files.read_facts()
        return None if found is None else found.facts


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """One that has told that the job runs."""
    told = Told(tmp_path, monkeypatch)
    told.after(0.0, RUNNING)
    return told


def test_steps_are_told_now_and_then(told: Told) -> None:
    """At once after a silence; soon after another, they wait."""
    second, third = replace(RUNNING, step=2), replace(RUNNING, step=3)

    assert told.after(PROGRESS_EVERY_S, second) == second
    assert told.after(0.01, third) == second
    assert told.after(PROGRESS_EVERY_S, third) == third


def test_what_was_asked_is_told_with_the_answer(told: Told) -> None:
    """One file for both if the answer comes soon, and all the same if it does not."""
    asked = replace(RUNNING, pause_seq=1)
    answered = replace(asked, observed=Observed.SUSPENDED)

    assert (told.after(10.0, asked), told.publisher.owes) == (RUNNING, True)
    assert (told.after(0.01, answered), told.publisher.owes) == (answered, False)

    again = replace(answered, pause_seq=2)
    assert told.after(10.0, again) == answered
    assert (told.after(PROGRESS_EVERY_S, again), told.publisher.owes) == (again, False)


def test_that_a_job_saves_is_told_with_its_end(told: Told) -> None:
    """One file for both if the end comes soon; one that takes its time is seen to save meanwhile."""
    saving = replace(RUNNING, observed=Observed.SAVING, pause_seq=1, asked_to_exit=True)
    ended = replace(saving, exit_code=85)

    assert told.after(10.0, saving) == RUNNING
    assert told.after(PROGRESS_EVERY_S, saving) == saving
    assert told.after(0.01, ended) == ended


def test_what_a_save_brought_is_told_at_once(told: Told) -> None:
    """A commit that verified, or an exit code, waits for nothing."""
    saving = replace(RUNNING, observed=Observed.SAVING, pause_seq=1, asked_to_exit=True)
    for news in (
        replace(saving, committed_step=1),
        replace(saving, exit_code=85),
        replace(saving, killed=True),
    ):
        assert told.after(0.01, news) == news
