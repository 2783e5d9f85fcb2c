"""Quarters of an hour: energy by class, for ever, through restarts, corrections and pruning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlmodel import col

from scheduler.core.accounting import Quarter
from scheduler.core.grants import Grant
from scheduler.core.snapshot import Quality
from scheduler.records import PowerSample
from scheduler.store.corrections import Correction
from scheduler.store.database import downgrade, migrate, open_database, reading, writing
from scheduler.store.desk import Desk
from scheduler.store.energy import forget_old_samples, record_sample, total_energy
from scheduler.store.refusals import InvalidField
from scheduler.store.tables import SampleMinuteRow
from tests.stores import KINDS, SITE, T0, after, database, sample

GRANT = Grant(limit_w=10_000.0, source="grid", document="notice 118", feeder="f12", starts_at=T0)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


def drawn(at_s: float, draw_w: float = 6000.0, **changes: object) -> PowerSample:
    """A second that was judged by the grant, with 4 kW firm."""
    facts = {"firm_w": 4000.0, "quality": Quality.GOOD, "allowed": GRANT} | changes
    return sample(at_s, draw_w=draw_w, **facts)


def record(engine: Engine, *samples: PowerSample) -> tuple[Quarter, ...]:
    """What the quarters of the day come to."""
    with writing(engine) as session:
        for one in samples:
            record_sample(session, one)
    return Desk(engine, site=SITE).quarters(T0, after(86_400))


def test_a_quarter_has_energy_by_class_and_its_evidence(engine: Engine) -> None:
    """Firm, granted and breach add up to the draw; the document has its share."""
    (quarter,) = record(engine, *(drawn(s) for s in range(0, 50, 10)), drawn(50, 12_000.0), drawn(60))
    tally, (evidence,) = quarter.tally, quarter.evidence
    assert (tally.covered_s, tally.good_s, quarter.starts_at) == (60.0, 60.0, T0)
    hours = 10.0 / 3600.0
    assert tally.firm_wh == pytest.approx(4000.0 * 6 * hours)
    assert tally.granted_wh == pytest.approx((2000.0 * 5 + 6000.0) * hours)
    assert tally.breach_wh == pytest.approx(2000.0 * hours)
    assert tally.draw_wh == pytest.approx(tally.firm_wh + tally.granted_wh + tally.breach_wh)
    assert (evidence.document, evidence.feeder, evidence.starts_at) == ("notice 118", "f12", T0)
    assert (evidence.granted_wh, evidence.breach_wh) == (tally.granted_wh, tally.breach_wh)


def test_a_stretch_over_a_full_quarter_belongs_to_both(engine: Engine) -> None:
    """Each has the seconds that are its own."""
    one, other = record(engine, drawn(896), drawn(906))
    assert (one.starts_at, one.tally.covered_s) == (T0, 4.0)
    assert (other.starts_at, other.tally.covered_s) == (after(900), 6.0)


def test_seconds_count_by_what_the_reading_was_worth(engine: Engine) -> None:
    """Without a reading nothing was drawn that anybody knows of, and no document covers it."""
    kinds = [Quality.GOOD, Quality.ESTIMATED, Quality.STALE, Quality.BAD, None, None]
    samples = [drawn(s, 0.0 if q is None else 6000.0, quality=q) for s, q in enumerate(kinds)]
    (quarter,) = record(engine, *samples)
    t = quarter.tally
    assert (t.good_s, t.estimated_s, t.stale_s, t.bad_s, t.unmetered_s, t.metered_s) == (1, 1, 1, 1, 1, 4)
    assert quarter.evidence[0].covered_s == 4.0


def test_what_nobody_judged_is_not_classed(engine: Engine) -> None:
    """Nobody is said to have allowed it."""
    (quarter,) = record(engine, drawn(0, allowed=None), drawn(10))
    assert quarter.tally.unclassed_wh == quarter.tally.draw_wh == pytest.approx(60_000.0 / 3600.0)
    assert quarter.evidence == ()


def test_a_restart_in_a_quarter_goes_on_with_it(tmp_path: Path) -> None:
    """What was recorded stands, what was missed is not covered, and the peak is of minutes that were."""
    with database("sqlite", tmp_path) as engine:
        record(engine, *(drawn(s) for s in range(0, 121, 5)))
    again = open_database(tmp_path / "barq.db")
    (quarter,) = record(again, *(drawn(s, 9000.0) for s in range(600, 671, 5)))
    again.dispose()
    assert quarter.tally.covered_s == 120.0 + 10.0 + 70.0
    assert quarter.peak_minute_w == pytest.approx(9000.0)
    assert len(quarter.evidence) == 1


def test_quarters_come_to_the_sums_of_their_minutes(engine: Engine) -> None:
    """Whatever gaps there were."""
    times = [0, 1, 9, 30, 59.5, 61, 400, 405.25, 899.9, 900.4, 903, 1790, 1801, 1802]
    quarters = record(engine, *(drawn(s, 1000.0 + 37.0 * s) for s in times))
    with reading(engine) as session:
        for name in ("covered_s", "draw_wh", "ai_wh", "rest_wh", "miners_wh", "limit_wh", "unused_wh"):
            of_minutes = session.scalar(select(func.sum(getattr(SampleMinuteRow, name))))
            assert sum(getattr(q.tally, name) for q in quarters) == pytest.approx(of_minutes), name


def test_minutes_go_after_90_days_and_their_quarters_stay(engine: Engine) -> None:
    """The totals are those of the quarters: nothing is lost of them."""
    quarters = record(engine, *(drawn(s) for s in range(0, 1000, 10)))
    with writing(engine) as session:
        before = total_energy(session)
        forget_old_samples(session, at=T0 + timedelta(days=90, minutes=5))
        kept = session.scalars(
            select(col(SampleMinuteRow.minute_at)).order_by(col(SampleMinuteRow.minute_at))
        )
        assert kept.first() == after(300)
        assert total_energy(session) == before
    assert Desk(engine, site=SITE).quarters(T0, after(86_400)) == quarters


def correction(**changes: object) -> Correction:
    """Five watt-hours more."""
    plain = Correction(quarter_at=T0, firm_wh=0.0, granted_wh=5.0, breach_wh=0.0, reason="log", by="asma")
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_correction_is_a_row_of_its_own(engine: Engine) -> None:
    """What was measured stays as it is, and who did it is told."""
    (before,) = record(engine, drawn(0), drawn(10))
    desk = Desk(engine, site=SITE, now=lambda: after(9000))
    made = [desk.correct_quarter(correction(breach_wh=-1.0)) for _ in range(2)]
    first, *corrections = desk.quarters(T0, after(900))
    assert (first, corrections) == (before, made)
    assert [(c.number, c.tally.draw_wh, c.by, c.reason, c.recorded_at) for c in corrections] == [
        (1, 4.0, "asma", "log", after(9000)),
        (2, 4.0, "asma", "log", after(9000)),
    ]
    told = desk.recent_events()[-1]
    assert (told.kind, told.text) == (
        "energy.corrected",
        "asma corrected the quarter from 2026-01-10 12:00 UTC by +4.0 Wh: log",
    )


def test_what_was_never_measured_can_be_corrected(engine: Engine) -> None:
    """A meter's log of a time in which the site was not led."""
    desk = Desk(engine, site=SITE, now=lambda: after(9000))
    assert desk.correct_quarter(correction()).number == 1


