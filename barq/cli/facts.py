"""Facts from the API as people read them: times as ages, and numbers by the unit in their name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from barq.units import format_ago, format_duration, format_energy, format_power

if TYPE_CHECKING:
    from collections.abc import Mapping

    from barq.site_views import StopView

NOTHING: Final = "-"
_UNIT: Final = 1_000_000
_UNITS: Final = {"w": format_power, "wh": format_energy, "s": format_duration}


def utc_now() -> datetime:
    """Return the time against which ages are told."""
    return datetime.now(UTC)


def ago(at: str | None) -> str:
    """Return an ISO 8601 time as its age, `3 min ago`."""
    return NOTHING if at is None else format_ago(_parse(at), utc_now())


def moment(at: str | None) -> str:
    """Return an ISO 8601 time as local time and age, `2026-03-01 13:40 (in 20 min)`."""
    if at is None:
        return NOTHING
    return f"{_parse(at).astimezone():%Y-%m-%d %H:%M} ({ago(at)})"


def is_past(at: str) -> bool:
    """Whether an ISO 8601 time has passed."""
    return _parse(at) <= utc_now()


def clock_time(at: str) -> str:
    """Return an ISO 8601 time as local time, `2026-03-01 13:40`."""
    return f"{_parse(at).astimezone():%Y-%m-%d %H:%M}"


def money(micro: int | None) -> str:
    """Return micro-units of the site's currency to a hundredth of one, `1,234.50`."""
    return NOTHING if micro is None else f"{micro / _UNIT:,.2f}"


def power(watts: float | None) -> str:
    """Return watts, where they are known."""
    return NOTHING if watts is None else format_power(watts)


def stop_line(stop: StopView) -> str:
    """Return who stopped the site, since when and why."""
    return f"EMERGENCY STOP by {stop['by']} since {moment(stop['at'])}: {stop['reason']}"


def lines_of(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each fact that is known as (name, value): `free_w: 1100` becomes ("free", "1.1 kW")."""
    return [_line(name, value) for name, value in facts.items() if value is not None and value != ""]


def _line(name: str, value: object) -> tuple[str, str]:
    stem, _, unit = name.rpartition("_")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if stem and unit in _UNITS:
            return _words(stem), _UNITS[unit](value)
        return _words(name), f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str) and (unit == "at" or name == "at"):
        return _words(stem or name), moment(value)
    return _words(name), str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _parse(at: str) -> datetime:
    parsed = datetime.fromisoformat(at)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
