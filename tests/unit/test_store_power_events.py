"""Power events in the store: numbers, pages, plans with their proof, and what became of older records."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from scheduler.core.counterfactual import Counterfactual
from scheduler.store.database import downgrade, migrate, reading
from scheduler.store.desk import Desk
from scheduler.store.power_events import EventFilter
from scheduler.store.recorder import SqlStore
from scheduler.store.refusals import InvalidField, PowerEventNotFound
from scheduler.witness import told
from tests.stores import KINDS, SITE, T0, after, database, event, power_event, tick

PLAN = '{"watts":{"draw_w":9000.0}}'


def plan(plan_text: str = PLAN) -> Counterfactual:
    """A plan that was made ahead."""
    digest = hashlib.sha256(plan_text.encode()).hexdigest()
    return Counterfactual(made_at=after(1), falls_at=after(61), text=plan_text, sha256=digest)


class Site:
    """A desk and a leader on one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.desk = Desk(engine, site=SITE, now=lambda: T0)
        self.store = SqlStore(engine)


@pytest.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose leader has epoch 1."""
    with database(request.param, tmp_path) as engine:
        made = Site(engine)
        await made.store.claim("leader", at=T0)
        yield made
        made.store.close()


async def test_events_are_numbered_as_they_begin_and_listed_newest_first(site: Site) -> None:
    """Page by page; a number stays when the event changes."""
    await site.store.record(tick(1, 1, power_events=(power_event(20), power_event(10))))
    await site.store.record(tick(2, 1, power_events=(power_event(30), power_event(10, ended_at=after(31)))))

    first = site.desk.power_events(limit=2)
    rest = site.desk.power_events(limit=2, after=first.next)
    assert [(v.number, v.event.began_at) for v in first.events] == [(3, after(30)), (2, after(20))]
    assert [(v.number, v.event.ended_at) for v in rest.events] == [(1, after(31))]
    assert rest.next is None
    within = EventFilter(since_at=after(20), until_at=after(30))
    assert [v.number for v in site.desk.power_events(within).events] == [2]
    with pytest.raises(InvalidField, match="after"):
        site.desk.power_events(after="x")


async def test_a_plan_is_stored_with_the_line_of_the_log_that_holds_its_hash(site: Site) -> None:
    """Before its event is there; told again it stays as it was."""
    made = plan()
    await site.store.record(tick(1, 1, counterfactuals=(made,), events=(event("other"), told(made))))
    await site.store.record(
        tick(2, 1, counterfactuals=(replace(made, made_at=after(2)),), events=(told(made),))
    )
    await site.store.record(tick(62, 1, power_events=(power_event(61, plan_sha256=made.sha256),)))

    view, proof = site.desk.power_event(1)
    assert proof is not None
    assert proof.line is not None
    assert (proof.text, proof.made_at, proof.falls_at) == (PLAN, after(1), after(61))
    assert (view.plan_seq, proof.line.seq, proof.line.kind) == (2, 2, "power.baseline")
    assert made.sha256 in proof.line.data
    assert site.desk.power_events().events == (view,)
    assert site.desk.verify_events() is None


async def test_an_event_without_a_plan_says_so(site: Site) -> None:
    """Nothing had been read before it."""
    await site.store.record(tick(1, 1, power_events=(power_event(1),)))

    assert site.desk.power_event(1)[1] is None
    with pytest.raises(PowerEventNotFound, match="no power event 2"):
        site.desk.power_event(2)


async def test_a_fall_that_was_released_waits_for_nothing(site: Site) -> None:
    """It is kept as such, is not open any more, and no seconds to comply are made up for it."""
    begun = power_event(10)
    released = replace(begun, fall=replace(begun.fall, released_at=after(14)))
    await site.store.record(tick(1, 1, power_events=(released,)))

    summary = site.desk.summary()
    assert (await site.store.load()).power_events == (released,)
    assert (summary.withdrawals, summary.withdrawals_open, summary.comply_p50_s) == (1, 0, None)


async def test_withdrawals_of_an_older_version_are_kept(site: Site) -> None:
    """Up and down: when the limit fell, to what, from what draw, and when that was met."""
    done = power_event(10, complied_at=after(12))
    await site.store.record(tick(1, 1, power_events=(power_event(20), done)))
    downgrade(site.engine, "0009")
    with reading(site.engine) as session:
        assert session.scalar(text("SELECT count(*) FROM withdrawals WHERE draw_w = 9000")) == 2
    migrate(site.engine)

    newer, older = site.desk.power_events().events
    assert (older.number, older.event.fall.complied_at) == (1, after(12))
    assert (newer.number, newer.event.fall.complied_at, newer.event.is_final) == (2, None, True)
    assert site.desk.summary().withdrawals == 2
    assert (await site.store.load()).power_events == ()
