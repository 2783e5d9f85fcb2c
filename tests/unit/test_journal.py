"""When the whole snapshot is written down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scheduler.core.decide import decide
from scheduler.core.snapshot import Snapshot
from scheduler.journal import SNAPSHOT_S, Journal
from scheduler.watchman import Watchman
from tests.builders import site


def is_full(journal: Journal, snapshot: Snapshot) -> bool:
    """Whether the tick is written with its snapshot."""
    return journal.write(snapshot, decide(snapshot), {}, {}).snapshot_json is not None


def test_the_snapshot_is_written_once_a_minute_and_when_raises_become_possible() -> None:
    """Who plans a job is told from it: that nothing may be raised yet must not stand for longer than it holds."""
    watchman = Watchman()
    journal = Journal(epoch=1, watchman=watchman)
    quiet = site().node(gpus=4).limit_w(5000).snapshot()
    watchman.look(quiet)
    barred = replace(quiet, raises_allowed=False)

    def later(snapshot: Snapshot, seconds: float) -> Snapshot:
        return replace(snapshot, at=quiet.at + timedelta(seconds=seconds))

    assert is_full(journal, barred)
    assert not is_full(journal, later(barred, 1))
    assert is_full(journal, later(quiet, 2))
    assert not is_full(journal, later(quiet, 3))
    assert is_full(journal, later(quiet, 2 + SNAPSHOT_S))
