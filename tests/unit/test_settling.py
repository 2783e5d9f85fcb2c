"""The books of partners, second by second: from snapshots to intervals that are over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler.core.contracts import HashpriceIndex, Terms
from scheduler.core.curtailment import Cause
from scheduler.core.decide import Decision, decide
from scheduler.core.hashprice import ChainFigures
from scheduler.core.interval import MOST_GRANTS, Running
from scheduler.core.inventory import Wish
from scheduler.core.ledger import OpenOrder
from scheduler.core.orders import Fence, MinerReading
from scheduler.core.partners import HOUSE, Partner, Price
from scheduler.core.plan import limit_now
from scheduler.core.settlement import Closed, Measured, Quality, settled
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.documents import sample
from scheduler.journal import Journal
from scheduler.ports import Prices
from scheduler.price_files import SitePrices
from scheduler.pricing import quotes_for
from scheduler.records import MEASURED, SETTLING, TickRecord
from scheduler.settling import Settling
from scheduler.store import chain
from scheduler.store.database import reading
from scheduler.store.desk import Desk
from scheduler.store.recorder import SqlStore
from scheduler.watchman import Watchman
from scheduler.wire import dumps, loads
from tests.builders import T0, SiteBuilder, site
from tests.settled import S21, figures, terms
from tests.stores import SITE, database

STEP_S = 10.0


class Known:
    """Figures of the chain that are always fresh."""

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """Of that very instant."""
        return figures(at)

    def price_at(self, series: str, at: datetime) -> Price | None:
        """None of a series."""
        del series, at
        return None


def two_fleets() -> SiteBuilder:
    """North's of 4 kW, one of 2 kW that nobody owns, a node with work for it, 200 kW of limit."""
    partners = (Partner(partner_id="north", groups=("a",)),)
    return (
        site(partners=partners).node("n", gpus=4).miners("a", max_w=4000).miners("b", max_w=2000).limit_w(2e5)
    )


class Story:
    """A site that is settled every ten seconds; `then` says what is as long as it lasts."""

    def __init__(self, contract: Terms | None = None, settling: Settling | None = None) -> None:
        self.builder, self.at = two_fleets(), T0
        self.books = settling or Settling()
        self.books.open({"north": contract or terms()})
        self.prices: Prices = Known()
        self.paused: tuple[MinerReading, ...] = ()  #: machines of north's, where some are

    def then(self, seconds: float, **told: Any) -> Story:
        """So many seconds of it."""
        until = self.at + timedelta(seconds=seconds)
        while self.at < until:
            self.step(**told)
            self.at += timedelta(seconds=STEP_S)
        return self.priced()

    def priced(self) -> Story:
        """What is over by now is priced."""
        for measured in self.books.measured:
            self.books.priced(measured, quotes_for(measured, self.prices))
        return self

    def step(
        self,
        *,
        given_w: float = 4000.0,
        drawn_w: float = 4000.0,
        ai_w: float = 0.0,
        lost_w: float = 50.0,
        limit_w: float = 2e5,
        is_heard: bool = True,
        order: OpenOrder | None = None,
        falls_s: float | None = None,
    ) -> None:
        """One reading; `order` goes out to north's with it. The limit is known to fall then, s after the beginning."""
        self.builder.limit_w(limit_w)
        if falls_s is not None:
            self.builder.falls_to_w(820.0, in_s=falls_s)
        snapshot = self._snapshot(drawn_w, lost_w, is_heard=is_heard)
        decision = Decision(
            limit=limit_now(snapshot),
            miners_w={"a": given_w, "b": 0.0},
            planned_w=820.0 + ai_w + given_w,
        )
        orders = {} if order is None else {"a": order}
        self.books.measure(snapshot, decision, sample(snapshot, decision, over_limit=False), orders)

    def _snapshot(self, drawn_w: float, lost_w: float, *, is_heard: bool) -> Snapshot:
        built = replace(self.builder.snapshot(), at=self.at)
        seen_at = self.at if is_heard else self.at - timedelta(seconds=60)
        draws_w = {"n": 820.0, "a": drawn_w, "b": 0.0}
        groups = {
            gid: replace(g, draw_w=draws_w[gid], reported_at=seen_at if gid == "a" else self.at)
            for gid, g in built.groups.items()
        }
        if self.paused:
            groups["a"] = replace(groups["a"], miners=self.paused)
        meter = MeterReading(draw_w=820.0 + drawn_w + lost_w, measured_at=self.at)
        return replace(built, groups=groups, meter=meter)

    def closed(self) -> Closed:
        """The one interval that is over."""
        (one,) = self.books.closed
        return one


