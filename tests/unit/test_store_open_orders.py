"""Which orders a new leader has to count, and which can be forgotten."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.orders import FallbackStep
from scheduler.store.open_orders import FALLEN_S, still_open
from tests.stores import T0, after, order


def test_a_later_order_that_allows_as_much_replaces_the_one_before() -> None:
    """A lease that is prolonged with the same content needs no history."""
    first, second = order(1), order(2, expires_s=20.0)
    assert still_open((first, second), at=T0) == (second,)


def test_a_lowering_order_leaves_the_higher_one_open() -> None:
    """Nobody knows yet whether the guard got it."""
    high, low = order(1, entitlement_w=3000.0), order(2, entitlement_w=1000.0, expires_s=20.0)
    assert still_open((high, low), at=T0) == (high, low)


def test_a_higher_order_that_fell_long_ago_is_forgotten() -> None:
    """Then only its fallback counts, which the later order has too."""
    high, low = order(1, entitlement_w=3000.0), order(2, entitlement_w=1000.0, expires_s=20.0)
    assert still_open((high, low), at=after(15 + FALLEN_S - 1)) == (high, low)
    assert still_open((high, low), at=after(15 + FALLEN_S)) == (low,)


def test_a_higher_fallback_is_never_forgotten_for_a_lower_one() -> None:
    """A guard that never got the later order rests at the fallback of the earlier one for good."""
    high, low = order(1, rests_w=2000.0), order(2, rests_w=500.0, expires_s=20.0)
    assert still_open((high, low), at=after(10 * FALLEN_S)) == (high, low)


def test_a_fallback_that_stays_high_for_longer_is_kept() -> None:
    """Each step of a fallback counts, not only where it begins and ends."""
    steps = (FallbackStep(after_s=0.0, limit_w=900.0), FallbackStep(after_s=60.0, limit_w=100.0))
    slow = replace(order(1), fallback=steps)
    quick = replace(order(2, expires_s=20.0), fallback=(steps[0], replace(steps[1], after_s=30.0)))
    assert still_open((slow, quick), at=T0) == (slow, quick)
    assert still_open((quick, replace(slow, fence=order(3).fence, expires_at=after(25))), at=T0) == (
        replace(slow, fence=order(3).fence, expires_at=after(25)),
    )


def test_an_order_told_again_is_there_once() -> None:
    """A repeated record adds nothing."""
    assert still_open((order(1), order(1)), at=T0) == (order(1),)


def test_leaders_follow_each_other_by_epoch() -> None:
    """The first order of a new epoch is later than the hundredth of the old one."""
    old, new = order(100, epoch=1, expires_s=20.0), order(1, epoch=2, expires_s=25.0)
    assert still_open((new, old), at=T0) == (new,)
