"""Waiting for a condition in tests."""

from __future__ import annotations

import pytest

from tests.waiting import wait_for, wait_until


def test_gives_the_first_truthy_answer() -> None:
    """The answer itself comes back, so that a test can go on with it."""
    answers = iter(["", "", "third", "fourth"])

    assert wait_for(lambda: next(answers), timeout_s=5) == "third"


def test_says_what_did_not_happen() -> None:
    """A failure names what was awaited, for how long, and the last answer."""
    with pytest.raises(AssertionError, match=r"^not within 0 s: a green light; the last answer was \[\]$"):
        wait_for(list, timeout_s=0, what="a green light")


async def test_leaves_the_event_loop_free() -> None:
    """The condition may depend on what other tasks do meanwhile."""
    answers = iter([0, 0, 3])

    assert await wait_until(lambda: next(answers), timeout_s=5) == 3


async def test_gives_up_in_an_event_loop_too() -> None:
    """The asynchronous wait has the same end as the other."""
    with pytest.raises(AssertionError, match="not within 0 s"):
        await wait_until(lambda: None, timeout_s=0)
