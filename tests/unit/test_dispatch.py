"""Dispatch instructions: what becomes of what a giver tells, and that a refusal lifts nothing that binds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from scheduler.core.compliance import Fall, Watch, judge_draw
from scheduler.core.dispatch import Answer, Instruction, State, Verdict
from scheduler.core.envelope import Envelope, Segment, lowest
from scheduler.core.given import HORIZON_S, MOST_OPEN
from scheduler.dispatching import DispatchBook
from scheduler.records import TickRecord
from tests.fakes import T0

HOUR_S = 3600.0


def after(seconds: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=seconds)


def told(*steps: tuple[float, float, str | None], until_s: float | None = None) -> Envelope:
    """What the giver says: from when, W, and its name for it."""
    return Envelope(
        source="dso",
        issued_at=T0,
        read_at=T0,
        reaction_s=30.0,
        segments=tuple(
            Segment(starts_at=after(s), limit_w=w, provenance="notice", giver_id=name) for s, w, name in steps
        ),
        valid_until=None if until_s is None else after(until_s),
        stale_after_s=60.0,
    )


class Desk:
    """A book, and what it puts on record."""

    def __init__(self, *voluntary: str) -> None:
        self.book = DispatchBook(reaction_s=20.0, voluntary=voluntary)

    def hears(self, envelope: Envelope, at_s: float = 0.0) -> None:
        self.book.hear("dso", (envelope,), after(at_s))

    def draws(self, draw_w: float, at_s: float) -> None:
        self.book.measure(draw_w, after(at_s))

    def says(self, number: int, verdict: Verdict, at_s: float = 0.0) -> bool:
        answer = Answer(verdict=verdict, by="ada", at=after(at_s), note="the chiller is out")
        return self.book.answer({f"d{number}": answer})

    def recorded(self) -> TickRecord:
        record = self.book.added_to(TickRecord(at=T0, epoch=1))
        self.book.recorded(record)
        return record

    def kinds(self) -> list[str]:
        return [e.kind.removeprefix("dispatch.") for e in self.recorded().events]

    @property
    def only(self) -> Instruction:
        [one] = self.book.standing
        return one


def test_a_limit_that_is_told_is_received_accepted_and_due_after_the_reaction_time() -> None:
    """By Barq itself: it waits for nobody."""
    desk = Desk()
    desk.hears(told((-5, 40_000, "event-7"), until_s=HOUR_S), at_s=1)

    one = desk.only
    assert (one.id, one.source, one.giver_id, one.limit_w) == ("d1", "dso", "event-7", 40_000)
    assert (one.received_at, one.starts_at, one.due_at, one.ends_at) == (
        after(1),
        after(-5),
        after(31),
        after(HOUR_S),
    )
    assert (one.state, one.accepted_by) == (State.ACCEPTED, "barq")
    assert desk.kinds() == ["received", "accepted"]
    assert desk.recorded().instructions == ()


def test_the_same_read_again_is_no_news() -> None:
    """Nor is the limit in force told anew by another name, which is noted."""
    desk = Desk()
    for at_s in range(5):
        desk.hears(told((0, 40_000, "a")), at_s=at_s)
    assert desk.kinds() == ["received", "accepted"]

    desk.hears(told((6, 40_000, "b")), at_s=6)
    assert (desk.only.number, desk.only.giver_id) == (1, "b")
    assert desk.kinds() == []


def test_another_limit_takes_the_place_of_the_one_before() -> None:
    """Which says by whom."""
    desk = Desk()
    desk.hears(told((0, 40_000, "a")))
    desk.hears(told((10, 30_000, "b")), at_s=10)

    first, second = desk.recorded().instructions
    assert (first.state, first.why, first.over_at) == (State.SUPERSEDED, "d2 took its place", after(10))
    assert (second.state, second.limit_w) == (State.ACCEPTED, 30_000)
    assert desk.book.standing == (second,)


def test_a_schedule_comes_into_sight_interval_by_interval() -> None:
    """A day of quarters is not 96 instructions at once; neighbours of one document that say the same are one."""
    day = told(*((n * 900, 50_000 + 1000 * (n // 2), "") for n in range(96)), until_s=96 * 900)
    desk = Desk()
    desk.hears(day)
    assert [i.starts_at for i in desk.book.standing] == [after(s) for s in (0, 1800, 3600)]

    desk.book.pass_to(after(1799))
    assert len(desk.book.standing) == 3
    desk.recorded()
    desk.book.pass_to(after(1800))
    assert desk.kinds() == ["ended", "received", "accepted"]
    assert [i.starts_at for i in desk.book.standing] == [after(s) for s in (1800, 3600, 5400)]


def test_no_giver_fills_the_book() -> None:
    """A step each second: the nearest are taken in, the others in their turn."""
    desk = Desk()
    desk.hears(told(*((n, 1000.0 + n, "x") for n in range(int(HORIZON_S)))))
    assert [i.limit_w for i in desk.book.standing] == [1000 + n for n in range(MOST_OPEN)]
    desk.book.pass_to(after(3))
    assert [i.limit_w for i in desk.book.standing] == [1003 + n for n in range(MOST_OPEN)]


def test_what_nobody_told_is_no_instruction() -> None:
    """A source that measures, or works its limit out, gives orders to nobody."""
    desk = Desk()
    desk.hears(told((0, 40_000, None), (60, 30_000, "event-7"), (120, 40_000, None)))
    assert desk.only.limit_w == 30_000


def test_what_is_taken_back() -> None:
    """Before it began it is superseded; in force it has ended."""
    desk = Desk()
    desk.hears(told((0, 40_000, "a"), (600, 30_000, "b")))
    desk.hears(told(), at_s=5)

    assert [(i.state, i.over_at) for i in desk.recorded().instructions] == [
        (State.ENDED, after(5)),
        (State.SUPERSEDED, after(5)),
    ]


def test_the_meter_says_when_it_was_complied_with() -> None:
    """The first reading at or under it, once it has begun."""
    desk = Desk()
    desk.hears(told((60, 40_000, "a")))
    desk.draws(39_000, at_s=59)
    assert desk.only.state is State.ACCEPTED
    desk.draws(45_000, at_s=70)
    desk.draws(39_500, at_s=72)
    desk.draws(39_000, at_s=74)

    one = desk.only
    assert (one.state, one.complied_at, one.complied_w) == (State.COMPLIED, after(72), 39_500)
    assert desk.kinds() == ["received", "accepted", "complied"]


@pytest.mark.parametrize("is_met", [True, False])
def test_an_instruction_and_its_power_event_tell_the_same(*, is_met: bool) -> None:
    """A limit that is raised again before the site has gone down to it was not complied with, by neither of the two."""
    desk, watch = Desk(), Watch()
    falls: dict[datetime, Fall] = {}
    story = [
        (0, 50_000, 45_000),
        (1, 40_000, 45_000),
        (5, 40_000, 39_000 if is_met else 44_000),
        (9, 50_000, 44_000),
    ]
    for at_s, limit_w, draw_w in story:
        desk.hears(told((at_s, limit_w, f"at {limit_w}")), at_s=at_s)
        desk.draws(draw_w, at_s=at_s)
        found = judge_draw(watch, at=after(at_s), limit_w=limit_w, draw_w=draw_w, reaction_s=30.0)
        watch, falls = found.watch, falls | {fall.began_at: fall for fall in found.changed}

    (fall,) = falls.values()
    (lowered,) = [i for i in desk.recorded().instructions if i.limit_w == 40_000]
    assert lowered.complied_at == fall.complied_at == (after(5) if is_met else None)
    assert (lowered.is_open, fall.released_at) == (False, None if is_met else after(9))


def test_a_draw_over_it_after_it_was_due_is_a_breach_for_good() -> None:
    """Its seconds are counted from when it was due; that it was kept later is told, and stays beside it."""
    desk = Desk()
    desk.hears(told((0, 40_000, "a")))
    for at_s, draw_w in ((29, 41_000), (31, 41_000), (33, 41_000), (34, 40_000)):
        desk.draws(draw_w, at_s=at_s)

    one = desk.only
    assert (one.state, one.breached_at, one.over_s) == (State.BREACHED, after(31), 3.0)
    assert (one.complied_at, one.complied_w) == (after(34), 40_000)
    assert desk.kinds() == ["received", "accepted", "breached", "complied"]


def test_a_person_who_refuses_what_binds_lifts_nothing() -> None:
    """It is on record, and it goes on."""
    desk, envelope = Desk(), told((0, 40_000, "a"))
    desk.hears(envelope)
    assert not desk.says(1, Verdict.REFUSED)

    assert desk.only.state is State.ACCEPTED
    assert desk.only.answer is not None
    assert desk.only.answer.verdict is Verdict.REFUSED
    assert list(desk.book.counted([envelope])) == [envelope]


def test_a_person_who_refuses_what_is_voluntary_takes_just_that_out() -> None:
    """What the same giver tells of other times counts on; told once more it stays out, told otherwise it counts."""
    desk = Desk("dso")
    envelope = told((0, 90_000, "a"), (600, 30_000, "b"), (1200, 80_000, "c"), until_s=1800)
    desk.hears(envelope)
    [offer] = [i for i in desk.book.standing if i.giver_id == "b"]
    assert desk.says(offer.number, Verdict.REFUSED)

    def limit_w(told_now: Envelope, at_s: float) -> float:
        return lowest(desk.book.counted([told_now]), after(at_s), now=T0, firm_w=20_000).limit_w

    assert [limit_w(envelope, s) for s in (0, 600, 1199, 1200, 1800)] == [90e3, 20e3, 20e3, 80e3, 20e3]
    desk.hears(replace(envelope, read_at=after(5)), at_s=5)
    assert limit_w(envelope, 600) == 20e3

    lower = told((0, 90_000, "a"), (600, 25_000, "b"), (1200, 80_000, "c"), until_s=1800)
    desk.hears(lower, at_s=10)
    assert limit_w(lower, 600) == 25e3


def test_acknowledging_is_noted_and_changes_nothing() -> None:
    """The limit holds either way."""
    desk = Desk("dso")
    desk.hears(told((0, 40_000, "a")))
    assert not desk.says(1, Verdict.ACKNOWLEDGED)
    assert desk.only.state is State.ACCEPTED


def test_what_a_source_refused_is_an_instruction_that_is_over() -> None:
    """With its giver's name for it, and why."""
    desk = Desk()
    desk.book.note_refused("dso", "event-9", "limit: NaN is no limit", T0)
    [one] = desk.recorded().instructions
    assert (one.state, one.giver_id, one.limit_w, one.over_at) == (State.REFUSED, "event-9", None, T0)
    assert desk.book.standing == ()


