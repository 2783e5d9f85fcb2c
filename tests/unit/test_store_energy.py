"""Energy from samples: each speaks for the time until the next, and for no longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlmodel import col

from scheduler.core.accounting import LONGEST_S
from scheduler.records import PowerSample
from scheduler.store.database import reading, writing
from scheduler.store.desk import Desk
from scheduler.store.energy import forget_old_samples, record_sample, total_energy
from scheduler.store.tables import SampleMinuteRow, SampleRow
from scheduler.store.views import Energy
from tests.stores import KINDS, SITE, after, database, sample


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


def record(engine: Engine, *samples: PowerSample) -> Energy:
    """What the energy comes to."""
    with writing(engine) as session:
        for one in samples:
            record_sample(session, one)
    with reading(engine) as session:
        return total_energy(session)


def test_one_sample_is_no_energy_yet(engine: Engine) -> None:
    """Nobody knows how long it lasts."""
    assert record(engine, sample(0)) == Energy()


def test_watts_times_time_are_watt_hours(engine: Engine) -> None:
    """An hour of 10 kW offered and 6 kW drawn, split by use, second by second."""
    energy = record(engine, *(sample(s) for s in range(0, 3601, 10)))
    assert energy.covered_s == pytest.approx(3600.0)
    assert (energy.offered_wh, energy.drawn_wh) == pytest.approx((10_000.0, 6000.0))
    assert (energy.ai_wh, energy.overhead_wh, energy.miners_wh) == pytest.approx((3000.0, 2000.0, 1000.0))
    assert (energy.unused_wh, energy.over_limit_s) == pytest.approx((4000.0, 0.0))


def test_a_sample_holds_until_the_next_one(engine: Engine) -> None:
    """Watts are those before the change, not after it."""
    energy = record(engine, sample(0, draw_w=3600.0), sample(5, draw_w=0.0), sample(6, draw_w=9999.0))
    assert energy.drawn_wh == pytest.approx(5.0)


def test_a_sample_of_a_clock_that_was_ahead_holds_up_nothing(engine: Engine) -> None:
    """It went back: energy is reckoned from then on as before, and what is over an hour ahead is not the newest."""
    before = record(engine, sample(0), sample(5), sample(86_400))
    energy = record(engine, sample(6), sample(10))
    assert energy.covered_s - before.covered_s == pytest.approx(5.0)
    assert record(engine, sample(10)) == energy
    with writing(engine) as session:
        forget_old_samples(session, at=after(10))
        assert max(session.scalars(select(col(SampleRow.at)))) == after(10)


def test_time_that_nobody_sampled_is_not_made_up(engine: Engine) -> None:
    """The scheduler was gone for ten minutes: only the first seconds count."""
    energy = record(engine, sample(0), sample(600), sample(601))
    assert energy.covered_s == pytest.approx(LONGEST_S + 1)


def test_a_breach_counts_the_seconds_since_the_sample_before(engine: Engine) -> None:
    """The flag says that the limit was broken since then."""
    energy = record(engine, sample(0), sample(1, over_limit=True), sample(2, over_limit=True), sample(3))
    assert energy.over_limit_s == pytest.approx(2.0)


def test_what_is_over_the_limit_is_no_negative_rest(engine: Engine) -> None:
    """Unused energy never falls below nothing."""
    assert record(engine, sample(0, draw_w=12_000.0), sample(1)).unused_wh == 0.0


def test_a_repeated_or_late_sample_adds_nothing(engine: Engine) -> None:
    """Energy is counted once, in the order of time."""
    once = record(engine, sample(0), sample(5))
    assert record(engine, sample(5), sample(3)) == once


def test_seconds_go_after_an_hour_and_their_minutes_stay(engine: Engine) -> None:
    """Half a minute of each kind of minute row, its mean watts as they were."""
    before = record(engine, *(sample(s) for s in range(121)))
    with writing(engine) as session:
        forget_old_samples(session, at=after(3600 + 100))
    with reading(engine) as session:
        assert session.scalars(select(col(SampleRow.at)).order_by(col(SampleRow.at))).first() == after(100)
        assert total_energy(session) == before
        minute = session.get_one(SampleMinuteRow, after(60))
        assert minute.draw_wh * 3600 / minute.covered_s == pytest.approx(6000.0)


def test_samples_are_shown_from_a_time_on(engine: Engine) -> None:
    """Oldest first, as they were recorded."""
    record(engine, sample(0), sample(1, over_limit=True), sample(2))
    shown = Desk(engine, site=SITE).samples(after(2) - timedelta(seconds=1))
    assert shown == (sample(1, over_limit=True), sample(2))
