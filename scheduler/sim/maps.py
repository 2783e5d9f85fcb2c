"""How a file's columns are to be read, as a person types it: `key=value,key=value`.

For jobs (`--jobs-map`):

    arrival=arrival_s,duration=service_sec,gpus=gpu_count

`arrival`, `gpus` and either `duration` or `end` (with `start`, if it did not start as it arrived) name the columns of a
file of no known format; `id`, `project`, `priority`, `flex`, `estimate` and `deadline` (so long after the arrival) name
further ones, and `unit` says what durations count in: s (default), min, h. `zone`, `epoch` and `mend` go with any
format.

For power (`--power-map`), `value` names the column, `time` the one of the times (found by itself otherwise), and one of
four recipes turns values into watts:

    scale=p95:700kW,min=160kW             the 95th percentile of the window is 700 kW; clipped to 160 .. 700 (or `max`)
    below=30,on=700kW,off=160kW           700 kW where the value is at most 30, else 160; `above` for at least
    zero=25000,full=0,max=700kW,min=160kW a straight line: 0 W at 25000, 700 kW at 0, clipped to 160 .. 700
    unit=kW                               the value is the limit itself; clipped by `min` and `max`

`stamp=end` is for times that end their interval. `zone` is for times that name none (default UTC), dates of
`--jobs-from` and `--power-from` included; `epoch=2017-08-07` gives a date to a file of jobs that counts seconds from
zero. `mend=yes` puts rows in order, leaves out bad ones, holds missing values at the one before, and says how often;
without it they are errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from scheduler.errors import TraceError
from scheduler.series.instants import recognise
from scheduler.sim.asked import (
    EARLIEST_AT,
    LATEST_AT,
    JobColumns,
    JobMap,
    Line,
    Plain,
    PowerMap,
    Recipe,
    Scaled,
    Start,
    Switched,
)

WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9}
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_POWER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", re.ASCII)
_MOST_DAYS = 100_000.0
"""Nearly three centuries: a larger number is a time in another unit."""
_COLUMN_KEYS = (
    "arrival",
    "duration",
    "gpus",
    "start",
    "end",
    "id",
    "project",
    "priority",
    "flex",
    "estimate",
    "deadline",
)
JOB_KEYS = (*_COLUMN_KEYS, "unit", "zone", "epoch", "mend")
_RECIPE_KEYS = {
    "scale": ("scale",),
    "below": ("below", "on", "off"),
    "above": ("above", "on", "off"),
    "zero": ("zero", "full", "max"),
    "unit": ("unit",),
}
_OTHER_POWER_KEYS = ("min", "max", "stamp", "zone", "mend")
POWER_KEYS = tuple(
    dict.fromkeys(["time", "value", *(k for ks in _RECIPE_KEYS.values() for k in ks), *_OTHER_POWER_KEYS])
)


def parse_start(text: str, *, option: str) -> Start:
    """`2017-10-09`, `2017-10-09T06:00`, `28d`, `28`. Raises `TraceError` that names the option."""
    text = text.strip()
    if re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)(e\d+)?d?|nan|inf", text, re.IGNORECASE | re.ASCII):
        return Start(text=text, days=_days(text, option))
    spelling = recognise([text])
    at = spelling.read(text, UTC) if spelling is not None and spelling.has_date else None
    if at is None or not EARLIEST_AT <= at < LATEST_AT:
        raise TraceError(
            f"{option}: {text!r} is neither a date nor a number of days; write 2017-10-09, "
            "2017-10-09T06:00 or, from the trace's start, 28d"
        )
    return Start(text=text)


def parse_days(text: str, *, option: str = "--days") -> float:
    """The length of a window: `7`, `7d`, `0.5d`. Raises `TraceError` that names the option."""
    days = _days(text.strip(), option)
    if days <= 0:
        raise TraceError(f"{option}: {text!r}: a window needs a length; write 7 for a week")
    return days


def parse_share(text: str, *, option: str) -> float:
    """`95%` or `0.95`. Raises `TraceError` that names the option."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", text.strip(), re.ASCII)
    if match is None:
        raise TraceError(f"{option}: {text!r} is no share; write 95% or 0.95")
    return float(match.group(1)) / (100.0 if match.group(2) else 1.0)


def parse_error(text: str, *, option: str) -> float:
    """`25%` or `0.25`, at most 1. Raises `TraceError` that names the option."""
    error = parse_share(text, option=option)
    if error > 1.0:
        raise TraceError(f"{option}: {text!r} is more than the whole; write 0% to 100%")
    return error


