"""A revenue meter's readings from a utility's CSV file: any cadence that fits quarters of an hour, any time zone.

The file's first line names its columns; the separator is a comma, a semicolon or a tab. `MeterMap` says which columns
hold the time and the value, and in which unit: kWh or Wh in an interval, or its mean in kW or W. Times are ISO 8601,
Unix seconds, or what `format` says (as for strptime); those without a zone are the clock's in the report's zone, also
in the hour that comes twice when clocks go back.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from barq.errors import InvalidInput

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MOST_BYTES: Final = 64 * 1024 * 1024
QUARTER_S: Final = 900
ENERGIES: Final = {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6}
POWERS: Final = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_YEARS: Final = range(1990, 2200)
_SHAPE: Final = "time=COLUMN,value=COLUMN[,unit=kWh][,stamps=start][,format=%d.%m.%Y %H:%M]"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterMap:
    """Which column is what."""

    time: str = "time"
    value: str = "value"
    unit: str = "kWh"
    stamps: str = "start"  #: of its interval; or end
    format: str = ""  #: of times, as for strptime; empty = ISO 8601 or Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The energy of one interval, Wh. `energy_wh` None = the file has the row and no value in it."""

    starts_at: datetime
    energy_wh: float | None
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFile:
    """A file as read: rising in time, each reading over `cadence_s` seconds."""

    path: Path
    cadence_s: int
    readings: tuple[Reading, ...]


def read_map(text: str) -> MeterMap:
    """What `--meter-map` says. Raises InvalidInput."""
    given: dict[str, str] = {}
    known = [f.name for f in fields(MeterMap)]
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name.strip() not in known or not value.strip() or name.strip() in given:
            raise InvalidInput(
                f"--meter-map: {part!r} is not understood",
                field="--meter-map",
                value=part,
                remedy=f"write {_SHAPE}",
            )
        given[name.strip()] = value.strip()
    chosen = MeterMap(**given)
    units = (*ENERGIES, *POWERS)
    for name, value, allowed in (("unit", chosen.unit, units), ("stamps", chosen.stamps, ("start", "end"))):
        if value not in allowed:
            raise InvalidInput(
                f"--meter-map: {name}={value} is not known",
                field="--meter-map",
                value=value,
                remedy=f"use one of {', '.join(allowed)}",
            )
    return chosen


def read_meter_file(path: Path, columns: MeterMap, zone: ZoneInfo) -> MeterFile:
    """All readings of a file. Raises InvalidInput that names file, line, column, value and remedy."""
    rows = list(_rows(path, columns))
    times = list(_times(path, rows, columns, zone))
    cadence_s = _cadence_s(path, rows, times)
    early = timedelta(seconds=cadence_s if columns.stamps == "end" else 0)
    readings = []
    for (line, text, value), at in zip(rows, times, strict=True):
        starts_at = at - early
        _check_aligned(path, line, columns.time, text, starts_at, cadence_s)
        energy_wh = _energy_wh(path, line, value, columns, cadence_s)
        readings.append(Reading(starts_at=starts_at, energy_wh=energy_wh, line=line))
    return MeterFile(path=path, cadence_s=cadence_s, readings=tuple(readings))


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(path: Path, columns: MeterMap) -> Iterator[tuple[int, str, str]]:
    """Line number, time and value of each row that is not empty."""
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        time, value = (_column(path, header, name) for name in (columns.time, columns.value))
        for row in reader:
            if any(cell.strip() for cell in row):
                if len(row) <= max(time, value):
                    short = header[len(row)]
                    _refuse(
                        path, reader.line_num, short, "", "is not there", "complete the row, or take it out"
                    )
                yield reader.line_num, row[time].strip(), _with_point(row[value].strip(), delimiter)
    except csv.Error as error:
        raise InvalidInput(
            f"{path}: line {reader.line_num}: not a CSV file: {error}",
            remedy="save it as comma-separated text",
        ) from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise InvalidInput(f"{path}: it has more than {MOST_BYTES >> 20} MiB", remedy="cut out the month")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}", remedy="check the path") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path}: byte {error.start} is no UTF-8 text", remedy="save it as UTF-8"
        ) from error


