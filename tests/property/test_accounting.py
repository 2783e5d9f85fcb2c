"""Energy by class adds up, whatever was drawn and whatever was allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from scheduler.core.accounting import (
    MINUTE,
    MOST_DOCUMENTS,
    Evidence,
    Tally,
    add_evidence,
    minutes_of,
    parts_of,
    quarter_of,
)
from scheduler.core.grants import Grant

T0 = datetime(2026, 10, 1, tzinfo=UTC)
watts = st.floats(0, 1e9)
SOURCES = ("grid", "operator")


@given(watts, watts, watts)
def test_the_parts_of_a_draw_are_the_draw(draw_w: float, limit_w: float, firm_w: float) -> None:
    """None is below nothing, firm is at most the firm level, and only what is above the limit is a breach."""
    parts = parts_of(draw_w, limit_w=limit_w, firm_w=firm_w)
    assert parts.firm_w + parts.granted_w + parts.breach_w == pytest.approx(draw_w)
    assert min(parts.firm_w, parts.granted_w, parts.breach_w) >= 0.0
    assert parts.firm_w <= firm_w
    assert (parts.breach_w > 0) == (draw_w > limit_w)


@given(st.integers(0, 7_200_000), st.integers(1, 600_000))
def test_the_minutes_of_a_stretch_are_the_stretch(start_ms: int, length_ms: int) -> None:
    """One after the other, each in one minute and so in one quarter."""
    at = T0 + timedelta(milliseconds=start_ms)
    pieces = minutes_of(at, length_ms / 1000)
    assert sum(seconds for _, seconds in pieces) == pytest.approx(length_ms / 1000)
    assert [minute for minute, _ in pieces] == [pieces[0][0] + MINUTE * i for i in range(len(pieces))]
    assert all(0 < seconds <= 60 for _, seconds in pieces)
    assert pieces[0][0] <= at < pieces[0][0] + MINUTE
    assert all(
        quarter_of(minute) <= minute < quarter_of(minute) + timedelta(minutes=15) for minute, _ in pieces
    )


@given(st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(0, 60), st.integers(0, 60)), max_size=200))
def test_no_energy_loses_its_evidence(stretches: list[tuple[str, int, int]]) -> None:
    """However many documents and intervals there are, their energy is that of the quarter, and the lines are few."""
    found: tuple[Evidence, ...] = ()
    for source, document, start_s in stretches:
        grant = Grant(
            limit_w=1.0, source=source, document=f"{document}", starts_at=T0 + timedelta(seconds=start_s)
        )
        found = add_evidence(found, grant, Tally(covered_s=1.0, granted_wh=2.0, breach_wh=0.5))
    assert sum(e.covered_s for e in found) == len(stretches)
    assert sum(e.granted_wh for e in found) == 2.0 * len(stretches)
    assert sum(e.breach_wh for e in found) == 0.5 * len(stretches)
    assert len(found) <= MOST_DOCUMENTS + len(SOURCES)