def test_nothing_is_lost_while_the_store_is_down() -> None:
    """What was not recorded comes with the next record, each step of it."""
    desk = Desk()
    desk.hears(told((0, 40_000, "a")))
    desk.book.added_to(TickRecord(at=T0, epoch=1))
    desk.draws(39_000, at_s=1)
    record = desk.recorded()
    assert [i.state for i in record.instructions] == [State.COMPLIED]
    assert [e.kind for e in record.events] == ["dispatch.received", "dispatch.accepted", "dispatch.complied"]


def heir_of(desk: Desk, *voluntary: str) -> Desk:
    """The book of the next leader."""
    next_one = Desk(*voluntary)
    next_one.book.restore(desk.book.standing, last_number=7, at=after(100))
    return next_one


def test_a_new_leader_goes_on_with_what_it_finds() -> None:
    """The same told again is the same instruction; a new one has a new number; what has ended ends unheard, too."""
    desk = Desk()
    desk.hears(told((0, 40_000, "a"), until_s=200))
    heir = heir_of(desk)
    heir.hears(told((0, 40_000, "a"), until_s=200), at_s=101)
    assert heir.kinds() == []
    heir.hears(told((150, 30_000, "b")), at_s=150)
    assert [i.number for i in heir.book.standing] == [8]

    deaf = heir_of(desk)
    deaf.book.pass_to(after(200))
    assert deaf.kinds() == ["ended"]


@pytest.mark.parametrize("voluntary,left_out", [(("dso",), 1), ((), 0)])
def test_whether_it_binds_is_as_the_site_file_says_now(voluntary: tuple[str, ...], left_out: int) -> None:
    """A refused offer that binds by now counts again."""
    desk = Desk("dso")
    desk.hears(told((0, 40_000, "a")))
    desk.says(1, Verdict.REFUSED)
    heir = heir_of(desk, *voluntary)
    assert len(heir.book.left_out) == left_out


def test_what_a_source_told_that_is_no_more_ends() -> None:
    """Nobody else could end it."""
    desk = Desk()
    desk.hears(told((0, 40_000, "a")))
    desk.book.give_up_unknown(["feeder"], after(9))
    assert [i.state for i in desk.recorded().instructions] == [State.ENDED]