def parse_levels(text: str, *, option: str = "--power-map") -> tuple[float, float]:
    """`max=700kW,min=160kW`: the full and the firm level of a shaped limit, in W. Raises `TraceError`."""
    entries = entries_of(text, option, ("max", "min"))
    if "max" not in entries:
        raise TraceError(f"{option}: max is missing; add max=700kW, the full level")
    return _watts(entries["max"], option, "max"), _watts(entries.get("min", "0W"), option, "min")


def parse_job_map(text: str, *, option: str = "--jobs-map") -> JobMap:
    """Raises `TraceError` that names option, key, value and remedy."""
    entries = entries_of(text, option, JOB_KEYS)
    zone = _zone(entries, option)
    return JobMap(
        columns=_job_columns(entries, option),
        zone=zone,
        epoch_at=_epoch_at(entries, option, zone),
        mend=_mend(entries, option),
    )


def parse_power_map(text: str, *, option: str = "--power-map") -> PowerMap:
    """Raises `TraceError` that names option, key, value and remedy."""
    entries = entries_of(text, option, POWER_KEYS)
    if "value" not in entries:
        raise TraceError(f"{option}: value is missing; add value=COLUMN, the column that power is made from")
    stamp = entries.get("stamp", "start")
    if stamp not in {"start", "end"}:
        raise TraceError(f"{option}: stamp={stamp}: write start or end: what of its interval a time marks")
    recipe = _recipe(entries, option)
    min_w, max_w = _clip(entries, option, recipe)
    return PowerMap(
        value=entries["value"],
        recipe=recipe,
        time=entries.get("time"),
        min_w=min_w,
        max_w=max_w,
        stamp_ends=stamp == "end",
        zone=_zone(entries, option),
        mend=_mend(entries, option),
    )


def entries_of(text: str, option: str, keys: tuple[str, ...]) -> dict[str, str]:
    """The pairs of the text, each key known, given once and not empty."""
    entries: dict[str, str] = {}
    for part in (p.strip() for p in text.split(",")):
        key, sign, value = (p.strip() for p in part.partition("="))
        if not (key and sign and value):
            raise TraceError(f"{option}: {part!r} is not KEY=VALUE; separate such pairs by commas")
        if key not in keys:
            raise TraceError(f"{option}: there is no key {key!r}; there are {', '.join(keys)}")
        if key in entries:
            raise TraceError(f"{option}: {key} is given twice: {entries[key]} and {value}; keep one")
        entries[key] = value
    return entries


def _job_columns(entries: Mapping[str, str], option: str) -> JobColumns | None:
    named = {key: entries[key] for key in _COLUMN_KEYS if key in entries}
    if not named:
        if "unit" in entries:
            raise TraceError(f"{option}: unit goes with duration=COLUMN; leave it out for a known format")
        return None
    for key in ("arrival", "gpus"):
        if key not in named:
            raise TraceError(f"{option}: {key} is missing; add {key}=COLUMN")
    if ("duration" in named) == ("end" in named):
        raise TraceError(f"{option}: either duration or end has to name a column, and not both")
    if "start" in named and "end" not in named:
        raise TraceError(
            f"{option}: start={named['start']} goes with end=COLUMN; leave it out beside duration"
        )
    unit = entries.get("unit", "s")
    if unit not in SECONDS:
        raise TraceError(f"{option}: unit={unit}: write one of {', '.join(SECONDS)}")
    return JobColumns(arrival=named.pop("arrival"), gpus=named.pop("gpus"), unit_s=SECONDS[unit], **named)


def _recipe(entries: Mapping[str, str], option: str) -> Recipe:
    """The one recipe whose keys are there."""
    chosen = [key for key in _RECIPE_KEYS if key in entries]
    if len(chosen) > 1:
        raise TraceError(f"{option}: {chosen[0]} and {chosen[1]} are two recipes for one limit; keep one")
    if not chosen:
        return Plain(unit_w=_unit_by_name(entries["value"], option))
    (kind,) = chosen
    for key in _RECIPE_KEYS[kind]:
        if key not in entries:
            raise TraceError(f"{option}: {key} is missing beside {kind}={entries[kind]}; add {key}=...")
    for key in ("on", "off", "full"):
        if key in entries and key not in _RECIPE_KEYS[kind]:
            raise TraceError(f"{option}: {key}={entries[key]} means nothing beside {kind}; leave it out")
    match kind:
        case "scale":
            return _scaled(entries["scale"], option)
        case "zero":
            return _line(entries, option)
        case "unit":
            return Plain(unit_w=_unit_w(entries["unit"], option))
        case _:
            return Switched(
                at=_number(entries[kind], option, kind),
                on_w=_watts(entries["on"], option, "on"),
                off_w=_watts(entries["off"], option, "off"),
                above=kind == "above",
            )


