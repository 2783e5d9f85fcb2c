"""The account of a group: what it might draw by every order not yet superseded or expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, strategies as st

from scheduler.core.ledger import (
    Account,
    OpenOrder,
    acknowledged,
    exposure_w,
    fallback_exposure_w,
    final_w,
    is_confirmed,
    next_change_at,
    pruned,
    reported,
    resting_w,
    sent,
    unsent,
)
from scheduler.core.orders import NO_FENCE, FallbackStep, Fence
from tests.builders import T0

FALL_S = 3.0
FRESH = Account(group_id="g", idle_w=100.0, nameplate_w=1000.0)
KNOWN = reported(FRESH, fence=NO_FENCE, charged_w=100.0, at=T0)


def after(seconds: float) -> datetime:
    """An instant."""
    return T0 + timedelta(seconds=seconds)


def order(
    seq: int, entitlement_w: float, *fallback: tuple[float, float], ends_s: float = 15.0, epoch: int = 1
) -> OpenOrder:
    """One order; its fallback as (after_s, limit_w), rest if none is given."""
    return OpenOrder(
        fence=Fence(epoch=epoch, seq=seq),
        entitlement_w=entitlement_w,
        fallback=tuple(FallbackStep(after_s=s, limit_w=w) for s, w in fallback or ((0, 100.0),)),
        expires_at=after(ends_s),
    )


def exposed_w(account: Account, at_s: float) -> float:
    """At an instant."""
    return exposure_w(account, after(at_s), fall_s=FALL_S)


def has_shown(account: Account, load_w: float) -> bool:
    """That it may draw so much."""
    return is_confirmed(account, load_w, T0, fall_s=FALL_S, within_w=0.0)


def test_a_group_that_nothing_is_known_of_counts_at_nameplate() -> None:
    """For power now and for the fallback."""
    assert exposed_w(FRESH, 0) == 1000.0
    assert fallback_exposure_w(FRESH) == 1000.0


def test_a_group_without_orders_counts_at_rest() -> None:
    """Once it was heard."""
    assert exposed_w(KNOWN, 0) == 100.0
    assert fallback_exposure_w(KNOWN) == 100.0


def test_an_order_counts_from_the_moment_it_may_stand() -> None:
    """Before anybody acknowledged it."""
    account = sent(KNOWN, order(1, 700.0))

    assert exposed_w(account, 0) == 700.0
    assert account.sent == Fence(epoch=1, seq=1)


def test_the_highest_of_all_open_orders_counts() -> None:
    """A lowering one frees nothing until it is acknowledged."""
    account = sent(sent(KNOWN, order(1, 700.0)), order(2, 300.0))

    assert exposed_w(account, 0) == 700.0


def test_an_acknowledgement_fences_off_all_older_orders() -> None:
    """Newer ones stay open; an older acknowledgement changes nothing."""
    account = KNOWN
    for seq, entitlement_w in ((1, 700.0), (2, 300.0), (3, 500.0)):
        account = sent(account, order(seq, entitlement_w))

    acked = acknowledged(account, Fence(epoch=1, seq=2))
    assert [o.fence.seq for o in acked.open] == [2, 3]
    assert acknowledged(acked, Fence(epoch=1, seq=1)) is acked


def test_revoked_watts_are_free_only_when_a_reading_says_so() -> None:
    """Acknowledged, and still drawing: what was read back counts."""
    account = sent(sent(KNOWN, order(1, 700.0)), order(2, 300.0))
    falling = reported(account, fence=Fence(epoch=1, seq=2), charged_w=700.0, at=after(1))
    fallen = reported(falling, fence=Fence(epoch=1, seq=2), charged_w=300.0, at=after(2))

    assert exposed_w(falling, 1) == 700.0
    assert exposed_w(fallen, 2) == 300.0


@pytest.mark.parametrize("at_s, expected_w", [(0, 700), (17.9, 700), (18, 400), (52.9, 400), (53, 150)])
def test_an_order_stands_until_its_expiry_and_the_fall_then_its_fallback(
    at_s: float, expected_w: float
) -> None:
    """Each step counts as late as the fall allows."""
    account = sent(KNOWN, order(1, 700.0, (0, 400.0), (35, 150.0)))

    assert exposed_w(account, at_s) == expected_w


def test_a_fallback_above_the_entitlement_counts_at_once() -> None:
    """It should not be, but nothing stops a guard from resting there."""
    assert exposed_w(sent(KNOWN, order(1, 200.0, (0, 400.0))), 0) == 400.0


def test_a_reading_counts_until_every_order_has_fallen() -> None:
    """After that the fallback is what is left of it."""
    account = sent(reported(KNOWN, fence=NO_FENCE, charged_w=900.0, at=T0), order(1, 300.0))

    assert [exposed_w(account, s) for s in (17.9, 18.0)] == [900.0, 100.0]


def test_a_reading_from_after_the_fall_counts() -> None:
    """A group that does not fall is believed when it says so."""
    account = reported(
        sent(KNOWN, order(1, 300.0)), fence=Fence(epoch=1, seq=1), charged_w=900.0, at=after(20)
    )

    assert exposed_w(account, 21) == 900.0


def test_the_fallback_exposure_is_the_highest_first_step() -> None:
    """Of all open orders: any of them may come to stand."""
    account = sent(sent(KNOWN, order(1, 700.0, (0, 500.0))), order(2, 700.0, (0, 300.0)))

    assert fallback_exposure_w(account) == 500.0
    assert fallback_exposure_w(acknowledged(account, Fence(epoch=1, seq=2))) == 300.0


def test_what_a_group_comes_down_to_by_itself() -> None:
    """At first its held work, in the end only what goes on without anybody."""
    account = sent(KNOWN, order(1, 700.0, (0, 400.0), (35, 150.0)))

    assert [resting_w(account, after(s), fall_s=FALL_S) for s in (0, 60)] == [400.0, 150.0]
    assert final_w(account) == 150.0
    assert (resting_w(KNOWN, T0, fall_s=FALL_S), final_w(KNOWN)) == (100.0, 100.0)


def test_confirmed_is_what_the_group_showed() -> None:
    """The order it accepted and its last reading; not what is on its way to it."""
    account = sent(sent(KNOWN, order(1, 300.0)), order(2, 700.0))
    shown = reported(account, fence=Fence(epoch=1, seq=1), charged_w=250.0, at=T0)

    assert has_shown(account, 100.0)
    assert not has_shown(account, 101.0)
    assert has_shown(shown, 300.0)
    assert not has_shown(shown, 301.0)
    assert exposed_w(shown, 0) == 700.0


def test_an_order_that_did_not_go_out_counts_no_more() -> None:
    """Its number stays spent."""
    account = unsent(sent(sent(KNOWN, order(1, 300.0)), order(2, 700.0)), Fence(epoch=1, seq=2))

    assert exposed_w(account, 0) == 300.0
    assert account.sent == Fence(epoch=1, seq=2)


def test_pruning_keeps_all_that_may_still_stand() -> None:
    """Alive ones, and fallen ones that rest higher than what came after."""
    account = sent(sent(KNOWN, order(1, 700.0, ends_s=1)), order(2, 300.0, ends_s=30))

    assert pruned(account, after(3), fall_s=FALL_S) is account
    assert [o.fence.seq for o in pruned(account, after(4), fall_s=FALL_S).open] == [2]


def test_pruning_keeps_a_fallen_order_that_rests_lower_first_but_longer() -> None:
    """Which of the two was accepted is not known: neither covers the other."""
    held_then_gone = order(1, 700.0, (0, 500.0), (35, 100.0), ends_s=0)
    firm = order(2, 700.0, (0, 400.0), ends_s=1)
    account = pruned(sent(sent(KNOWN, held_then_gone), firm), after(60), fall_s=FALL_S)

    assert exposed_w(account, 60) == 400.0


def test_pruning_forgets_what_a_later_order_makes_up_for() -> None:
    """While both may still stand: it entitles to as much, for as long, and rests as high."""
    renewed = sent(sent(KNOWN, order(1, 700.0, ends_s=10)), order(2, 700.0, ends_s=15))
    lowered = sent(sent(KNOWN, order(1, 700.0, ends_s=10)), order(2, 500.0, ends_s=15))
    shortened = sent(sent(KNOWN, order(1, 700.0, ends_s=10)), order(2, 900.0, ends_s=9))

    assert [o.fence.seq for o in pruned(renewed, T0, fall_s=FALL_S).open] == [2]
    assert pruned(lowered, T0, fall_s=FALL_S) is lowered
    assert pruned(shortened, T0, fall_s=FALL_S) is shortened


def test_pruning_keeps_the_order_that_the_guard_follows() -> None:
    """It says what is confirmed, whatever is on its way."""
    account = acknowledged(sent(KNOWN, order(1, 700.0)), Fence(epoch=1, seq=1))
    renewed = sent(account, order(2, 700.0, ends_s=20))

    assert pruned(renewed, T0, fall_s=FALL_S) is renewed


def test_pruning_never_lowers_what_counts() -> None:
    """Now or at any instant after."""
    orders = [
        order(1, 900.0, (0, 500.0), (35, 100.0), ends_s=0),
        order(2, 400.0, (0, 400.0), ends_s=2),
        order(3, 800.0, (0, 450.0), (35, 300.0), ends_s=5),
        order(4, 200.0, ends_s=40),
        order(5, 850.0, (0, 450.0), (35, 350.0), ends_s=41),
    ]
    whole = replace(KNOWN, open=tuple(orders))
    for now_s in range(0, 120, 3):
        left = pruned(whole, after(now_s), fall_s=FALL_S)
        assert all(exposed_w(left, s) == exposed_w(whole, s) for s in range(now_s, 200, 3))


def test_what_time_alone_changes_is_known_before() -> None:
    """The end of an order with its fall, each step of its fallback, and then nothing."""
    account = sent(KNOWN, order(1, 800.0, (0.0, 500.0), (20.0, 100.0), ends_s=15.0))

    assert next_change_at(account, T0, fall_s=FALL_S) == after(18.0)
    assert next_change_at(account, after(18.0), fall_s=FALL_S) == after(38.0)
    assert next_change_at(account, after(38.0), fall_s=FALL_S) is None
    assert next_change_at(KNOWN, T0, fall_s=FALL_S) is None


STEPS = st.lists(st.integers(0, 600), max_size=2)
ORDERS = st.lists(st.tuples(st.integers(0, 400), STEPS), min_size=1, max_size=3)


@example(orders=[(150, [2])], fall_ds=31, spans_ds=[1200, 1200, 1], read_ds=0)  # 3.3 - 3.1 is less than 0.2
@given(
    ORDERS, st.integers(0, 60), st.lists(st.integers(1, 1200), min_size=1, max_size=6), st.integers(0, 300)
)
def test_between_two_of_these_instants_the_books_stand_still(
    orders: list[tuple[int, list[int]]], fall_ds: int, spans_ds: list[int], read_ds: int
) -> None:
    """What was read off the books then holds up to the microsecond before the next of them, in tenths of a second."""
    fall_s = fall_ds / 10
    account = reported(FRESH, fence=NO_FENCE, charged_w=333.0, at=after(read_ds / 10))
    for seq, (ends_ds, steps_ds) in enumerate(orders):
        steps = ((0.0, 900.0 - seq), *((s / 10, 500.0 - 10 * i) for i, s in enumerate(sorted(steps_ds))))
        account = sent(account, order(seq + 1, 1000.0 + seq, *steps, ends_s=ends_ds / 10))

    def books(at: datetime) -> tuple[float, float]:
        return exposure_w(account, at, fall_s=fall_s), resting_w(account, at, fall_s=fall_s)

    at = T0
    for span_ds in spans_ds:
        known, until_at = books(at), next_change_at(account, at, fall_s=fall_s)
        later_at = at + timedelta(seconds=span_ds / 10)
        if until_at is None or later_at < until_at:
            assert books(later_at) == known
            at = later_at
        else:
            assert books(until_at - timedelta(microseconds=1)) == known
            at = until_at
