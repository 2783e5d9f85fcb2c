"""The record that forecasts learn from and are kept in: in memory and on every database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from scheduler.core.envelope import OPERATOR
from scheduler.core.reasons import Event
from scheduler.forecasting.forecaster import in_a_process
from scheduler.forecasting.worker import Request
from scheduler.ports import Forecasts
from scheduler.predictions import QUARTER, STEPS, Made, Method, Quarter, State, Told
from scheduler.store import chain
from scheduler.store.database import writing
from scheduler.store.forecasts import KEPT, SqlForecasts
from scheduler.store.tables import SampleMinuteRow
from tests.forecasts import KeptForecasts, sunny
from tests.stores import KINDS, T0, database

ROWS = {Method.LEARNED: ((1.0, 2.0, 3.0),) * STEPS}
M = timedelta(minutes=1)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A migrated, empty database."""
    with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(params=["memory", *KINDS])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forecasts]:
    """Nothing is on record."""
    if request.param == "memory":
        yield KeptForecasts()
    else:
        with database(request.param, tmp_path) as opened:
            yield SqlForecasts(opened)


def told_at(at: datetime) -> Told:
    """A forecast that was made then."""
    return Told(at=at, state=State.MADE, why="w", made=Made(made_at=at, starts_at=at, rows=ROWS))


def test_what_was_told_last_is_there_for_the_next_leader(book: Forecasts) -> None:
    """With every forecast that can still be judged; one that is told again is one."""
    assert (book.newest(), book.kept(since=T0), book.days()) == (None, (), 0.0)
    first, second = told_at(T0), told_at(T0 + timedelta(hours=1))
    for told in (first, second, replace(second, at=T0 + timedelta(hours=2), state=State.FAILED)):
        book.keep(told)

    newest = book.newest()
    assert newest is not None
    assert (newest.state, newest.made) == (State.FAILED, second.made)
    assert book.kept(since=T0) == (first.made, second.made)
    assert book.kept(since=T0 + M) == (second.made,)


def test_old_forecasts_are_dropped(engine: Engine) -> None:
    """Once they were judged."""
    book = SqlForecasts(engine)
    book.keep(told_at(T0))
    book.keep(told_at(T0 + KEPT + M))
    assert [made.made_at for made in book.kept(since=T0 - M)] == [T0 + KEPT + M]


def record(engine: Engine, minutes: int, *, limit_w: float = 600.0, covered_s: float = 60.0) -> None:
    """A row for each minute."""
    nothing = dict.fromkeys(
        ("draw_wh", "ai_wh", "rest_wh", "miners_wh", "committed_wh", "unused_wh", "over_limit_s"), 0.0
    )
    with writing(engine) as session:
        session.add_all(
            SampleMinuteRow(
                minute_at=T0 + i * M, covered_s=covered_s, limit_wh=limit_w * covered_s / 3600, **nothing
            )
            for i in range(minutes)
        )


def changed(engine: Engine, *told: tuple[float, str, bool]) -> None:
    """The limit became another one: after so many minutes, by whom, and whether he was silent."""
    with writing(engine) as session:
        chain.append(
            session,
            [
                Event(
                    at=T0 + at * M,
                    kind="limit.changed",
                    text="t",
                    data={"limit_w": 1.0, "source": s, "stale": stale},
                )
                for at, s, stale in told
            ],
        )


def test_the_history_is_by_quarters_of_which_enough_was_seen(engine: Engine) -> None:
    """The last one here was seen for six minutes only."""
    record(engine, 36)
    book = SqlForecasts(engine)
    assert book.history(since=T0, until=T0 + 60 * M) == (
        Quarter(at=T0, limit_w=600.0),
        Quarter(at=T0 + QUARTER, limit_w=600.0),
    )
    assert book.history(since=T0, until=T0 + QUARTER) == (Quarter(at=T0, limit_w=600.0),)
    assert book.days() == 36 / 1440


def test_limits_of_people_and_of_silence_are_not_learned(engine: Engine) -> None:
    """Each minute that one of them touched is left out, also where it began before the time that is asked for."""
    record(engine, 75)
    changed(engine, (-50, "operator", False), (3.5, "grid", False), (17, "emergency stop", False))
    changed(engine, (29, "grid", False), (45, "grid", True), (60, "grid", False))
    kept = SqlForecasts(engine).history(since=T0, until=T0 + 75 * M)

    assert OPERATOR == "operator"
    assert [q.at for q in kept] == [T0, T0 + 2 * QUARTER, T0 + 4 * QUARTER]


async def test_a_forecast_is_made_from_the_database_in_a_process_of_its_own(tmp_path: Path) -> None:
    """With a history from a file besides; and what goes wrong is said."""
    with database("sqlite", tmp_path) as opened:
        record(opened, 30)
    history = tmp_path / "old.csv"
    rows = (f"{q.at.isoformat()},{q.limit_w}" for q in sunny(T0 - timedelta(days=4), 4))
    history.write_text("\n".join(["time,w", *rows]), encoding="utf-8")
    request = Request(
        at=T0 + 32 * M, database=str(tmp_path / "barq.db"), path=str(history), map="time=time,value=w"
    )

    told = await in_a_process(request)
    assert told.state is State.MADE, told.why
    assert told.made is not None
    assert (told.method, told.made.starts_at) == (Method.LEARNED, T0 + 30 * M)
    assert round(told.history_days, 2) == 4.02
    assert told.took_s > 0

    failed = await in_a_process(replace(request, path=str(tmp_path / "none.csv")))
    assert failed.state is State.FAILED
    assert "none.csv" in failed.why