def _scaled(text: str, option: str) -> Scaled:
    peak, _, power = text.partition(":")
    match = re.fullmatch(r"p(\d{1,3}(?:\.\d+)?)", peak, re.ASCII)
    percent = 100.0 if peak == "max" else float(match.group(1)) if match else 0.0
    if not 0 < percent <= 100 or not power:  # noqa: PLR2004 - per cent
        raise TraceError(
            f"{option}: scale={text}: write which of the values is how much power: p95:700kW or max:700kW"
        )
    return Scaled(share=percent / 100, peak_w=_watts(power, option, "scale"))


def _line(entries: Mapping[str, str], option: str) -> Line:
    zero, full = (_number(entries[key], option, key) for key in ("zero", "full"))
    if zero == full:
        raise TraceError(f"{option}: zero and full are both {zero:g}; a line needs two different values")
    return Line(zero=zero, full=full, full_w=_watts(entries["max"], option, "max"))


def _clip(entries: Mapping[str, str], option: str, recipe: Recipe) -> tuple[float, float]:
    """The lowest and the highest limit in watts."""
    given = {key: _watts(entries[key], option, key) for key in ("min", "max") if key in entries}
    if given and isinstance(recipe, Switched):
        key = next(iter(given))
        raise TraceError(f"{option}: {key}={entries[key]} means nothing beside on and off; leave it out")
    top_w = recipe.peak_w if isinstance(recipe, Scaled) else math.inf
    min_w, max_w = given.get("min", 0.0), given.get("max", top_w)
    if min_w > max_w:
        raise TraceError(f"{option}: min={entries['min']} is above the highest limit, {max_w:g} W; lower it")
    return min_w, max_w


def _unit_by_name(column: str, option: str) -> float:
    """A column `limit_kw` says itself what it holds."""
    ending = column.rpartition("_")[2].lower()
    units = [unit_w for unit, unit_w in WATTS.items() if unit.lower() == ending]
    if not units:
        raise TraceError(
            f"{option}: nothing says how {column} becomes watts; add scale=p95:700kW, "
            "below=30,on=700kW,off=160kW, zero=25000,full=0,max=700kW, or unit=kW if it is the limit itself"
        )
    return units[0]


def _unit_w(unit: str, option: str) -> float:
    if unit not in WATTS:
        raise TraceError(f"{option}: unit={unit}: write one of {', '.join(WATTS)}")
    return WATTS[unit]


def _watts(text: str, option: str, key: str) -> float:
    match = _POWER.fullmatch(text)
    if match is None or match.group(2) not in WATTS:
        raise TraceError(
            f"{option}: {key}={text}: {text!r} is no power; write a number and a unit, such as 700kW"
        )
    return float(match.group(1)) * WATTS[match.group(2)]


def _number(text: str, option: str, key: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TraceError(f"{option}: {key}={text}: {text!r} is no number; write one in the column's own unit")
    return value


def _days(text: str, option: str) -> float:
    try:
        days = float(text.removesuffix("d"))
    except ValueError:
        days = math.nan
    if not 0 <= days <= _MOST_DAYS:
        raise TraceError(
            f"{option}: {text!r} is no number of days from 0 to {_MOST_DAYS:g}; write 28, 28d or a date like 2017-10-09"
        )
    return days


def _zone(entries: Mapping[str, str], option: str) -> tzinfo:
    name = entries.get("zone", "UTC")
    offset = re.fullmatch(r"([+-])(\d{1,2}):(\d\d)", name, re.ASCII)
    try:
        if offset:
            return datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo or UTC
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise TraceError(
            f"{option}: zone={name} is no time zone; write UTC, Asia/Karachi or +05:00"
        ) from error


def _epoch_at(entries: Mapping[str, str], option: str, zone: tzinfo) -> datetime | None:
    if "epoch" not in entries:
        return None
    start = parse_start(entries["epoch"], option=f"{option}: epoch")
    if start.days is not None:
        raise TraceError(
            f"{option}: epoch={start.text} is no date; write 2017-08-07: when the file's zero was"
        )
    return start.at(zone)


def _mend(entries: Mapping[str, str], option: str) -> bool:
    word = entries.get("mend", "no")
    if word not in {"yes", "no"}:
        raise TraceError(f"{option}: mend={word}: write yes or no")
    return word == "yes"
