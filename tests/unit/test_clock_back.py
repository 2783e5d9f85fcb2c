"""A clock that was ahead and went back: settlement goes on at the time of now, and nothing is settled twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any, cast

import pytest

from api.routes.settlement import statement_of
from barq.reporting.settlement import complaints, table_of
from scheduler.core.contracts import HashpriceIndex
from scheduler.core.curtailment import Cause
from scheduler.core.decide import decide
from scheduler.core.interval import Running
from scheduler.core.settled_totals import changes_of
from scheduler.core.settlement import AGAIN, AUTOMATIC, Quality
from scheduler.core.snapshot import MeterReading
from scheduler.core.so_far import SoFar, of_adjustment, of_row
from scheduler.journal import Journal
from scheduler.pricing import quotes_for
from scheduler.records import TickRecord
from scheduler.store import chain
from scheduler.store.database import reading, writing
from scheduler.store.desk import Desk
from scheduler.store.settlement import Account, record_intervals
from scheduler.store.settlement_days import hours_of, sums_between
from scheduler.watchman import Watchman
from scheduler.wire import dumps, loads
from tests.builders import T0
from tests.settled import S21, terms
from tests.stores import SITE, database
from tests.unit.test_settling import Story, energies

AHEAD = timedelta(days=1)
MONTH = (T0.replace(day=1, hour=0), T0.replace(month=2, day=1, hour=0))


def went_and_came_back(story: Story) -> Story:
    """Seven minutes of a quarter; half a minute by a clock that is a day ahead; then the rest of the hour."""
    story.then(420)
    story.at += AHEAD
    story.then(30)
    story.at -= AHEAD
    return story.then(3600 - 450)


def settled(story: Story, folder: Path) -> Account:
    """What is on record of it, written down twice as by a leader that does not know what came of the first time."""
    with database("sqlite", folder) as engine:
        for _ in range(2):
            with writing(engine) as session:
                chain.append(session, record_intervals(session, story.books.closed))
        account = Desk(engine, site=SITE).settlement.statement("north", *MONTH)
        balances = Desk(engine, site=SITE).settlement.balances(*MONTH).balances
        with reading(engine) as session:
            sums = sums_between(session, *MONTH)["north"][0]
    parts = [*map(of_row, account.rows), *map(of_adjustment, account.adjustments)]
    assert sums == reduce(SoFar.plus, parts)
    assert sum(b.partners_ws["north"] for b in balances) == sums.metered_ws
    return account


def wrong(account: Account) -> list[str]:
    """What `barq settle` finds wrong with the statement."""
    stated = statement_of(account, site=SITE, month="2026-01", made_at=MONTH[1]).model_dump(mode="json")
    assert table_of(cast("Any", stated))
    return complaints(cast("Any", stated))


def test_settlement_goes_on_at_the_time_of_now_and_says_so() -> None:
    """One event; what was measured ahead stays there, and the quarters of now follow each other."""
    story = went_and_came_back(Story())
    (event,) = story.books.events
    assert (event.kind, event.data["by_s"]) == ("settlement.clock_back", AHEAD.total_seconds() - 10.0)
    starts = [c.balance.starts_at for c in story.books.closed]
    quarters = [T0 + timedelta(minutes=15 * number) for number in range(3)]
    assert starts == [T0, T0 + AHEAD, *quarters]
    story.then(10)
    assert story.books.closed[-1].balance.starts_at == T0 + timedelta(minutes=45)
    assert story.books.events == (event,)


def test_each_second_is_settled_once_and_the_statement_adds_up(tmp_path: Path) -> None:
    """The rest of a quarter that is on record is added to it by its own rates, and so are all that were ahead."""
    story = went_and_came_back(Story()).then(10)
    account = settled(story, tmp_path)
    assert wrong(account) == []
    drawn = sum(r.draft.energy.metered_ws for r in account.rows)
    drawn += sum(a.metered_ws for a in account.adjustments)
    known_s = (
        420 + 30 + (3600 - 450)
    )  # a reading stands for ten seconds after the last, but none before the first
    assert drawn == pytest.approx(4000 * known_s, abs=4000 * 20)
    (made,) = account.adjustments
    assert (made.starts_at, made.by, made.reason) == (T0, AUTOMATIC, AGAIN)
    assert made.charge_micro == pytest.approx(made.metered_ws * 52.5e6 / 3.6e9, abs=1)
    first = account.rows[0]
    assert first.quality is Quality.ESTIMATED
    assert first.draft.energy.metered_ws + made.metered_ws <= 4000 * 900


def test_what_the_clock_reaches_again_a_day_later_is_added_too(tmp_path: Path) -> None:
    """The quarter that has half a minute of the day before gets all of its own; later ones are plain rows again."""
    story = went_and_came_back(Story())
    story.at = T0 + AHEAD - timedelta(minutes=15)
    story.books.open(
        {"north": terms()},
        running=loads(Running, dumps(story.books.running)),
        measured=story.books.measured,
    )
    story.then(45 * 60 + 10)
    account = settled(story, tmp_path)
    assert wrong(account) == []
    assert [a.starts_at for a in account.adjustments] == [T0, T0 + AHEAD]
    assert account.adjustments[-1].metered_ws == 4000 * 900
    assert account.rows[-1].draft.starts_at == T0 + AHEAD + timedelta(minutes=15)


def test_a_month_that_the_clock_was_in_by_mistake_adds_up_too(tmp_path: Path) -> None:
    """What was measured there is its own; the month around it says which rows of its chain are of another one."""
    story = Story().then(420)
    story.at += timedelta(days=30)
    story.then(1000)
    story.at -= timedelta(days=30)
    story.then(3600 - 1420)
    account = settled(story, tmp_path)
    assert wrong(account) == []
    assert [b.starts_at for b in account.between] == [T0 + timedelta(days=30, minutes=15 * n) for n in (0, 1)]
    assert wrong(replace(account, between=account.between[1:])) != []


def test_what_has_no_price_then_is_priced_by_what_is_known_now(tmp_path: Path) -> None:
    """The figures of a day ahead are known to nobody when its row is written; its adjustment has those of the day."""
    contract = terms(price=HashpriceIndex(hashing=S21))
    story = Story(contract).then(420)
    figures_at = story.prices.figures_at
    story.at += AHEAD
    story.prices.figures_at = lambda at: None if at >= T0 + AHEAD else figures_at(at)  # type: ignore[method-assign]
    story.then(30)
    story.at -= AHEAD
    story.then(900)
    story.prices.figures_at = figures_at  # type: ignore[method-assign]
    story.at = T0 + AHEAD
    story.then(910)
    account = settled(story, tmp_path)
    ahead = next(r for r in account.rows if r.draft.starts_at == T0 + AHEAD)
    assert (ahead.quality, ahead.charge_micro) == (Quality.UNPRICED, None)
    made = account.adjustments[-1]
    assert made.starts_at == T0 + AHEAD
    assert made.charge_micro > 0
    assert wrong(account) == []


def test_a_clock_that_goes_back_within_a_quarter_makes_it_an_estimate(tmp_path: Path) -> None:
    """Its seconds are more than a quarter has, and all of them count."""
    story = Story().then(800)
    story.at -= timedelta(seconds=500)
    story.then(610)
    account = settled(story, tmp_path)
    (row,) = account.rows
    assert row.quality is Quality.ESTIMATED
    assert row.draft.energy.metered_ws == 4000 * (790 + 600)
    assert wrong(account) == []
    assert len(story.books.events) == 1


def test_what_was_remembered_of_the_time_ahead_counts_as_of_now() -> None:
    """A curtailment that began then is the same one, and no cause of then holds for a day."""
    story = Story(terms(notice_s=300)).then(720)
    story.at += AHEAD
    story.then(30, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    story.at -= AHEAD
    story.then(1000).then(30, given_w=0.0, drawn_w=0.0, limit_w=820.0).then(900)
    last = energies(story.books.closed[-1])
    assert [n.cause for n in last.notices] == [Cause.GRID]
    assert energies(story.books.closed[2]).curtailed_ws == {}


def test_samples_are_taken_though_the_last_one_is_of_a_day_ahead() -> None:
    """Nothing that is shown or measured stands still until the clock is there again."""
    story = Story()
    journal = Journal(epoch=1, watchman=Watchman(), settling=story.books)

    def told(after_s: float) -> TickRecord:
        at = T0 + timedelta(seconds=after_s)
        meter = MeterReading(draw_w=4000.0, measured_at=at)
        snapshot = replace(story.builder.snapshot(), at=at, meter=meter)
        return journal.write(snapshot, decide(snapshot), {}, {})

    assert told(86_400.0).sample is not None
    back = told(0.0)
    assert back.sample is not None
    assert back.snapshot_json is not None
    assert told(0.5).sample is None
    assert told(1.0).sample is not None


def test_a_second_turn_of_a_quarter_is_kept_while_the_first_is_being_written() -> None:
    """Both wait for their prices; what is priced while the other is on its way to the record is not taken for it."""
    story = Story()
    for _ in range(2):
        story.at = T0
        for _ in range(91):
            story.step()
            story.at += timedelta(seconds=10)
    first, second = story.books.measured
    assert first.over.starts_at == second.over.starts_at == T0
    story.books.priced(first, quotes_for(first, story.prices))
    record = TickRecord(at=story.at, epoch=1, intervals=story.books.closed)
    story.books.priced(second, quotes_for(second, story.prices))
    story.books.recorded(record)
    assert [c.is_second for c in story.books.closed] == [True]


def test_a_curtailment_in_the_second_turn_of_a_quarter_counts_after_a_restart(tmp_path: Path) -> None:
    """The hours of the month are on record as they were counted, and so is the notice that there was of it."""
    story = Story(terms(notice_s=300, max_curtailed_s=3600)).then(720)
    story.at += AHEAD
    story.then(30)
    story.at -= AHEAD
    story.then(450, given_w=0.0, drawn_w=0.0, limit_w=820.0).then(1000)
    account = settled(story, tmp_path)
    (made,) = account.adjustments
    assert (made.curtailed_ms, [n.is_met for n in made.notices]) == (150_000, [False])
    assert wrong(account) == []
    assert changes_of(account.adjustments).notices_missed == 1
    with database("sqlite", tmp_path) as engine, reading(engine) as session:
        assert hours_of(session, story.at).of(story.at)["north"] == 450_000


def test_the_month_before_is_known_after_a_restart_too(tmp_path: Path) -> None:
    """A clock that was ahead in the next month goes back to this one, whose hours are not forgotten."""
    story = Story().then(600).then(300, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    story.at += timedelta(days=31)
    story.then(910)
    settled(story, tmp_path)
    with database("sqlite", tmp_path) as engine, reading(engine) as session:
        known = hours_of(session, story.at)
    assert (known.month, known.of(T0)["north"]) == (2, 300_000)


def test_turns_of_a_quarter_that_come_to_the_same_all_count(tmp_path: Path) -> None:
    """They are told apart by the register, which goes on; each is on record once, however often it is written down."""
    story = Story()
    for _ in range(3):
        story.at = T0
        story.then(300)
        story.at = T0 + AHEAD
        story.then(20)
    story.at = T0 + AHEAD + timedelta(minutes=15)
    account = settled(story.then(10), tmp_path)

    drawn = {T0: 0, T0 + AHEAD: 0}
    for starts_at, ws in [
        *((r.draft.starts_at, r.draft.energy.metered_ws) for r in account.rows),
        *((a.starts_at, a.metered_ws) for a in account.adjustments),
    ]:
        drawn[starts_at] += ws
    assert len(account.adjustments) == 4
    assert drawn == {T0: 4000 * 900, T0 + AHEAD: pytest.approx(4000 * 60, abs=4000 * 30)}
    assert wrong(account) == []
