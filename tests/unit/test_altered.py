"""Changed copies of frozen values: as `dataclasses.replace` makes them."""

from __future__ import annotations

from copy import copy
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from scheduler.core.altered import altered, altering, making, swift
from scheduler.core.jobs import Phase
from tests.builders import site

ATTEMPT = site().node(gpus=1).running("a", "node-1", gpus=1).attempts["a.1"]


def test_a_changed_copy_is_what_replace_makes() -> None:
    """One by one, and where the same fields of many change."""
    expected = replace(ATTEMPT, phase=Phase.SUSPEND, cap_w=200.0)

    assert altered(ATTEMPT, phase=Phase.SUSPEND, cap_w=200.0) == expected
    assert altering(type(ATTEMPT), "cap_w", "phase")(ATTEMPT, 200.0, Phase.SUSPEND) == expected
    assert type(altering(type(ATTEMPT), "cap_w")(ATTEMPT, 200.0)) is type(ATTEMPT)


def test_a_value_made_of_all_its_fields_is_what_its_class_makes() -> None:
    """In the order in which the class names them."""
    values = [getattr(ATTEMPT, f.name) for f in fields(ATTEMPT)]
    made = making(type(ATTEMPT))(*values)

    assert made == ATTEMPT
    assert type(made) is type(ATTEMPT)
    with pytest.raises(TypeError, match="cut_at"):
        making(type(ATTEMPT))(*values[:-1])


def test_an_unknown_field_is_named() -> None:
    """Before anything is changed."""
    with pytest.raises(AttributeError, match="Attempt has no field speed"):
        altering(type(ATTEMPT), "cap_w", "speed")
    with pytest.raises(AttributeError, match="Attempt has no field speed"):
        altered(ATTEMPT, speed=1.0)


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    name: str
    count: int = 2
    words: list[str] = field(default_factory=list)


def test_a_swift_value_is_as_frozen_and_as_equal_as_any() -> None:
    """It takes the same arguments and defaults, and none of another name; each has a list of its own."""
    note = _Note(name="a")

    assert note == _Note(name="a", count=2, words=[])
    assert (type(note), repr(note)) == (_Note, "_Note(name='a', count=2, words=[])")
    assert note.words is not _Note(name="a").words
    assert replace(note, count=3).count == 3
    assert copy(note) == note
    with pytest.raises(FrozenInstanceError):
        note.count = 3  # type: ignore[misc] # on purpose
    with pytest.raises(TypeError, match="nome"):
        _Note(nome="a")  # type: ignore[call-arg] # on purpose
