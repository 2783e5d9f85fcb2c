"""Having forecasts made: when, what is done without, and what a failure costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.envelope import Envelope, Segment
from scheduler.core.hindsight import HISTORY
from scheduler.forecast_settings import ForecastSettings, History, Use
from scheduler.forecasting import forecaster as module
from scheduler.forecasting.forecaster import Forecaster, next_at
from scheduler.forecasting.worker import Request
from scheduler.hindsight import GOOD_FOR, Hindsight
from scheduler.predictions import STEPS, Made, Method, State, Told
from tests.builders import T0
from tests.fakes import FakeClock
from tests.forecasts import KeptForecasts, sunny

H = timedelta(hours=1)
ROWS = dict.fromkeys(Method, ((100.0, 200.0, 300.0),) * STEPS)
OPEN = Envelope(
    source="grid",
    issued_at=T0,
    read_at=T0,
    reaction_s=30.0,
    segments=(Segment(starts_at=T0, limit_w=500.0),),
)
FAILED = Told(at=T0, state=State.FAILED, why="no luck")


class Bench:
    """A forecaster whose work is done by the test."""

    def __init__(self, settings: ForecastSettings, *, days: float = 4.0, told: Told | None = None) -> None:
        self.clock = FakeClock()
        self.book = KeptForecasts(sunny(T0 - timedelta(days=days), days), told)
        self.hindsight = Hindsight()
        self.requests: list[Request] = []
        self.answer: Told | None = None
        self.forecaster = Forecaster(
            settings, self.book, self.hindsight, self.clock, state=Path("/s"), work=self.work
        )

    async def work(self, request: Request) -> Told:
        self.requests.append(request)
        usual = made_at(request.at)
        return usual if self.answer is None else replace(self.answer, at=request.at)

    def later(self, by: timedelta) -> None:
        self.clock.now_ms += round(by.total_seconds() * 1000)

    @property
    def planned_on(self) -> str:
        return self.hindsight.over([OPEN], self.clock.now())[0].forecast_by


def made_at(at: datetime) -> Told:
    """A forecast as the worker makes it."""
    made = Made(made_at=at, starts_at=at, rows=ROWS)
    return Told(at=at, state=State.MADE, why="w", made=made, method=Method.LEARNED)


async def test_a_forecast_is_planned_on_only_where_the_site_file_says_so() -> None:
    """By default it is made, kept and shown, and nobody plans on it."""
    shown, used = Bench(ForecastSettings()), Bench(ForecastSettings(use=Use.STARTS))
    for bench in (shown, used):
        assert (await bench.forecaster.renew()).state is State.MADE
        assert [told.at for told in bench.book.told] == [T0]
    assert (shown.planned_on, used.planned_on) == ("", HISTORY)


async def test_with_too_little_history_nothing_is_started() -> None:
    """Unless the operator gives a history."""
    bench = Bench(ForecastSettings(use=Use.STARTS), days=1.0)
    told = await bench.forecaster.renew()
    assert (told.state, bench.requests, bench.planned_on) == (State.TOO_SHORT, [], "")
    assert "1.0 days" in told.why

    given = Bench(ForecastSettings(history=History(path=Path("old.csv"), map="value=w")), days=1.0)
    assert (await given.forecaster.renew()).state is State.MADE
    assert (given.requests[0].path, given.requests[0].map) == ("/s/old.csv", "value=w")


async def test_nothing_is_made_where_it_is_not_wanted_or_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason is there to be read."""
    off = Bench(ForecastSettings(use=Use.NOTHING))
    assert (await off.forecaster.renew()).state is State.OFF
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    bench = Bench(ForecastSettings())
    told = await bench.forecaster.renew()
    assert (told.state, bench.requests) == (State.MISSING, [])
    assert "barq[forecast]" in told.why


async def test_after_a_failure_the_last_forecast_stands_for_a_while() -> None:
    """And then no longer: nobody plans on what is old."""
    bench = Bench(ForecastSettings(use=Use.STARTS))
    first = await bench.forecaster.renew()
    bench.answer = FAILED
    bench.later(H)
    told = await bench.forecaster.renew()
    assert (told.state, told.why, told.made, bench.planned_on) == (
        State.FAILED,
        "no luck",
        first.made,
        HISTORY,
    )

    bench.later(GOOD_FOR)
    assert (await bench.forecaster.renew()).made is None
    assert bench.planned_on == ""


async def test_a_new_leader_goes_on_with_a_young_forecast() -> None:
    """And does not make it again; an hour later it does."""
    bench = Bench(ForecastSettings(use=Use.STARTS), told=made_at(T0 - H / 4))
    await bench.forecaster._resume()
    await bench.forecaster.renew()
    assert (bench.requests, bench.planned_on) == ([], HISTORY)

    bench.later(H)
    await bench.forecaster.renew()
    assert [r.at for r in bench.requests] == [T0 + H]


def test_forecasts_are_due_soon_after_each_full_hour() -> None:
    """When the minute before it is on record."""
    due = T0 + timedelta(seconds=75)
    assert [next_at(T0 + s * timedelta(seconds=1)) for s in (0, 74, 75, 3600)] == [due, due, due + H, due + H]


async def test_a_worker_that_cannot_be_started_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is one that answers nonsense."""
    request = Request(at=T0, database="/nowhere.db")
    monkeypatch.setattr(module, "_COMMAND", ("/no/such/program",))
    assert "cannot be started" in (await module.in_a_process(request)).why
    monkeypatch.setattr(module, "_COMMAND", ("/bin/cat",))
    assert "nonsense" in (await module.in_a_process(request)).why
    monkeypatch.setattr(module, "_COMMAND", ("/bin/false",))
    assert "ended with 1" in (await module.in_a_process(request)).why
    monkeypatch.setattr(module, "_COMMAND", ("/bin/sleep", "60"))
    assert "not done" in (await module.in_a_process(request, patience_s=0.01)).why
