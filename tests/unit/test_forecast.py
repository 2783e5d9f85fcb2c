"""What is learned from the record of the limit: losses, when they come, and how likely the next one is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scheduler.core.envelope import Envelope, Segment
from scheduler.core.forecast import LimitRecord, counted, loss_rate_per_s, noted

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
FIRM_W = 100.0
HOUR_S = 3600.0


def after(hours: float) -> datetime:
    """So long after midnight."""
    return MIDNIGHT + timedelta(hours=hours)


def told(at: datetime, *steps: tuple[datetime, float]) -> tuple[Envelope, ...]:
    """One source's word."""
    segments = tuple(Segment(starts_at=t, limit_w=w) for t, w in steps)
    return (Envelope(source="grid", issued_at=at, read_at=at, reaction_s=30.0, segments=segments),)


def seen(*steps: tuple[float, float]) -> LimitRecord:
    """The record of limits, each known when it began, in hours after midnight."""
    record = None
    for hours, limit_w in steps:
        at = after(hours)
        record = noted(record, told(at, (at, limit_w)), at=at, firm_w=FIRM_W)
    assert record is not None
    return record


def losses(record: LimitRecord) -> float:
    """How many were counted."""
    return sum(record.losses[0])


def test_a_fall_below_firm_is_a_loss_and_one_that_stops_at_firm_is_none() -> None:
    """What hosts can go on with loses nothing."""
    assert losses(seen((0, 500), (5, 100), (6, 300))) == 0
    assert losses(seen((0, 500), (5, 99))) == 1
    assert losses(seen((0, 500), (5, 99), (6, 0), (7, 300))) == pytest.approx(1, rel=0.01)


def test_what_was_told_in_time_is_no_loss() -> None:
    """Two minutes are enough to save; ten seconds are not."""
    for notice_s, count in ((120.0, 0), (10.0, 1)):
        record = seen((0, 500))
        known_at = after(5) - timedelta(seconds=notice_s)
        steps = ((MIDNIGHT, 500.0), (after(5), 0.0))
        record = noted(record, told(known_at, *steps), at=known_at, firm_w=FIRM_W)
        record = noted(record, told(after(5), *steps), at=after(5), firm_w=FIRM_W)
        assert losses(record) == count


def test_an_announcement_that_was_taken_back_warns_of_nothing_later() -> None:
    """The fall that came later was told by nobody."""
    record = seen((0, 500))
    record = noted(record, told(after(1), (MIDNIGHT, 500.0), (after(2), 0.0)), at=after(1), firm_w=FIRM_W)
    record = noted(record, told(after(1.5), (MIDNIGHT, 500.0)), at=after(1.5), firm_w=FIRM_W)
    record = noted(record, told(after(3), (after(3), 0.0)), at=after(3), firm_w=FIRM_W)

    assert losses(record) == 1


def test_only_lit_time_counts() -> None:
    """A dark site has nothing to lose. What is older counts for a little less."""
    record = counted(seen((0, 500), (5, 0), (9, 300)), after(10), firm_w=FIRM_W)

    assert sum(record.lit_s[0]) == pytest.approx(6 * HOUR_S, rel=0.02)
    assert sum(record.lit_s[0]) < 6 * HOUR_S
    assert [sum(row) for row in record.lit_s] == pytest.approx([sum(record.lit_s[0])] * 4)


def test_nothing_on_record_is_one_loss_in_two_weeks() -> None:
    """Until it is seen otherwise."""
    record = seen((0, 500))

    rate = loss_rate_per_s(record, MIDNIGHT, firm_w=FIRM_W)
    assert rate == pytest.approx(1 / (14 * 86_400.0))


def daily(days: int) -> LimitRecord:
    """Dark from 20:00 to 6:00, each day."""
    steps = [(0.0, 0.0)]
    for day in range(days):
        steps += [(day * 24 + 6.0, 500.0), (day * 24 + 20.0, 0.0)]
    return seen(*steps, (days * 24 + 6.0, 500.0))


def test_the_hour_at_which_it_always_goes_is_the_dangerous_one() -> None:
    """Ten evenings teach more than that there is one loss in 14 lit hours."""
    record = daily(10)
    noon, evening = (loss_rate_per_s(record, after(10 * 24 + h), firm_w=FIRM_W) for h in (12.5, 20.0))

    assert noon < 1 / (14 * HOUR_S) / 4
    assert evening > 1 / (14 * HOUR_S) * 4


def test_what_was_learned_fades() -> None:
    """After a quiet year it is almost as if nothing had been."""
    record = daily(5)
    lit = counted(record, record.at + timedelta(days=365), firm_w=FIRM_W)

    assert losses(record) > 4
    assert losses(lit) < 0.01


def test_the_same_record_is_handed_back_while_nothing_changes() -> None:
    """A round without news costs nothing that depends on it."""
    record = seen((0, 500))

    assert noted(record, told(after(0.9), (MIDNIGHT, 500.0)), at=after(0.9), firm_w=FIRM_W) is record
