"""Where a list goes on: the number of the last row of a page, as text that people hand back."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from scheduler.store.refusals import InvalidField

_NUMBERS: Final = range(2**63)
"""What a column of numbers holds."""


def cursor_of(number: int) -> str:
    """Opaque on purpose: what pages are cut by may change."""
    return base64.urlsafe_b64encode(f"number:{number}".encode()).decode().rstrip("=")


def number_of(cursor: str) -> int:
    """The number in a cursor. Raises `InvalidField` for what is none."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        number = int(text.removeprefix("number:"))
        if number not in _NUMBERS:
            raise ValueError(number)
        return number
    except (binascii.Error, ValueError) as error:
        raise InvalidField("after", cursor, "give the `next` of the page before, as it was") from error
