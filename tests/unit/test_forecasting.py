"""Forecasts from history: what they know, how they are judged, and when they are set aside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from scheduler.forecasting.given_history import means, read_history
from scheduler.forecasting.making import chosen, joined, make
from scheduler.forecasting.methods import predict
from scheduler.forecasting.scoring import score
from scheduler.forecasting.timeline import DAY, Timeline, features, same_time_before, timeline
from scheduler.predictions import QUARTER, STEPS, Made, Method, Quarter, Score, State, Tally
from tests.forecasts import KeptForecasts, sunny

AT = datetime(2026, 3, 2, tzinfo=UTC)


def line_of(days: float, *, gap: slice | None = None) -> Timeline:
    """Sunny days, with what was not seen."""
    limits_w = np.array([q.limit_w for q in sunny(AT, days)])
    if gap is not None:
        limits_w[gap] = np.nan
    return Timeline(starts_at=AT, limits_w=limits_w)


def test_nothing_of_a_pair_is_known_later_than_its_origin() -> None:
    """Another future, the same features; and the same time of a day before is before."""
    past = line_of(9)
    origins, leads = np.array([5 * DAY, 6 * DAY + 7]), np.array([3, STEPS - 1])
    later = Timeline(starts_at=AT, limits_w=np.where(np.arange(len(past)) < 5 * DAY, past.limits_w, 1e9))

    assert np.array_equal(
        features(past, origins, leads)[0], features(later, origins, leads)[0], equal_nan=True
    )
    assert all(same_time_before(np.array([lead]))[0] > lead for lead in (0, 95, 96, 191))


def test_a_forecast_is_the_same_each_time_and_can_be() -> None:
    """Rising quantiles between nothing and the highest that was seen, of all 48 hours, in spite of gaps."""
    line = line_of(5, gap=slice(200, 260))
    made, again = (predict(line, made_at=AT + timedelta(days=5)) for _ in range(2))

    assert made == again
    assert made.starts_at == AT + timedelta(days=5)
    for rows in made.rows.values():
        found = np.array(rows)
        assert found.shape == (STEPS, 3)
        assert (np.diff(found, axis=1) >= 0).all()
        assert (found >= 0).all()
        assert (found <= np.nanmax(line.limits_w) + 0.1).all()


def test_what_is_learned_of_the_sun_is_better_than_persistence() -> None:
    """Days of one shape and different heights: yesterday's height is no guide, the shape is."""
    line = line_of(14)
    origins = [12 * DAY, 12 * DAY - 11 * 4]
    made = [
        predict(Timeline(starts_at=AT, limits_w=line.limits_w[:n]), made_at=AT + n * QUARTER) for n in origins
    ]
    found = score(line, made, since=AT)
    assert found.skill is not None
    assert found.skill > 0


def test_the_score_is_pinball_loss_and_coverage_by_lead_time() -> None:
    """Of what came: 10 W too low costs a tenth, a half or nine tenths of that."""
    line = Timeline(starts_at=AT, limits_w=np.array([100.0] * 3 + [np.nan] + [100.0] * 2))
    rows = ((90.0, 90.0, 90.0), (90.0, 100.0, 110.0), *(((100.0,) * 3),) * (STEPS - 2))
    found = score(line, [Made(made_at=AT, starts_at=AT, rows={Method.LEARNED: rows})], since=AT)
    first, second, *rest = found.tallies[Method.LEARNED]

    assert (first.until_h, first.count, first.covered) == (1, 3, 2 / 3)
    assert first.pinball_w == pytest.approx([(1 + 1) / 3, 5 / 3, (9 + 1) / 3])
    assert (second.count, second.loss_w) == (2, 0.0)
    assert [t.count for t in rest] == [0, 0]
    assert found.skill is None  # there is no persistence to hold it against


