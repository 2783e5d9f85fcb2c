"""Changed copies of frozen values: as `dataclasses.replace` makes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.altered import altered, altering
from scheduler.core.jobs import Phase
from tests.builders import site

ATTEMPT = site().node(gpus=1).running("a", "node-1", gpus=1).attempts["a.1"]


def test_a_changed_copy_is_what_replace_makes() -> None:
    """One by one, and where the same fields of many change."""
    expected = replace(ATTEMPT, phase=Phase.SUSPEND, cap_w=200.0)

    assert altered(ATTEMPT, phase=Phase.SUSPEND, cap_w=200.0) == expected
    assert altering(type(ATTEMPT), "cap_w", "phase")(ATTEMPT, 200.0, Phase.SUSPEND) == expected
    assert type(altering(type(ATTEMPT), "cap_w")(ATTEMPT, 200.0)) is type(ATTEMPT)


def test_an_unknown_field_is_named() -> None:
    """Before anything is changed."""
    with pytest.raises(AttributeError, match="Attempt has no field speed"):
        altering(type(ATTEMPT), "cap_w", "speed")
    with pytest.raises(AttributeError, match="Attempt has no field speed"):
        altered(ATTEMPT, speed=1.0)
