"""Forgetting orders never changes what a group may draw at most."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from scheduler.core.ledger import Account, OpenOrder, acknowledged, exposure_w, fallback_exposure_w
from scheduler.core.orders import FallbackStep, Fence
from scheduler.store.open_orders import FALLEN_S, still_open
from tests.stores import after

watts = st.sampled_from([0.0, 500.0, 1000.0, 3000.0])
seconds = st.floats(0.0, 3 * FALLEN_S)


@st.composite
def orders(draw: st.DrawFn) -> tuple[OpenOrder, ...]:
    """What one or two leaders may have sent to a group, fallbacks never rising."""
    sent = []
    for seq in range(1, draw(st.integers(1, 6)) + 1):
        levels = sorted(draw(st.lists(watts, min_size=1, max_size=3)), reverse=True)
        delays = [0.0, *sorted(draw(st.lists(st.sampled_from([5.0, 35.0, 60.0]), min_size=2, max_size=2)))]
        sent.append(
            OpenOrder(
                fence=Fence(epoch=draw(st.integers(1, 2)), seq=seq),
                entitlement_w=draw(watts),
                fallback=tuple(
                    FallbackStep(after_s=s, limit_w=w) for s, w in zip(delays, levels, strict=False)
                ),
                expires_at=after(draw(st.floats(0.0, 60.0))),
            )
        )
    return tuple(sent)


@given(
    sent=orders(),
    pruned_s=seconds,
    later_s=seconds,
    fall_s=st.sampled_from([0.0, 3.0, 30.0]),
    seen=st.integers(0, 7),
)
def test_the_bound_stays_the_same(
    sent: tuple[OpenOrder, ...], pruned_s: float, later_s: float, fall_s: float, seen: int
) -> None:
    """At any later time, and whatever the guard turns out to have acknowledged."""
    kept = still_open(sent, at=after(pruned_s))
    everything = Account(group_id="g", idle_w=100.0, nameplate_w=9000.0, known=True, open=sent)
    for fence in (Fence(epoch=1, seq=seen), Fence(epoch=2, seq=seen)):
        full = acknowledged(everything, fence)
        short = acknowledged(replace(everything, open=kept), fence)
        at = after(pruned_s + later_s)
        assert exposure_w(short, at, fall_s=fall_s) == exposure_w(full, at, fall_s=fall_s)
        assert fallback_exposure_w(short) == fallback_exposure_w(full)


@given(sent=orders(), pruned_s=seconds)
def test_forgetting_twice_is_forgetting_once(sent: tuple[OpenOrder, ...], pruned_s: float) -> None:
    """What is kept is needed."""
    kept = still_open(sent, at=after(pruned_s))
    assert still_open(kept, at=after(pruned_s)) == kept
