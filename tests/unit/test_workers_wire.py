"""JSON between guards and the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from scheduler.core.orders import FallbackStep, Fence, GpuReading, Order
from workers.wire import WireError, decode, encode

orders = st.builds(
    Order,
    group_id=st.text(max_size=8),
    boot_id=st.text(max_size=8),
    fence=st.builds(Fence, epoch=st.integers(0, 2**53), seq=st.integers(0, 2**53)),
    expires_boottime_s=st.floats(0, 1e9),
    entitlement_w=st.floats(0, 1e9),
    fallback=st.lists(
        st.builds(FallbackStep, after_s=st.floats(0, 99), limit_w=st.floats(0, 1e9)), max_size=3
    ).map(tuple),
    attempts=st.just(()),
    miners_target_w=st.floats(0, 1e9),
)


@given(orders)
def test_an_order_survives_the_wire(order: Order) -> None:
    """What is sent is what arrives, to the last bit of each number."""
    assert decode(Order, encode(order)) == order


def test_an_unknown_key_is_refused() -> None:
    """A message of another version is named as such and not half understood."""
    with pytest.raises(WireError, match=r"volts.*another version"):
        decode(GpuReading, b'{"gpu_id":"g","draw_w":1.0,"cap_w":2.0,"processes":0,"volts":12}')


def test_the_field_and_the_value_are_named() -> None:
    """The message says what is wrong where."""
    with pytest.raises(WireError, match=r"not a GpuReading: draw_w: .*'lots'"):
        decode(GpuReading, b'{"gpu_id":"g","draw_w":"lots","cap_w":2.0,"processes":0}')
