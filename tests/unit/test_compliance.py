"""Whether the limit is kept, judged reading by reading: withdrawals, seconds to comply, breaches."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.core.compliance import Fall, Watch, judge_draw, note_limit
from tests.builders import T0

REACTION_S = 30.0


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


@dataclass(slots=True)
class Watcher:
    """Reads the meter now and then, and keeps what was noticed."""

    watch: Watch = field(default_factory=Watch)
    breaches_s: list[float] = field(default_factory=list)
    noted: dict[datetime, Fall] = field(default_factory=dict)

    def reads(self, after_s: float, *, draw_w: float, limit_w: float) -> Watcher:
        """One reading of the meter while a limit is in force."""
        found = judge_draw(self.watch, at=at(after_s), limit_w=limit_w, draw_w=draw_w, reaction_s=REACTION_S)
        self.watch = found.watch
        self.breaches_s += [after_s] if found.over_limit else []
        self.noted |= {w.began_at: w for w in found.changed}
        return self

    def hears(self, after_s: float, *, limit_w: float) -> Watcher:
        """A limit comes into force, and the meter is not read."""
        self.watch = note_limit(self.watch, at=at(after_s), limit_w=limit_w, reaction_s=REACTION_S)
        return self

    def withdrawals(self) -> list[tuple[float, float, float, float | None]]:
        """Each as (began after s, limit, draw then, complied after s)."""
        return [
            (_s(w.began_at), w.limit_w, w.draw_w, None if w.complied_at is None else _s(w.complied_at))
            for w in self.noted.values()
        ]


def _s(instant: datetime) -> float:
    return (instant - T0).total_seconds()


def test_a_draw_at_the_limit_keeps_it() -> None:
    """Only what is above is over."""
    watcher = Watcher().reads(0, draw_w=1000, limit_w=1000).reads(100, draw_w=1000, limit_w=1000)

    assert (watcher.breaches_s, watcher.withdrawals()) == ([], [])


def test_a_draw_above_a_limit_that_stood_is_a_breach_at_once() -> None:
    """Nobody granted a reaction time for going over by oneself."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000).reads(1, draw_w=1001, limit_w=1000)

    assert watcher.breaches_s == [1]
    assert watcher.withdrawals() == []


def test_a_withdrawal_that_is_met_in_time_is_no_breach() -> None:
    """It is noted when it begins and when the draw is at or under the new limit."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000)
    watcher.reads(10, draw_w=900, limit_w=400).reads(20, draw_w=401, limit_w=400)
    watcher.reads(25, draw_w=400, limit_w=400).reads(60, draw_w=400, limit_w=400)

    assert watcher.breaches_s == []
    assert watcher.withdrawals() == [(10, 400, 900, 25)]
    assert watcher.watch.falls == ()


def test_a_withdrawal_that_is_met_late_is_a_breach_until_it_is_met() -> None:
    """The higher limit of before counts for less than `reaction_s` after the fall, and not at its end."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000)
    for after_s in (10.0, 39.9, 40.0, 50.0):
        watcher.reads(after_s, draw_w=900, limit_w=400)
    watcher.reads(51, draw_w=400, limit_w=400)

    assert watcher.breaches_s == [40.0, 50.0]
    assert watcher.withdrawals() == [(10, 400, 900, 51)]


def test_a_fall_that_leaves_the_draw_under_the_limit_asks_nothing() -> None:
    """There is nothing to withdraw."""
    watcher = Watcher().reads(0, draw_w=300, limit_w=1000).reads(1, draw_w=300, limit_w=400)

    assert watcher.withdrawals() == []


def test_two_falls_are_two_withdrawals() -> None:
    """Both are over when the draw is under the lower one: a limit that fell further leaves no way back."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000)
    watcher.reads(5, draw_w=900, limit_w=700).reads(10, draw_w=800, limit_w=400)
    watcher.reads(12, draw_w=600, limit_w=400)
    assert watcher.withdrawals() == [(5, 700, 900, None), (10, 400, 800, None)]

    watcher.reads(15, draw_w=400, limit_w=400)
    assert watcher.withdrawals() == [(5, 700, 900, 15), (10, 400, 800, 15)]


def test_a_limit_that_rises_again_asks_for_no_more_than_itself() -> None:
    """A withdrawal is over when the draw is under the limit in force; released, not complied with, if that one rose."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000).reads(5, draw_w=900, limit_w=400)
    watcher.reads(8, draw_w=900, limit_w=899)
    assert watcher.withdrawals() == [(5, 400, 900, None)]

    watcher.reads(10, draw_w=900, limit_w=900)
    assert watcher.withdrawals() == [(5, 400, 900, None)]
    assert [fall.released_at for fall in watcher.noted.values()] == [at(10)]
    assert watcher.watch.falls == ()


def test_a_draw_that_comes_after_the_release_is_no_compliance() -> None:
    """Nobody asked for it any more when it went down that far."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000).reads(5, draw_w=900, limit_w=400)
    watcher.reads(8, draw_w=350, limit_w=1000).reads(9, draw_w=350, limit_w=1000)

    assert [(f.complied_at, f.released_at) for f in watcher.noted.values()] == [(None, at(8))]


def test_the_highest_limit_of_the_reaction_time_counts() -> None:
    """Of several limits that stood within it, each was granted its own seconds."""
    watcher = Watcher().reads(0, draw_w=500, limit_w=500)
    watcher.reads(10, draw_w=500, limit_w=1000).reads(15, draw_w=500, limit_w=300)
    watcher.reads(44, draw_w=1000, limit_w=300)
    assert watcher.breaches_s == []
    watcher.reads(45.1, draw_w=301, limit_w=300)
    assert watcher.breaches_s == [45.1]


def test_old_limits_are_forgotten() -> None:
    """What is kept between readings does not grow with time."""
    watcher = Watcher()
    for i in range(200):
        watcher.reads(i, draw_w=0, limit_w=1000 + i % 2)

    assert len(watcher.watch.limits) <= REACTION_S + 2
    watcher.reads(300, draw_w=0, limit_w=7)
    watcher.reads(331, draw_w=0, limit_w=7)
    assert watcher.watch.limits == ((at(300), 7),)


def test_a_limit_that_comes_and_goes_between_two_readings_counts() -> None:
    """Who began to use it is granted the reaction time from its end on."""
    watcher = Watcher().reads(0, draw_w=300, limit_w=300)
    watcher.hears(40.0, limit_w=1000).hears(40.1, limit_w=300)
    watcher.reads(40.2, draw_w=900, limit_w=300).reads(70, draw_w=900, limit_w=300)
    assert watcher.breaches_s == []
    assert watcher.withdrawals() == [(40.1, 300, 900, None)]

    watcher.reads(70.2, draw_w=900, limit_w=300).reads(71, draw_w=300, limit_w=300)
    assert watcher.breaches_s == [70.2]
    assert watcher.withdrawals() == [(40.1, 300, 900, 71)]


def test_a_limit_that_is_heard_of_before_the_reading_began_when_it_was_heard_of() -> None:
    """The seconds to comply are counted from there, and one fall is noted once."""
    watcher = Watcher().reads(0, draw_w=900, limit_w=1000).hears(4.8, limit_w=400)
    watcher.reads(5, draw_w=900, limit_w=400).reads(6, draw_w=900, limit_w=400).reads(
        7, draw_w=1, limit_w=400
    )

    assert watcher.withdrawals() == [(4.8, 400, 900, 7)]
