"""The log of events: chained, so that a change to the past shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update
from sqlmodel import col

from scheduler.store import chain
from scheduler.store.chain import GENESIS, Break
from scheduler.store.database import reading, writing
from scheduler.store.desk import Desk
from scheduler.store.refusals import JobNotFound
from scheduler.store.tables import EventRow
from tests.stores import KINDS, SITE, database, event, new_job


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database with a job and five events, two of them the job's."""
    with database(request.param, tmp_path) as opened:
        Desk(opened, site=SITE).submit([new_job()])
        with writing(opened) as session:
            chain.append(session, [event("one"), event("two", job_id="demo-1")])
        with writing(opened) as session:
            chain.append(session, [event("three"), event("four", job_id="demo-1"), event("five")])
        yield opened


def broken(engine: Engine) -> Break | None:
    """What the check says."""
    return Desk(engine, site=SITE).verify_events()


def test_an_untouched_log_holds(engine: Engine) -> None:
    """From the first event to the last, over several transactions."""
    assert broken(engine) is None
    with reading(engine) as session:
        head = chain.head(session)
    assert (head.seq, len(head.hash)) == (5, 64)


def test_an_empty_log_holds(tmp_path: Path) -> None:
    """Nothing has happened, nothing is broken."""
    with database("sqlite", tmp_path) as engine:
        assert broken(engine) is None
        with reading(engine) as session:
            assert chain.head(session) == chain.Head(seq=0, hash=GENESIS)


@pytest.mark.parametrize(
    "change",
    [{"text": "nothing happened"}, {"data": "{}"}, {"job_id": "demo-9"}, {"kind": "x"}, {"hash": "0" * 64}],
)
def test_a_changed_event_is_found(engine: Engine, change: dict[str, str]) -> None:
    """Whatever of it was changed."""
    with writing(engine) as session:
        session.execute(update(EventRow).where(col(EventRow.seq) == 3).values(change))
    assert broken(engine) == Break(seq=3, why="event 3 or its place was changed after it was written")


def test_a_missing_event_is_found(engine: Engine) -> None:
    """One that was taken out of the middle."""
    with writing(engine) as session:
        session.execute(delete(EventRow).where(col(EventRow.seq) == 2))
    assert broken(engine) == Break(seq=2, why="event 2 is missing, the next one is 3")


def test_a_chain_made_anew_does_not_fit_a_head_that_was_kept(engine: Engine) -> None:
    """Who rewrites everything behind a change still fails against a head noted elsewhere."""
    with reading(engine) as session:
        noted = chain.head(session)
    with writing(engine) as session:
        session.execute(delete(EventRow).where(col(EventRow.seq) > 3))
        chain.append(session, [event("forged"), event("five"), event("six")])
    with reading(engine) as session:
        assert chain.verify_chain(session) is None
        assert chain.verify_chain(session, since=noted) == Break(
            seq=6, why="event 6 or its place was changed after it was written"
        )


def test_a_long_log_is_checked_page_by_page(engine: Engine) -> None:
    """More events than fit one page hold as well."""
    with writing(engine) as session:
        chain.append(session, [event(str(i)) for i in range(2500)])
    assert broken(engine) is None


def test_events_are_read_in_order_and_by_page(engine: Engine) -> None:
    """Oldest first, after a number, no more than asked for."""
    desk = Desk(engine, site=SITE)
    assert [e.text for e in desk.events()] == ["one", "two", "three", "four", "five"]
    assert [e.text for e in desk.events(after=2, limit=2)] == ["three", "four"]
    assert [e.text for e in desk.events("demo-1")] == ["two", "four"]
    assert [e.text for e in desk.recent_events(limit=2)] == ["four", "five"]
    assert [e.text for e in desk.recent_events("demo-1", limit=1)] == ["four"]


def test_an_event_is_shown_whole(engine: Engine) -> None:
    """With its facts, in their types."""
    [first] = Desk(engine, site=SITE).events(limit=1)
    assert (first.seq, first.kind, first.job_id, first.data) == (
        1,
        "job.started",
        None,
        {"watts": 400.5, "why": "ħ"},
    )


def test_events_of_a_job_that_is_not_there_are_refused(engine: Engine) -> None:
    """An empty list would say that nothing happened to it."""
    with pytest.raises(JobNotFound, match="there is no job 'demo-7'"):
        Desk(engine, site=SITE).events("demo-7")
