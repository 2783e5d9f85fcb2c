"""Rows of settlement: written once, chained, adjusted and never edited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from functools import reduce
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.core.contracts import LostHashprice, NoCredit, Quotes
from scheduler.core.curtailment import Cause
from scheduler.core.notice import Notice
from scheduler.core.settled_totals import changes_of, totals_of
from scheduler.core.settlement import Change, Closed, Quality
from scheduler.core.so_far import SoFar, of_adjustment, of_row
from scheduler.store import chain
from scheduler.store.chain import GENESIS
from scheduler.store.database import downgrade, migrate, reading, writing
from scheduler.store.desk import Desk
from scheduler.store.refusals import InvalidField, NothingSettled
from scheduler.store.settlement import Account, link_hash, record_intervals
from scheduler.store.settlement_days import hours_of, sums_between
from tests.settled import AT, MWH, S21, draft, energy, interval, terms
from tests.stores import KINDS, SITE, database

MONTH = (AT, AT + timedelta(days=31))
LATER = AT + timedelta(days=40)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


def desk(engine: Engine) -> Desk:
    """People's side, long after the month."""
    return Desk(engine, site=SITE, now=lambda: LATER)


def write(engine: Engine, *intervals: Closed) -> None:
    """As a tick does."""
    with writing(engine) as session:
        chain.append(session, record_intervals(session, intervals))


def settled(engine: Engine, party: str = "north") -> Account:
    """The month of a partner."""
    return desk(engine).settlement.statement(party, *MONTH)


def adjust(engine: Engine, change: Change, number: int = 0) -> int:
    """Add to an interval; returns what it adds to the credit."""
    at = AT + number * timedelta(minutes=15)
    made = desk(engine).settlement.adjust("north", at, change, reason="log", by="asma")
    return made.credit_micro


