"""A set that knows its order is as any set, sorted anew."""

from __future__ import annotations

from hypothesis import given, strategies as st

from scheduler.core.ordered import Ordered


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("dacb"))))
def test_it_is_sorted_whatever_came_and_went(steps: list[tuple[bool, str]]) -> None:
    """Also where it is asked in between."""
    known, expected = Ordered(), set[str]()
    for comes, name in steps:
        (known.add if comes else known.discard)(name)
        (expected.add if comes else expected.discard)(name)
        assert (known, known.in_order()) == (expected, sorted(expected))


def test_it_is_sorted_once() -> None:
    """Who comes that is in, or goes that is not, changes nothing."""
    known = Ordered()
    known.add("b")
    order = known.in_order()
    known.add("b")
    known.discard("a")
    assert known.in_order() is order
