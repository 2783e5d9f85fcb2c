"""Watts as people write them, and watts, watt-hours, seconds and ages as people read them. Light to import.

Written: `200kW`, `1.5 MW`, `350W`; a bare number is refused, for it could mean anything.
Read: three significant digits for power and energy, the two largest units for a duration.
Durations and sizes as people write them are in `barq.quantities`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from barq.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

POWER_FORMS: Final = "a number and a unit, such as 350W, 200kW or 1.5MW"
MAX_POWER_W: Final = 1e12

# Spelled out, so that a milliwatt is never taken for a megawatt.
_WATTS: Final = {"W": 1.0, "w": 1.0, "kW": 1e3, "kw": 1e3, "KW": 1e3, "MW": 1e6, "GW": 1e9}
_POWER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", re.ASCII)
_PREFIXES: Final = (("G", 1e9), ("M", 1e6), ("k", 1e3))
_CLOCK: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_WHOLE_SECONDS_FROM_S: Final = 9.95


def parse_power_w(text: str, *, field: str = "power") -> float:
    """Return the watts that `text` means. Raises InvalidInput, naming `field`, on anything doubtful."""
    match = _POWER.fullmatch(text.strip())
    if match is None or match.group(2) not in _WATTS:
        message = f"{field}: {text!r} is not a power"
        raise InvalidInput(message, field=field, value=text, remedy=f"write {POWER_FORMS}")
    power_w = round(float(match.group(1)) * _WATTS[match.group(2)], 6)
    if power_w > MAX_POWER_W:
        message = f"{field}: {text!r} is more than any site draws"
        raise InvalidInput(
            message, field=field, value=text, remedy=f"write at most {format_power(MAX_POWER_W)}"
        )
    return power_w


def format_power(power_w: float) -> str:
    """Return watts for people, `412 kW`: three significant digits, whole watts below 1 kW."""
    return _format_scaled(power_w, "W")


def format_energy(energy_wh: float) -> str:
    """Return watt-hours for people, `1.25 MWh`."""
    return _format_scaled(energy_wh, "Wh")


def format_size(size_bytes: float) -> str:
    """Return bytes for people, `12.3 MB`, in powers of 1000."""
    return _format_scaled(size_bytes, "B")


def format_duration(duration_s: float) -> str:
    """Return seconds for people, `1 h 30 min`: the two largest units; below 10 s one decimal."""
    if duration_s < 0:
        return f"-{format_duration(-duration_s)}"
    if duration_s < _WHOLE_SECONDS_FROM_S:
        return f"{duration_s:.1f} s".replace(".0 ", " ")
    return " ".join(f"{count} {unit}" for count, unit in _clock(round(duration_s))[:2] if count)


def format_ago(at: datetime, now: datetime) -> str:
    """Return how long before `now`, or after, `at` is, in its largest unit: `3 min ago`, `in 2 h`, `now`."""
    apart_s = (now - at).total_seconds()
    if abs(apart_s) < 1:
        return "now"
    count, unit = _clock(int(abs(apart_s)))[0]
    return f"{count} {unit} ago" if apart_s > 0 else f"in {count} {unit}"


def _clock(whole_s: int) -> list[tuple[int, str]]:
    """Return days, hours, minutes and seconds, from the largest that is not zero."""
    parts: list[tuple[int, str]] = []
    for unit_s, unit in _CLOCK:
        count, whole_s = divmod(whole_s, unit_s)
        if count or parts:
            parts.append((count, unit))
    return parts


def _format_scaled(amount: float, unit: str) -> str:
    for prefix, scale in _PREFIXES:
        if abs(amount) >= scale * 0.9995:  # what would round to 1000 of the smaller unit
            return f"{_three_digits(amount / scale)} {prefix}{unit}"
    return f"{round(amount)} {unit}"


def _three_digits(number: float) -> str:
    """Return `number`, about 1 or more, to three significant digits, without trailing zeros."""
    text = f"{number:.{max(0, 3 - len(str(int(abs(number)))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
