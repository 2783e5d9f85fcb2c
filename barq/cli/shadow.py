"""`barq shadow`: the site beside its twin, by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from barq.cli.connect import connect
from barq.cli.facts import NOTHING, moment
from barq.cli.options import JsonOption, QuietOption
from barq.cli.output import Block, Format, Table, chosen_format, emit, say
from barq.units import format_duration, format_energy, format_power

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from barq.shadow_views import ShadowDay, ShadowDays, ShadowSide

_HEADERS = (
    "DAY (UTC)",
    "REAL OVER",
    "TWIN OVER",
    "REAL DRAWN",
    "TWIN DRAWN",
    "REAL UNUSED",
    "TWIN UNUSED",
    "COVERED",
)


def shadow(
    *,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="This UTC day in full; else the last days.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=366, help="At most so many days.")] = 31,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the site with its twin: what happened, by the real meter, and what would have happened."""
    form = chosen_format(as_json=as_json, quiet=quiet)
    with connect() as site:
        found = site.shadow_days(day=day, limit=limit)
    days = found["days"]
    emit(form, value=found, ids=(one["day"] for one in days), blocks=lambda: _blocks(days, in_full=bool(day)))
    if form is Format.TABLE and not days:
        say(_why_none(found, day))


def _why_none(found: ShadowDays, day: str | None) -> str:
    if not found["shadow"]:
        return "the site is not in shadow mode: it acts"
    return (
        "nothing was written down yet; ask again in some seconds"
        if day is None
        else f"nothing is known of {day}"
    )


def _blocks(days: Sequence[ShadowDay], *, in_full: bool) -> list[Block]:
    if not days:
        return []
    if in_full:
        return [block for one in days for block in _day(one)]
    right = frozenset(_HEADERS[1:])
    return [Table(headers=_HEADERS, rows=[_row(one) for one in days], right=right), "", *_day(days[0])]


def _row(one: ShadowDay) -> list[str]:
    real, twin = one["real"], one["twin"]
    return [
        one["day"],
        _over(real) if real else NOTHING,
        _over(twin),
        format_energy(real["drawn_wh"]) if real else NOTHING,
        format_energy(twin["drawn_wh"]),
        format_energy(real["unused_wh"]) if real else NOTHING,
        format_energy(twin["unused_wh"]),
        format_duration((real or twin)["covered_s"]),
    ]


def _over(side: ShadowSide) -> str:
    return format_duration(side["over_s"])


def _day(one: ShadowDay) -> list[Block]:
    """One day in full: both sides, and what the twin did with it."""
    real, twin = one["real"], one["twin"]
    rows = [
        (name, told(real) if real else NOTHING, told(twin), difference)
        for (name, told), difference in zip(_TOLD, _differences(one), strict=True)
    ]
    table = Table(headers=(one["day"], "REAL", "TWIN", "TWIN - REAL"), rows=rows)
    blocks: list[Block] = [
        table,
        f"Jobs of the twin: {one['jobs_finished']} finished, paused {one['jobs_paused']} times.",
    ]
    if real is None:
        blocks.append("The real site was not measured: the site file names no meter, or it did not answer.")
    elif real["uncovered_s"] >= 1:
        blocks.append(f"Nothing is known of {format_duration(real['uncovered_s'])} of the day so far.")
    return blocks


def _differences(one: ShadowDay) -> list[str]:
    """As the lines of `_TOLD`, over the seconds in which both are known."""
    less = one["difference"]
    if less is None:
        return [NOTHING] * len(_TOLD)
    slowest = less["comply_max_s"]
    return [
        f"over {format_duration(less['compared_s'])}",
        NOTHING,
        _signed(less["drawn_wh"], format_energy),
        _signed(less["unused_wh"], format_energy),
        NOTHING,
        NOTHING,
        _signed(less["over_s"], format_duration),
        _signed(less["over_wh"], format_energy),
        _signed(less["worst_over_w"], format_power),
        NOTHING,
        NOTHING if slowest is None else _signed(slowest, _seconds),
    ]


def _signed(amount: float, told: Callable[[float], str]) -> str:
    return f"{'-' if amount < 0 else '+'}{told(abs(amount))}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _worst(side: ShadowSide) -> str:
    return f"{format_power(side['worst_over_w'])}" + (
        f" at {moment(side['worst_at'])}" if side["worst_at"] else ""
    )


def _known(energy_wh: float | None) -> str:
    return NOTHING if energy_wh is None else format_energy(energy_wh)


def _slowest(side: ShadowSide) -> str:
    slowest, mean = side["comply_max_s"], side["comply_mean_s"]
    return (
        NOTHING if slowest is None or mean is None else f"{_seconds(slowest)} at most, {_seconds(mean)} mean"
    )


_TOLD: Sequence[tuple[str, Callable[[ShadowSide], str]]] = (
    ("covered", lambda side: format_duration(side["covered_s"])),
    ("offered", lambda side: format_energy(side["offered_wh"])),
    ("drawn", lambda side: format_energy(side["drawn_wh"])),
    ("unused under the limit", lambda side: format_energy(side["unused_wh"])),
    ("AI work", lambda side: _known(side["ai_wh"])),
    ("miners", lambda side: _known(side["miners_wh"])),
    ("over the limit", _over),
    ("energy over the limit", lambda side: format_energy(side["over_wh"])),
    ("worst breach", _worst),
    ("withdrawals", lambda side: f"{side['withdrawals']}, {side['complied']} complied with"),
    ("time to comply", _slowest),
)