def test_an_interval_is_written_with_what_it_comes_to(engine: Engine) -> None:
    """A MWh at 52.50 with a tenth of one curtailed at 5, and the balance beside it."""
    curtailed = {Cause.GRID: MWH // 10, Cause.FAULT: MWH}
    write(engine, interval(draft(energy(curtailed=curtailed))))
    (row,) = settled(engine).rows
    assert (row.charge_micro, row.credit_micro) == (52_500_000, 500_000)
    assert row.quality is Quality.MINER_REPORTED
    (balance,) = desk(engine).settlement.balances(*MONTH).balances
    assert (balance.partners_ws, balance.losses_ws) == ({"north": MWH}, 1000)


def test_a_repeated_interval_changes_nothing(engine: Engine) -> None:
    """A leader that does not know that it is on record writes it again: the first stays."""
    write(engine, interval(draft(energy())))
    before = settled(engine)
    write(engine, interval(draft(energy(MWH * 2))))
    assert settled(engine) == before


def test_rows_are_chained_by_party_and_the_log_knows_the_newest(engine: Engine) -> None:
    """Anybody can make the hashes again from the rows; the log is chained itself."""
    for number in range(3):
        write(engine, interval(draft(number=number), draft(contract=terms("south"), number=number)))
    before = GENESIS
    for number, link in enumerate(settled(engine).links, start=1):
        assert (link.link, link.hash_before, link.hash) == (number, before, link_hash(before, link.body))
        before = link.hash
    with reading(engine) as session:
        line = chain.line(session, 3)
        assert chain.verify_chain(session) is None
    assert line is not None
    assert f'"north":"3:{before}"' in line.data
    assert '"south":' in line.data


def test_an_adjustment_is_a_row_of_its_own_and_edits_none(engine: Engine) -> None:
    """It is reckoned by the interval's rates, chained and told in the log."""
    write(engine, interval(draft()))
    (before,) = settled(engine).links
    adjust(engine, Change(metered_ws=-MWH // 10, curtailed_ws={Cause.GRID: MWH}))
    adjust(engine, Change(charge_micro=7))
    account = settled(engine)
    first, second = account.adjustments
    assert account.links[0] == before
    assert (first.charge_micro, first.credit_micro, first.number) == (-5_250_000, 5_000_000, 1)
    assert (second.charge_micro, second.metered_ws, second.number) == (7, 0, 2)
    assert (first.by, first.reason, first.recorded_at) == ("asma", "log", LATER)
    with reading(engine) as session:
        line = chain.line(session, 3)
    assert line is not None
    assert line.kind == "settlement.adjusted"


def test_credits_of_a_month_stop_at_its_cap(engine: Engine) -> None:
    """Those of adjustments, too; what an adjustment takes back can be credited again; another month has its own."""
    capped = terms(credit_cap_micro=8_000_000)
    for number in (0, 1, 31 * 96):
        write(engine, interval(draft(energy(0, {Cause.GRID: MWH}), contract=capped, number=number)))
    rows = settled(engine).rows
    assert [r.credit_micro for r in rows] == [5_000_000, 3_000_000]
    assert [r.credit_due_micro for r in rows] == [5_000_000, 5_000_000]
    november = desk(engine).settlement.statement("north", MONTH[1], MONTH[1] + timedelta(days=1)).rows
    assert [r.credit_micro for r in november] == [5_000_000]
    assert adjust(engine, Change(curtailed_ws={Cause.GRID: MWH})) == 0
    assert adjust(engine, Change(credit_micro=-7_000_000)) == -2_000_000
    assert adjust(engine, Change(credit_micro=9_000_000), number=1) == 2_000_000


def test_an_interval_without_a_price_says_so_until_it_is_adjusted(engine: Engine) -> None:
    """It is in no sum; money that cannot be reckoned has to be given."""
    unpriced = terms(credit=LostHashprice(hashing=S21))
    write(engine, interval(draft(energy(MWH, {Cause.GRID: 1}), contract=unpriced, quotes=Quotes(at=AT))))
    (row,) = settled(engine).rows
    assert (row.quality, row.credit_micro, row.charge_micro) == (Quality.UNPRICED, None, 52_500_000)
    assert totals_of([row]).unpriced == 1
    with pytest.raises(InvalidField, match="credit: the interval has no rate"):
        adjust(engine, Change(curtailed_ws={Cause.GRID: 5}))
    assert adjust(engine, Change(credit_micro=12)) == 12


def test_what_was_hardly_read_is_estimated(engine: Engine) -> None:
    """Nothing is charged for what nobody read, and the row says so."""
    half = replace(energy(), heard_ms=450_000)
    write(engine, interval(draft(half, contract=terms(credit=NoCredit()))))
    assert settled(engine).rows[0].quality is Quality.ESTIMATED


def test_what_cannot_be_adjusted_is_refused(engine: Engine) -> None:
    """An odd time, one that is not over, one that was never settled, a partner that nobody knows."""
    write(engine, interval(draft()))
    table = desk(engine)
    odd, late = AT + timedelta(minutes=7), LATER.replace(minute=0)
    for at, refusal in ((odd, InvalidField), (late, InvalidField), (AT + timedelta(days=3), NothingSettled)):
        with pytest.raises(refusal):
            table.settlement.adjust("north", at, Change(metered_ws=1), reason="r", by="b")
    with pytest.raises(NothingSettled, match="settled was with north"):
        settled(engine, "nobody")


def test_an_interval_is_never_less_than_nothing(engine: Engine) -> None:
    """More than was drawn, or lacked, cannot be taken away; what was added before can."""
    write(engine, interval(draft(energy(MWH, {Cause.GRID: 5}))))
    with pytest.raises(InvalidField, match=f"take away {MWH} Ws at most"):
        adjust(engine, Change(metered_ws=-MWH - 1))
    with pytest.raises(InvalidField, match=r"curtailed_ws\.grid = -6"):
        adjust(engine, Change(curtailed_ws={Cause.GRID: -6}))
    adjust(engine, Change(metered_ws=1))
    adjust(engine, Change(metered_ws=-MWH - 1, curtailed_ws={Cause.GRID: -5}))
    assert totals_of(settled(engine).rows).metered_ws == MWH
    assert changes_of(settled(engine).adjustments).metered_ws == -MWH


def test_an_adjustment_counts_in_the_month_of_its_interval_in_utc(engine: Engine) -> None:
    """However its time is written: the last quarter of a month is the next month's in the east already."""
    capped, number = terms(credit_cap_micro=6_000_000), 31 * 96 - 1
    write(engine, interval(draft(energy(0, {Cause.GRID: MWH}), contract=capped, number=number)))
    at = (AT + number * timedelta(minutes=15)).astimezone(timezone(timedelta(hours=5)))
    more = Change(curtailed_ws={Cause.GRID: MWH})
    made = desk(engine).settlement.adjust("north", at, more, reason="log", by="asma")
    assert (made.credit_due_micro, made.credit_micro) == (5_000_000, 1_000_000)


def test_days_are_added_up_as_rows_are_written(engine: Engine) -> None:
    """As the rows themselves come to, adjustments included; a row that is written twice counts once."""
    for number in (0, 1, 96, 96):
        write(
            engine,
            interval(
                draft(energy(curtailed={Cause.GRID: MWH // 10}), number=number),
                draft(contract=terms("south"), number=number),
            ),
        )
    adjust(engine, Change(metered_ws=MWH), number=1)
    for since, days in ((AT, 1), (AT + timedelta(days=1), 1), (AT, 31)):
        account = desk(engine).settlement.statement("north", since, since + timedelta(days=days))
        parts = [*map(of_row, account.rows), *map(of_adjustment, account.adjustments)]
        with reading(engine) as session:
            sums = sums_between(session, since, since + timedelta(days=days))
        assert set(sums) == {"north", "south"}
        assert sums["north"][0] == reduce(SoFar.plus, parts)
    with reading(engine) as session:
        assert sums_between(session, *MONTH)["north"][1] == AT + timedelta(days=1, minutes=15)


def test_a_month_that_was_settled_before_there_were_sums_is_added_up_by_the_migration(engine: Engine) -> None:
    """Down and up again makes the very same sums from the rows."""
    unpriced = draft(
        contract=terms(credit=LostHashprice(hashing=S21)), number=2, what=energy(curtailed={Cause.GRID: 1})
    )
    told = tuple(
        Notice(begun_at=AT + timedelta(minutes=30), cause=Cause.GRID, given_s=s, due_s=60) for s in (59, 60)
    )
    write(
        engine,
        interval(draft(energy(curtailed={Cause.GRID: MWH // 10}))),
        interval(draft(number=1)),
        interval(replace(unpriced, energy=replace(unpriced.energy, notices=told))),
    )
    adjust(engine, Change(metered_ws=MWH), number=1)
    with reading(engine) as session:
        before, hours = sums_between(session, *MONTH), hours_of(session, None)
    downgrade(engine, "0014")
    migrate(engine)
    with reading(engine) as session:
        assert sums_between(session, *MONTH) == before
        assert hours_of(session, None) == hours
    assert (hours.year, hours.month) == (2026, 10)
