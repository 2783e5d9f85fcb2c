"""The books of shadow mode: two judges that share nothing but the limit, and no figure that nobody measured."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.envelope import Limit
from scheduler.core.jobs import Attempt, AttemptState, JobState, PauseCause, Phase
from scheduler.core.shadow import Draw, ShadowDay
from scheduler.records import TickRecord
from scheduler.shadow import DAY, Books
from scheduler.wire import loads
from tests.stores import attempt, job

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY = date(2026, 3, 1)
REACTION_S = 30.0


class Watched:
    """Books, and a clock that goes on with each look."""

    def __init__(self, at: datetime = NOON, books: Books | None = None) -> None:
        self.books, self.at = books or Books(), at

    def look(
        self, seconds: int, *, limit_w: float, twin_w: float, real_w: float | None, ai_w: float = 0.0
    ) -> None:
        """So many seconds in which this holds, one look at the beginning of each."""
        limit = Limit(limit_w=limit_w, source="grid", provenance="", stale=False, reaction_s=REACTION_S)
        for _ in range(seconds):
            twin = Draw(at=self.at, draw_w=twin_w, ai_w=ai_w, miners_w=0.0)
            real = None if real_w is None else Draw(at=self.at, draw_w=real_w)
            self.books.look(twin, real, limit, reaction_s=REACTION_S)
            self.at += timedelta(seconds=1)

    def day(self, day: date = TODAY) -> ShadowDay:
        """As it is written down."""
        return loads(ShadowDay, self.books.documents()[f"{DAY}{day.isoformat()}"])


def test_each_side_is_judged_by_its_own_meter() -> None:
    """A real site that stays above a fallen limit breaks it once the reaction time has passed; its twin does not."""
    watched = Watched()
    watched.look(10, limit_w=10_000, twin_w=9000, real_w=9500)
    watched.look(2, limit_w=4000, twin_w=9000, real_w=9500)
    watched.look(49, limit_w=4000, twin_w=3000, real_w=9500)

    day = watched.day()
    assert (day.twin.over_s, day.twin.worst_over_w, day.twin.withdrawals) == (0.0, 0.0, 1)
    assert (day.twin.complied, day.twin.comply_max_s) == (1, 2.0)
    assert day.real.over_s == pytest.approx(61 - 10 - REACTION_S, abs=1.5)
    assert day.real.worst_over_w == 5500.0
    assert (day.real.withdrawals, day.real.complied, day.real.comply_mean_s) == (1, 0, None)
    assert day.real.over_wh == pytest.approx(5500.0 * day.real.over_s / 3600)


def test_a_fall_that_is_released_is_one_withdrawal_and_no_compliance() -> None:
    """The limit is raised again before either side has gone down."""
    watched = Watched()
    watched.look(5, limit_w=10_000, twin_w=9000, real_w=9500)
    watched.look(3, limit_w=4000, twin_w=9000, real_w=9500)
    watched.look(5, limit_w=10_000, twin_w=9000, real_w=9500)

    day = watched.day()
    assert (day.twin.withdrawals, day.twin.complied, day.real.withdrawals, day.real.complied) == (1, 0, 1, 0)


def test_a_breach_of_the_twin_is_none_of_the_site() -> None:
    """And the other way round: neither reading ever counts for the other."""
    watched = Watched()
    watched.look(60, limit_w=1000, twin_w=5000, real_w=900)

    day = watched.day()
    assert (day.real.over_s, day.real.worst_over_w) == (0.0, 0.0)
    assert (day.twin.over_s, day.twin.worst_over_w) == (59.0, 4000.0)


def test_energy_is_that_of_the_readings() -> None:
    """Offered, drawn and unused under the limit; who draws is known of the twin only."""
    watched = Watched()
    watched.look(3601, limit_w=10_000, twin_w=8000, real_w=5000, ai_w=6000)

    day = watched.day()
    assert day.twin.covered_s == day.real.covered_s == 3600.0
    assert (day.twin.offered_wh, day.real.offered_wh) == pytest.approx((10_000, 10_000))
    assert (day.twin.drawn_wh, day.twin.unused_wh, day.twin.ai_wh) == pytest.approx((8000, 2000, 6000))
    assert (day.real.drawn_wh, day.real.unused_wh) == pytest.approx((5000, 5000))
    assert (day.real.ai_wh, day.real.miners_wh) == (None, None)


def test_what_was_not_measured_is_not_made_up() -> None:
    """While the real meter is silent the real day does not go on; what is compared stands still with it."""
    watched = Watched()
    watched.look(11, limit_w=10_000, twin_w=8000, real_w=5000)
    watched.look(100, limit_w=10_000, twin_w=8000, real_w=None)
    watched.look(11, limit_w=10_000, twin_w=8000, real_w=5000)

    day = watched.day()
    assert (day.real.covered_s, day.twin.covered_s, day.beside.covered_s) == (20.0, 121.0, 20.0)
    assert day.uncovered_s(day.real, watched.at) == 12 * 3600 + 122 - 20


def test_a_long_silence_of_the_watch_itself_counts_ten_seconds() -> None:
    """A scheduler that was away knows nothing of that time."""
    watched = Watched()
    watched.look(1, limit_w=10_000, twin_w=8000, real_w=5000)
    watched.at += timedelta(minutes=10)
    watched.look(1, limit_w=10_000, twin_w=8000, real_w=5000)

    assert watched.day().real.covered_s == watched.day().twin.covered_s == 10.0


def test_a_limit_that_fell_while_the_meter_was_silent_is_no_new_one_afterwards() -> None:
    """The reaction time runs from when it was told, not from when somebody could measure again."""
    watched = Watched()
    watched.look(10, limit_w=10_000, twin_w=3000, real_w=9000)
    watched.look(40, limit_w=4000, twin_w=3000, real_w=None)
    watched.look(2, limit_w=4000, twin_w=3000, real_w=9000)

    assert watched.day().real.over_s == 1.0


def test_midnight_divides_what_lies_around_it() -> None:
    """By time, to both days, and the day that is over is kept until its last word is written."""
    watched = Watched(datetime(2026, 3, 1, 23, 59, 58, 500_000, tzinfo=UTC))
    watched.look(4, limit_w=3600, twin_w=3600, real_w=3600)

    assert watched.day().twin.covered_s == pytest.approx(1.5)
    assert watched.day(date(2026, 3, 2)).twin.drawn_wh == pytest.approx(1.5)
    watched.books.let_go(datetime(2026, 3, 2, 0, 1, tzinfo=UTC))
    assert len(watched.books.documents()) == 2
    watched.books.let_go(datetime(2026, 3, 2, 1, 1, tzinfo=UTC))
    assert list(watched.books.documents()) == [f"{DAY}2026-03-02"]


def test_the_books_go_on_after_a_restart() -> None:
    """What was written is where the next scheduler begins; the time between is missing, and nothing else."""
    watched = Watched()
    watched.look(61, limit_w=10_000, twin_w=8000, real_w=5000)
    again = Watched(watched.at + timedelta(seconds=30), Books([watched.day()]))
    again.look(61, limit_w=10_000, twin_w=8000, real_w=5000)

    assert again.day().twin.covered_s == again.day().real.covered_s == 120.0


def _attempt(phase: Phase, **changes: Any) -> Attempt:
    return attempt(phase=phase, **{"state": AttemptState.RUNNING, **changes})


def test_a_pause_counts_once_and_an_end_is_none() -> None:
    """Suspended, then told to leave, is one pause; so is one that began before a restart."""
    books = Books((), [_attempt(Phase.RUN)])
    paused = {"pause_cause": PauseCause.POWER_WITHDRAWN}
    for changed in (
        _attempt(Phase.SUSPEND, **paused),
        _attempt(Phase.SAVE_EXIT, **paused),
        _attempt(Phase.SAVE_EXIT, state=AttemptState.ENDED, **paused),
        _attempt(Phase.RUN, id="demo-1.2"),
        _attempt(Phase.RUN, id="demo-1.2", state=AttemptState.ENDED),
    ):
        books.recorded(TickRecord(at=NOON, epoch=1, attempts=(changed,)))
    books.recorded(TickRecord(at=NOON, epoch=1, jobs=(job(state=JobState.SUCCEEDED),)))

    (document,) = books.documents().values()
    day = loads(ShadowDay, document)
    assert (day.paused, day.finished) == (1, 1)