@pytest.mark.parametrize("start_s", [60, 8700])
def test_only_a_quarter_that_is_over_is_corrected(engine: Engine, start_s: float) -> None:
    """And a time that is none of its starts is refused."""
    desk = Desk(engine, site=SITE, now=lambda: after(9000))
    with pytest.raises(InvalidField, match="quarter_at"):
        desk.correct_quarter(correction(quarter_at=after(start_s)))


def test_minutes_of_an_older_store_become_quarters(tmp_path: Path) -> None:
    """Their energy is there, and said to be of no class; the way back leaves the minutes."""
    engine = open_database(tmp_path / "old.db")
    migrate(engine, "0008")
    row = "INSERT INTO sample_minutes VALUES (:at, 60, 100, 50, 20, 20, 10, 60, 50, 0)"
    with writing(engine) as session:
        for minute in ("00", "14", "15"):
            session.execute(text(row), {"at": f"2026-01-10 12:{minute}:00.000000"})
    migrate(engine)
    one, other = Desk(engine, site=SITE).quarters(T0, after(3600))
    assert (one.starts_at, one.tally.covered_s, one.tally.draw_wh, one.tally.unclassed_wh) == (
        T0,
        120,
        100,
        100,
    )
    assert (other.starts_at, other.tally.draw_wh, other.tally.granted_wh) == (after(900), 50, 0)
    downgrade(engine, "0008")
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM sample_minutes")) == 3
    engine.dispose()