def energies(one: Closed, name: str = "north") -> Any:
    """What it came to for a partner."""
    return next(d.energy for d in one.drafts if d.partner_id == name)


def test_an_interval_is_told_once_it_is_over_and_until_it_is_on_record() -> None:
    """North drew 1 kWh; so did the site in its other parts, and 50 W are lost on the way."""
    story = Story().then(910)
    one = story.closed()
    assert energies(one).metered_ws == 4000 * 900
    assert (energies(one).heard_ms, energies(one).curtailed_ws) == (900_000, {})
    assert set(one.balance.partners_ws) == {"north", HOUSE}
    assert (one.balance.overhead_ws, one.balance.losses_ws) == (820 * 900, 50 * 900)
    assert one.balance.site_ws == 4870 * 900
    record = TickRecord(at=story.at, epoch=1, intervals=story.books.closed)
    story.books.recorded(record)
    assert story.books.closed == ()


def test_what_is_cut_is_told_by_cause() -> None:
    """AI takes the room, then the limit falls: each for five minutes, after as much with nothing in the way."""
    story = Story().then(600)
    story.books.recorded(TickRecord(at=story.at, epoch=1))
    story.then(310, given_w=4000.0)
    story.books.recorded(TickRecord(at=story.at, epoch=1, intervals=story.books.closed))
    story.then(290, given_w=1000.0, drawn_w=1000.0, ai_w=5000.0, limit_w=6820.0)
    story.then(300, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    story.then(310)
    curtailed = energies(story.closed()).curtailed_ws
    assert curtailed == {Cause.AI_PREEMPT: 3000 * 290, Cause.GRID: 4000 * 300}
    assert energies(story.closed()).curtailed_ms == 590_000


def test_who_is_not_heard_of_is_not_metered() -> None:
    """What nobody read is charged to nobody: it shows as a loss of the site, and as curtailed for want of contact."""
    story = Story().then(700).then(210, is_heard=False)
    energy, balance = energies(story.closed()), story.closed().balance
    assert energy.metered_ws == 4000 * 700
    assert energy.heard_ms == 700_000
    assert energy.curtailed_ws == {Cause.COMMS_LOSS: 4000 * 200}
    assert balance.losses_ws == 50 * 900 + 4000 * 200


def test_machines_that_nobody_reads_are_charged_to_nobody() -> None:
    """They count at their nameplate in their group's base, which is for the limit's sake alone."""
    story = Story()
    group = story.builder.groups["a"]
    spec = replace(group.spec, base_w=3400.0)
    story.builder.groups["a"] = replace(group, spec=spec, guessed_w=3400.0)
    energy = energies(story.then(910, drawn_w=7400.0, lost_w=-3400.0).closed())
    assert (energy.metered_ws, energy.granted_ws) == (4000 * 900, 4000 * 900)
    assert (energy.overdraw_ws, energy.curtailed_ws) == (0, {})


def test_a_machine_that_only_its_outlet_rules_is_charged_to_nobody_while_it_runs() -> None:
    """It lets nobody in: what it was given and may draw is no part of what is settled, until it can be read."""
    story = Story()
    group = story.builder.groups["a"]
    story.builder.groups["a"] = replace(group, guessed_w=1000.0)
    energy = energies(story.then(910, drawn_w=4000.0).closed())
    assert (energy.metered_ws, energy.granted_ws) == (3000 * 900, 3000 * 900)
    assert (energy.overdraw_ws, energy.curtailed_ws) == (0, {})


def test_a_restart_in_the_middle_loses_what_nobody_read_and_no_more() -> None:
    """The next leader goes on with the interval as it was stored; a reading stands for ten seconds at most."""
    story = Story().then(300)
    stored = loads(Running, dumps(story.books.running))
    assert stored == story.books.running
    story.books = Settling()
    story.books.open({"north": terms()}, running=stored)
    story.at += timedelta(seconds=120)
    story.then(490)
    energy = energies(story.closed())
    assert energy.metered_ws == 4000 * (900 - 120)
    assert energy.heard_ms == 780_000


def test_a_long_silence_ends_one_interval_and_begins_another() -> None:
    """Those in between are not there: nobody knows of them."""
    story = Story().then(300)
    story.at += timedelta(hours=2)
    story.then(20)
    assert story.closed().balance.starts_at == T0
    assert story.books.running is not None
    assert story.books.running.starts_at == T0 + timedelta(hours=2)


def test_prices_are_those_of_the_interval_s_beginning() -> None:
    """With the figures that they were made of; without any the row has none."""
    contract = terms(price=HashpriceIndex(hashing=S21))
    (draft, *_) = sorted(Story(contract).then(910).closed().drafts, key=lambda d: d.partner_id == HOUSE)
    assert draft.price.micro_per_mwh == S21.micro_per_mwh(figures())
    assert {i.as_of_at for i in draft.price.inputs if i.as_of_at} == {T0}
    story = Story(contract)
    story.prices = SitePrices((), Path("/nowhere"))
    unpriced = next(d for d in story.then(910).closed().drafts if d.partner_id == "north")
    assert settled(unpriced, 0).charge_micro is None


def test_what_its_owner_paused_is_the_partner_s_own_request() -> None:
    """A paused machine of a fleet counts there, as far as the fleet draws less."""
    story = Story()
    one = MinerReading(miner_id="a-1", target_w=0.0, draw_w=0.0, wish=Wish.PAUSED)
    two = MinerReading(miner_id="a-2", target_w=2000.0, draw_w=2000.0)
    story.then(460).paused = (one, two)
    energy = energies(story.then(450, given_w=2000.0, drawn_w=2000.0).closed())
    assert energy.curtailed_ws == {Cause.PARTNER_REQUEST: 2000 * 440}


def test_the_grants_of_an_interval_come_to_what_was_granted() -> None:
    """Each with its watts, for how long, and by which order; one goes on while its watts are the same."""
    story = Story().then(300).then(300, given_w=2500.0, drawn_w=2500.0).then(310)
    energy = energies(story.closed())
    assert [(g.granted_w, g.ms) for g in energy.grants] == [(4000, 300_000), (2500, 300_000), (4000, 300_000)]
    assert [g.begins_at for g in energy.grants] == [T0 + timedelta(seconds=s) for s in (0, 300, 600)]
    assert energy.granted_ws == sum(g.granted_w * g.ms for g in energy.grants) // 1000
    assert energy.unlisted_ms == 0


def test_a_grant_names_the_order_that_says_so() -> None:
    """The one that goes out with the decision, and up to when it is good."""
    first = OpenOrder(
        fence=Fence(epoch=1, seq=7), entitlement_w=4000.0, fallback=(), expires_at=T0 + timedelta(seconds=15)
    )
    renewed = replace(first, fence=Fence(epoch=1, seq=8), expires_at=T0 + timedelta(seconds=920))
    story = Story().then(10, order=first).then(900, order=renewed)
    energy = energies(story.closed())
    (grant,) = energy.grants
    assert (grant.orders, grant.until_at) == ({"a": "1.7"}, renewed.expires_at)
    assert energy.orders == {"a": ("1.7", "1.8")}


def test_of_very_many_grants_the_first_are_listed_and_the_time_of_the_rest_is_told() -> None:
    """A row stays small whatever flickers; what was granted counts all of them."""
    story = Story()
    for number in range(45):
        story.then(20, given_w=1000.0 + number, drawn_w=1000.0)
    energy = energies(story.then(10).closed())
    assert len(energy.grants) == MOST_GRANTS
    assert energy.unlisted_ms == 5 * 20_000
    assert sum(g.ms for g in energy.grants) + energy.unlisted_ms == energy.covered_ms


def test_whose_hours_are_spent_is_told_until_it_is_on_record() -> None:
    """A leader that begins with them spent tells it no more."""
    contract = terms(max_curtailed_s=200)
    story = Story(contract).then(300).then(150, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    assert (story.books.spent, story.books.events) == ((), ())
    story.then(100, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    [event] = list(story.books.events)
    assert (story.books.spent, event.kind) == (("north",), "partner.hours_spent")
    story.books.recorded(TickRecord(at=story.at, epoch=1))
    assert list(story.books.events) == [event]
    story.books.recorded(TickRecord(at=story.at, epoch=1, events=(event,)))
    assert not story.books.events
    running = story.books.running
    story.books = Settling()
    story.books.open({"north": contract}, running=running)
    story.then(100)
    assert (story.books.spent, story.books.events) == (("north",), ())


def test_a_site_without_partners_settles_with_nobody() -> None:
    """And writes nothing down."""
    story = Story()
    story.books = Settling()
    story.then(910)
    assert (story.books.closed, story.books.running) == ((), None)


async def test_a_tick_writes_down_what_is_over_and_where_the_next_leader_goes_on(tmp_path: Path) -> None:
    """In one transaction: the rows of the interval, its line in the log, and the running interval."""
    with database("sqlite", tmp_path) as engine:
        store, story = SqlStore(engine), Story().then(900)
        epoch = await store.claim("a", at=T0)
        journal = Journal(epoch=epoch, watchman=Watchman(), settling=story.books)
        for second in (0, 1):  # what is over with the first is priced before the next
            snapshot = replace(story.builder.snapshot(), at=story.at + timedelta(seconds=second))
            tick = journal.write(snapshot, decide(snapshot), {}, {})
            await store.record(tick)
            story.books.recorded(tick)
            story.priced()
        assert story.books.closed == ()
        stored = await store.load()
        assert stored.settling == story.books.running
        assert stored.hours is not None
        assert stored.hours.curtailed_ms == {HOUSE: 900_000, "north": 0}
        (row,) = Desk(engine, site=SITE).settlement.statement("north", T0, T0 + timedelta(hours=1)).rows
        assert row.draft.energy.metered_ws == 4000 * 900
        with reading(engine) as session:
            head = chain.head(session)
            line = chain.line(session, head.seq)
        assert line is not None
        assert line.kind == "settlement.written"
        store.close()


def test_who_left_the_site_file_in_an_interval_is_not_charged_by_a_guess() -> None:
    """What was metered until then is on record, without a price."""
    story = Story().then(300)
    running = story.books.running
    story.books = Settling()
    story.books.open({"south": terms("south")}, running=running)
    story.builder.site = replace(story.builder.site, partners=())
    story.then(610)
    rows = {d.partner_id: settled(d, 0) for d in story.closed().drafts}
    assert rows["north"].draft.energy.metered_ws == 4000 * 300
    assert (rows["north"].quality, rows["north"].charge_micro) == (Quality.UNPRICED, None)
    assert (rows[HOUSE].charge_micro, rows[HOUSE].draft.energy.metered_ws) == (0, 4000 * 600)


def test_who_was_the_last_partner_is_settled_up_to_the_end(tmp_path: Path) -> None:
    """A site file without partners settles with nobody, but for what was measured before; and that once."""
    story = Story().then(310)
    running = story.books.running
    story.books, story.prices = Settling(), Known()
    story.books.open({}, running=running)
    journal = Journal(epoch=1, watchman=Watchman(), settling=story.books)
    snapshot = story.builder.snapshot()
    told = [
        journal.write(replace(snapshot, at=story.at + timedelta(seconds=n)), decide(snapshot), {}, {})
        for n in (0, 1, 2)
    ]

    (measured,) = story.books.measured
    assert measured.over.parts["north"].metered_ws == 4000 * 300
    assert [sorted({SETTLING, MEASURED} & set(tick.current)) for tick in told] == [
        [SETTLING, MEASURED],
        [],
        [],
    ]
    story.priced()
    (row,) = (d for d in story.closed().drafts if d.partner_id == "north")
    assert settled(row, 0).quality is Quality.UNPRICED
    later = replace(snapshot, at=story.at + timedelta(seconds=3))
    assert loads(tuple[Measured, ...], journal.write(later, decide(later), {}, {}).current[MEASURED]) == ()


def test_who_comes_back_in_the_same_quarter_is_added_to_what_is_on_record() -> None:
    """Nothing of it is lost because something of it was written down."""
    story = Story().then(310)
    running = story.books.running
    for contracts in ({}, {"north": terms()}):
        story.books = Settling()
        story.books.open(contracts, running=running)
        story.then(310)
        running = story.books.running
    story.then(300)
    (again,) = story.books.closed

    assert again.is_second
    assert again.balance.starts_at == T0
    assert energies(again).metered_ws == 4000 * (900 - 620)
