"""Errors between a person and a site: one line that names what, field, value and remedy."""

from __future__ import annotations

import pytest

from barq.errors import BarqError, InvalidInput, NotFound, Refused, ServerError, Unauthorized, Unreachable


def test_a_line_names_what_the_message_leaves_out() -> None:
    """Field and value are added where the message does not have them, the remedy always."""
    error = InvalidInput("must be above zero.", field="resources.gpus", value=-1, remedy="write 0 or more.")

    assert str(error) == "must be above zero (resources.gpus = -1); write 0 or more"


def test_a_line_says_nothing_twice() -> None:
    """A message that names field and value is left as it is, on one line."""
    error = Refused("POWER: '5mW' is\n not a power", field="POWER", value="5mW")

    assert str(error) == "POWER: '5mW' is not a power"


def test_a_long_value_is_cut() -> None:
    """Nobody reads a page of value."""
    assert len(str(BarqError("too long", value="x" * 1000))) < 100


@pytest.mark.parametrize(
    "kind,code",
    [
        (BarqError, "error"),
        (InvalidInput, "invalid_input"),
        (NotFound, "not_found"),
        (Refused, "refused"),
        (Unauthorized, "unauthorized"),
        (Unreachable, "unreachable"),
        (ServerError, "server_error"),
    ],
)
def test_each_error_has_a_code(kind: type[BarqError], code: str) -> None:
    """A program can tell errors apart without reading their words, and a given code wins."""
    assert (kind("x").code, kind("x", code="other").code) == (code, "other")


def test_the_tree_is_as_drawn() -> None:
    """Whoever catches a refusal catches a bad token; checks of fields may raise InvalidInput as a ValueError."""
    assert issubclass(Unauthorized, Refused)
    assert issubclass(InvalidInput, ValueError)
