"""How lists speak of machines."""

from __future__ import annotations

import pytest

from barq.machine_words import without_name


@pytest.mark.parametrize(
    "trouble,said",
    [
        ("10.0.0.7 at 10.0.0.7:4028: in doubt for 9 s", "in doubt for 9 s"),
        ("10.0.0.7:4028: is read only", "is read only"),
        ("braiins: 10.0.0.7:80: does not take the password", "braiins: does not take the password"),
        ("10.0.0.70:80: is another's", "10.0.0.70:80: is another's"),
        ("its board 2 is dead", "its board 2 is dead"),
        ("", ""),
    ],
)
def test_a_line_names_its_machine_once(trouble: str, said: str) -> None:
    """The id is in the line already, and the address is the id."""
    assert without_name(trouble, "10.0.0.7") == said
