"""A month from its quarters: totals, days, documents, breaches, peaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from scheduler.core.accounting import Quarter, Tally
from scheduler.core.compliance_report import Report, corrected, month_of, report_of
from tests.paper_month import BRUSSELS, FIRM_WH, MONTH, YEAR, month, quarter, starts

SINCE, UNTIL = (at.astimezone(UTC) for at in month_of(YEAR, MONTH, BRUSSELS))


def reported(quarters: list[Quarter], now: datetime = UNTIL) -> Report:
    """The report of the month."""
    return report_of(quarters, since=SINCE, until=UNTIL, now=now, zone=BRUSSELS)


def test_a_month_with_a_change_of_clocks_is_whole() -> None:
    """It has an hour more, and the day of the change has 25; days add up to the month."""
    found = reported(month())
    days = {d.day: d for d in found.days}
    assert found.length_s == (31 * 24 + 1) * 3600.0 == found.tally.covered_s
    assert len(days) == 31
    assert [days[date(2026, 10, d)].length_s / 3600 for d in (24, 25, 26)] == [24, 25, 24]
    assert days[date(2026, 10, 25)].tally.covered_s == 25 * 3600.0
    assert sum(d.tally.draw_wh for d in found.days) == pytest.approx(found.tally.draw_wh)


def test_a_month_in_progress_has_the_days_that_began() -> None:
    """What is to come is not missing; a day of which nothing is on record is there, with nothing."""
    now = SINCE + timedelta(days=2, hours=6)
    found = reported(month(hours=24), now)
    assert [(d.day.day, d.length_s / 3600, d.tally.covered_s / 3600) for d in found.days] == [
        (1, 24, 24),
        (2, 24, 0),
        (3, 6, 0),
    ]
    assert found.length_s == 54 * 3600.0


def test_documents_are_listed_with_what_they_granted() -> None:
    """The most energy first; quarters of one document are summed."""
    at = starts(1)
    found = reported([quarter(at[0], 1500), quarter(at[1], 3000, document="b"), quarter(at[2], 1600)])
    assert [(g.document, g.granted_wh, g.intervals, g.covered_s) for g in found.grants] == [
        ("b", 3000 - FIRM_WH, 1, 900.0),
        ("notice 118", 1100.0, 2, 1800.0),
    ]


def test_an_interval_over_several_quarters_is_one() -> None:
    """However many quarters it reaches over."""
    at = starts(2)
    whole = [quarter(a, 1500) for a in at[:4]]
    shared = [replace(q, evidence=(replace(q.evidence[0], starts_at=at[0], newest_at=at[0]),)) for q in whole]
    (granted,) = reported([*shared, quarter(at[4], 1500)]).grants
    assert (granted.intervals, granted.covered_s) == (2, 5 * 900.0)


def test_breaches_are_listed_with_what_was_allowed() -> None:
    """One line for each quarter."""
    at = starts(1)
    (breach,) = reported([quarter(at[0], 1500), quarter(at[1], 3000, breach_wh=12.5)]).breaches
    assert (breach.starts_at, breach.over_limit_s, breach.breach_wh) == (at[1], 60.0, 12.5)
    assert [e.document for e in breach.evidence] == ["notice 118"]


def test_peaks_are_of_quarters_that_were_half_covered() -> None:
    """A few seconds at a high draw are no peak of 15 minutes."""
    at = starts(1)
    short = replace(quarter(at[2], 4000), tally=Tally(covered_s=100, draw_wh=1000), peak_minute_w=None)
    found = reported([quarter(at[0], 1500), quarter(at[1], 3000), short])
    assert found.peak_quarter is not None
    assert (found.peak_quarter.starts_at, found.peak_quarter.draw_w) == (at[1], 12_000.0)
    assert found.peak_minute is not None
    assert (found.peak_minute.starts_at, found.peak_minute.draw_w) == (at[1], 12_100.0)
    assert reported([]).peak_quarter is None


def test_a_correction_is_added_and_stays_listed() -> None:
    """The quarter is there once, with both."""
    at = starts(1)
    correction = Quarter(
        starts_at=at[0], number=1, tally=Tally(draw_wh=-50, granted_wh=-50), reason="meter log", by="asma"
    )
    found = reported([quarter(at[0], 1500), correction, quarter(at[1], 1500)])
    assert found.tally.draw_wh == 2950.0
    assert [q.tally.granted_wh for q in found.quarters] == [450.0, 500.0]
    assert found.corrections == (correction,)


def test_december_ends_with_its_year() -> None:
    """And what is no month is refused."""
    assert month_of(2026, 12, UTC) == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="month"):
        month_of(2026, 13, UTC)


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1e6)), max_size=30))
def test_nothing_is_lost_between_quarters_days_and_the_month(rows: list[tuple[int, float]]) -> None:
    """Whatever was corrected."""
    at = starts()
    measured = [
        Quarter(starts_at=at[n], number=i, tally=Tally(draw_wh=wh, granted_wh=wh))
        for i, (n, wh) in enumerate(rows)
    ]
    listed = sorted(measured, key=lambda q: (q.starts_at, q.number))
    found = reported(listed)
    total = pytest.approx(sum(wh for _, wh in rows))
    assert sum(q.tally.draw_wh for q in corrected(listed)) == total
    assert sum(d.tally.granted_wh for d in found.days) == total
    assert found.tally.draw_wh == total