def test_forecasts_of_before_are_not_judged() -> None:
    """Only those of the last days are."""
    rows = {Method.LAST: ((1.0, 1.0, 1.0),) * STEPS}
    line = Timeline(starts_at=AT, limits_w=np.ones(8))
    found = score(line, [Made(made_at=AT, starts_at=AT, rows=rows)], since=AT + QUARTER)
    assert found.loss_w(Method.LAST) is None


def scored(learned_w: float, count: int = 2000) -> Score:
    """Both kinds of persistence lose 10 W, the one a bit more."""
    losses = {Method.LEARNED: learned_w, Method.YESTERDAY: 10.0, Method.LAST: 11.0}
    tallies = {
        m: (Tally(until_h=1, count=count, pinball_w=(w, w, w), covered=0.8),) for m, w in losses.items()
    }
    return Score(since_at=AT, tallies=tallies)


def test_a_forecast_that_is_worse_than_persistence_is_set_aside() -> None:
    """And the better persistence is planned on; it says so with the figures."""
    assert chosen(scored(8.0)) == (
        Method.LEARNED,
        "learned from history: over the last 7 days 20% better than persistence (yesterday)",
    )
    assert chosen(scored(12.0)) == (
        Method.YESTERDAY,
        "set aside: over the last 7 days what was learned did 20% worse than persistence (yesterday)",
    )
    method, why = chosen(scored(12.0, count=20))
    assert method is Method.LEARNED
    assert "too little" in why


def test_three_days_are_needed() -> None:
    """With less there is none, and it says how much there is."""
    told = make(KeptForecasts(sunny(AT, 2.5)), (), at=AT + timedelta(days=2.5))
    assert (told.state, told.made, told.method) == (State.TOO_SHORT, None, None)
    assert "2.5 days" in told.why


def test_a_given_history_makes_up_for_a_young_site() -> None:
    """What the site saw itself counts where both know; forecasts are judged by that alone."""
    at, seen = AT + timedelta(days=6, minutes=20), sunny(AT + timedelta(days=5, hours=22), 0.1)
    book = KeptForecasts(seen)
    told = make(book, sunny(AT, 7), at=at)

    assert (told.state, told.method) == (State.MADE, Method.LEARNED)
    assert told.made is not None
    assert told.made.starts_at == AT + timedelta(days=6, minutes=15)
    mine, other = Quarter(at=AT, limit_w=1.0), Quarter(at=AT, limit_w=2.0)
    assert joined([other], [mine], until=AT + QUARTER) == (mine,)
    assert joined([other], [mine], until=AT) == ()


def test_a_gap_in_the_record_is_a_gap() -> None:
    """It is not made up."""
    line = timeline(
        [Quarter(at=AT, limit_w=1.0), Quarter(at=AT + 2 * QUARTER, limit_w=3.0)], until=AT + 4 * QUARTER
    )
    assert np.array_equal(line.limits_w, [1.0, np.nan, 3.0, np.nan], equal_nan=True)


def test_quarters_are_means_of_the_steps_in_them() -> None:
    """Those that are not whole are left out."""
    m = timedelta(minutes=1)
    found = means([(AT - m, 5.0), (AT + 5 * m, 8.0), (AT + 20 * m, 0.0)], ends_at=AT + 31 * m)
    assert [(q.at, round(q.limit_w, 6)) for q in found] == [(AT, 7.0), (AT + QUARTER, round(8 / 3, 6))]


def test_a_history_is_read_as_a_power_trace_is(tmp_path: Path) -> None:
    """By the same words as --power-map."""
    path = tmp_path / "old.csv"
    path.write_text("when,mw\n2026-01-01T00:00+01:00,0.4\n2026-01-01T01:00+01:00,0.6\n", encoding="utf-8")
    found = read_history(path, "time=when,value=mw,unit=MW")
    assert [q.limit_w for q in found] == [400_000.0] * 4 + [600_000.0] * 4
    assert found[0].at == datetime(2025, 12, 31, 23, tzinfo=UTC)
