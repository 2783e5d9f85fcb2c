"""What differs between two looks at a dictionary: read off its log, or found by comparing."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from scheduler.core import tracked
from scheduler.core.tracked import Tracked, changed

KEYS = st.sampled_from("abcd")
CHANGES = st.lists(st.tuples(st.sampled_from(["set", "del", "pop", "update", "|="]), KEYS), max_size=12)


def change(entries: Tracked[object], how: str, key: str) -> None:
    """One change of a tracked dictionary."""
    if how == "set":
        entries[key] = object()
    elif how == "pop":
        entries.pop(key, None)
    elif how == "update":
        entries.update({key: object()})
    elif how == "|=":
        entries |= {key: object()}
    elif key in entries:
        del entries[key]


def test_a_shot_does_not_change_with_what_it_was_taken_of() -> None:
    """It is a copy, and the same one as long as there is nothing new."""
    entries = Tracked({"a": 1})
    first = entries.shot()
    assert entries.shot() is first

    entries["b"] = 2

    assert (first, entries.shot()) == ({"a": 1}, {"a": 1, "b": 2})
    assert changed(first, entries.shot()) == {"b"}


@pytest.mark.parametrize("long", [200_000, 2])
@given(CHANGES, CHANGES)
def test_nothing_that_changed_is_left_out(
    long: int, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    """However long the log has become, and in whatever way entries were set and taken out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracked, "_LONG", long)
        entries: Tracked[object] = Tracked()
        shots = [entries.shot()]
        for how, key in [*before, *after]:
            change(entries, how, key)
            shots.append(entries.shot())
        for i, old in enumerate(shots):
            for new in shots[i:]:
                differ = {k for k in old.keys() | new.keys() if old.get(k) is not new.get(k)}
                assert differ <= changed(old, new)
                assert differ <= changed(new, old)
                assert differ == changed(dict(old), new)


def test_only_what_was_touched_is_looked_at() -> None:
    """Of two shots with one log."""
    entries = Tracked({str(i): i for i in range(100)})
    old = entries.shot()
    entries["7"] = 8
    entries.pop("9")

    assert changed(old, entries.shot()) == {"7", "9"}
    assert changed(old, old) == set()