def _column(path: Path, header: Sequence[str], name: str) -> int:
    if header.count(name) != 1:
        why = "there is no" if name not in header else "there is more than one"
        raise InvalidInput(
            f"{path}: line 1: {why} column {name!r}",
            field="--meter-map",
            value=name,
            remedy=f"name one of {', '.join(header) or 'its columns, which line 1 has to name'}",
        )
    return header.index(name)


def _with_point(text: str, delimiter: str) -> str:
    """A decimal comma cannot be where commas separate columns."""
    return text if delimiter == "," else text.replace(",", ".")


# -- times -------------------------------------------------------------------------------------------------------------


def _times(
    path: Path, rows: Sequence[tuple[int, str, str]], columns: MeterMap, zone: ZoneInfo
) -> Iterator[datetime]:
    """Aware UTC times, each after the one before."""
    if not rows:
        raise InvalidInput(f"{path}: it has no rows below its header", remedy="export the month again")
    before: datetime | None = None
    for line, text, _ in rows:
        at = _parsed(text, columns.format)
        if at is None:
            remedy = "write it like 2026-10-01T06:00+05:00, or give format= in --meter-map"
            _refuse(path, line, columns.time, text, "is no time", remedy)
        choices = [at.astimezone(UTC)] if at.tzinfo else _by_the_clock(at, zone)
        if not choices:
            remedy = "correct it, or give --tz the zone of the file"
            _refuse(path, line, columns.time, text, f"is skipped by the clocks in {zone.key}", remedy)
        later = [choice for choice in choices if before is None or choice > before]
        if not later:
            remedy = "sort the rows, and give each time once"
            _refuse(path, line, columns.time, text, "is not after the row above", remedy)
        before = later[0]
        yield before


def _parsed(text: str, form: str) -> datetime | None:
    try:
        if form:
            at = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the report's
        elif re.fullmatch(r"[0-9]{9,11}", text):
            at = datetime.fromtimestamp(int(text), UTC)
        elif re.match(r"\d{4}[-/]", text):
            at = datetime.fromisoformat(text.replace("/", "-"))
        else:
            return None
    except ValueError:
        return None
    return at if at.year in _YEARS else None


def _by_the_clock(at: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants at which the clocks show `at`: two where they went back, none where they went forward."""
    found = {at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(i for i in found if i.astimezone(zone).replace(tzinfo=None, fold=0) == at)


def _cadence_s(path: Path, rows: Sequence[tuple[int, str, str]], times: Sequence[datetime]) -> int:
    """The distance that most rows have to the next one."""
    apart = Counter(round((b - a).total_seconds()) for a, b in pairwise(times))
    if not apart:
        raise InvalidInput(
            f"{path}: one row does not say how long its interval is", remedy="export more of the month"
        )
    cadence_s = apart.most_common(1)[0][0]
    if cadence_s <= 0 or (QUARTER_S % cadence_s and cadence_s % QUARTER_S):
        line = rows[1][0]
        raise InvalidInput(
            f"{path}: line {line}: rows are {cadence_s} s apart, which does not fit quarters of an hour",
            value=f"{cadence_s} s",
            remedy="export intervals of 1, 3, 5, 15, 30 or 60 minutes",
        )
    return cadence_s


def _check_aligned(path: Path, line: int, column: str, text: str, at: datetime, cadence_s: int) -> None:
    step_s = min(cadence_s, QUARTER_S)
    if at.timestamp() % step_s:
        remedy = "export intervals that begin at full ones, or give --tz the zone of the file"
        _refuse(path, line, column, text, f"does not begin an interval of {step_s} s", remedy)


# -- values ------------------------------------------------------------------------------------------------------------


def _energy_wh(path: Path, line: int, text: str, columns: MeterMap, cadence_s: int) -> float | None:
    """Wh of one interval; None for an empty cell."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        _refuse(path, line, columns.value, text, "is no number", f"give {columns.unit}, or leave it empty")
    if value < 0:
        remedy = "choose the column of what was drawn, not of what was fed in"
        _refuse(path, line, columns.value, text, "is below 0", remedy)
    if columns.unit in ENERGIES:
        return value * ENERGIES[columns.unit]
    return value * POWERS[columns.unit] * cadence_s / 3600.0


def _refuse(path: Path, line: int, column: str, text: str, why: str, remedy: str) -> NoReturn:
    shown = text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one line
    raise InvalidInput(
        f"{path}: line {line}: {column}: {shown!r} {why}", field=column, value=shown, remedy=remedy
    )
