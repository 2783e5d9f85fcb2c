"""From what a giver wrote to figures. Pure: JSON values and texts in, figures out; what cannot be is `Refused`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from scheduler.connections.messages import Refused, at_field, instant, named, number, shown
from scheduler.core.hashprice import SATOSHI, ChainFigures
from scheduler.revenue_settings import MICRO, Mapped, satoshi

_MOST: Final = Decimal(10) ** 30  #: no figure needs more digits; what is believed is less by far

Look = Callable[[str], object]
"""What stands at a field. Raises `Refused` where nothing does."""


def figures_of(look: Look, mapped: Mapped, *, by: str, at: datetime, stale_after_s: float) -> ChainFigures:
    """The figures of one document that was read at `at` from `by`. Raises `Refused`."""
    fees_unit = SATOSHI if mapped.fees_unit == "BTC" else 1
    told = mapped.source_field
    source = by if told is None else f"{by}: {named(look(told))}"
    try:
        return ChainFigures(
            btc_micro=_count(look, mapped.btc_field, MICRO),
            difficulty=_count(look, mapped.difficulty_field),
            height=_height(look, mapped.height_field),
            fees_sat=satoshi(mapped.fees_btc)
            if mapped.fees_field is None
            else _count(look, mapped.fees_field, fees_unit),
            source=source[:200],
            as_of_at=at if mapped.timestamp_field is None else _instant(look, mapped.timestamp_field),
            stale_after_s=stale_after_s,
        )
    except ValueError as error:
        raise Refused(str(error)) from error


def look_into(document: object) -> Look:
    """Fields of a JSON document."""
    return lambda field: at_field(document, field)


def _height(look: Look, field: str) -> int:
    height = _decimal(look(field), field)
    if height != int(height):
        raise Refused(f"{field} is {height}: no height of a chain; send a whole number")
    return int(height)


def _count(look: Look, field: str, unit: int = 1) -> int:
    """Whole units, rounded down."""
    return int(_decimal(look(field), field) * unit)


def _decimal(value: object, field: str) -> Decimal:
    """A finite number, 0 or more, as it was written; text counts where a file has nothing else."""
    if not isinstance(value, str):
        number(value, field)  # refuses what is none
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Refused(f"{field} is {shown(value)}, and that is no finite number; send one")
    if found < 0:
        raise Refused(f"{field} is {shown(value)}, below 0; send 0 or more")
    if found > _MOST:
        raise Refused(f"{field} is {shown(value)}, and no such figure is that large; check it and its unit")
    return found


def _instant(look: Look, field: str) -> datetime:
    return instant(look(field), field)
