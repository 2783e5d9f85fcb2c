"""When Python looks for garbage."""

from __future__ import annotations

import gc

import pytest

from scheduler.garbage import uncollected


def _fail() -> None:
    assert not gc.isenabled()
    raise RuntimeError


def test_no_look_for_garbage_falls_into_a_decision_and_looks_go_on_after_it() -> None:
    """Whatever came of it."""
    assert gc.isenabled()
    with pytest.raises(RuntimeError), uncollected():
        _fail()
    assert gc.isenabled()


def test_within_another_it_ends_nothing() -> None:
    """Looks stay off until the outermost has ended."""
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
