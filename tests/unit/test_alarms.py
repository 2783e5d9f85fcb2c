"""Instants at which something is to be looked at again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, strategies as st

from scheduler.core.alarms import Alarms
from tests.builders import T0

STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "due"]), st.sampled_from("abc"), st.integers(0, 9)),
    max_size=300,
)


@given(STEPS)
def test_those_that_are_due_are_told_once_and_the_next_is_known(steps: list[tuple[str, str, int]]) -> None:
    """Whatever was set, set anew and taken back before."""
    alarms, wanted = Alarms(), dict[str, int]()
    for what, key, in_s in steps:
        at = T0 + timedelta(seconds=in_s)
        if what == "set":
            alarms.set(key, at)
            wanted[key] = in_s
        elif what == "drop":
            alarms.drop(key)
            wanted.pop(key, None)
        else:
            due = sorted((t, k) for k, t in wanted.items() if t <= in_s)
            assert alarms.due(at) == [k for _, k in due]
            wanted = {k: t for k, t in wanted.items() if t > in_s}
        first_s = min(wanted.values(), default=None)
        assert alarms.next_at() == (None if first_s is None else T0 + timedelta(seconds=first_s))
