"""Emerald's four files: power by the minute on two days, a sweep of power caps, and how fast each job ran.

Every error is a `SignalError` that names file, line, column, value and remedy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable, read_table
from scheduler.series.instants import read_instants, recognise

SRP_POWER = "emerald_srp_power_1min.csv.gz"
CAISO_POWER = "emerald_caiso_power_1min.csv.gz"
SWEEP = "emerald_dvfs_sweep.csv.gz"
PERFORMANCE = "emerald_srp_performance.csv.gz"
FILES = (SRP_POWER, CAISO_POWER, SWEEP, PERFORMANCE)

_MINUTE = timedelta(minutes=1)
_WHOLE = 0.02  #: how far from a whole number of GPUs a total over a GPU's watts may be
_TIERS = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One workload under one cap."""

    workload: str
    cap_w: float
    speed: float  #: throughput relative to that without a cap
    draw_w: float  #: of one GPU
    gpus: int  #: that the workload ran on


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPerformance:
    """How fast one job of the event ran, relative to no event, and how much of that was promised to it."""

    job: str
    workload: str
    speed: float
    tier: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MinutePower:
    """GPU watts of the cluster, one value a minute, each for the minute that begins then."""

    name: str
    starts_at: datetime
    draws_w: tuple[float, ...]

    def mean_w(self, first: int, end: int) -> float:
        """The mean of the minutes [first, end). Raises ValueError where there are none."""
        part = self.draws_w[first:end]
        if not part:
            raise ValueError(f"{self.name}: minutes {first} to {end} of {len(self.draws_w)}: there are none")
        return sum(part) / len(part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emerald:
    """All four files."""

    srp: MinutePower
    caiso: MinutePower
    sweep: tuple[SweepPoint, ...]
    performance: tuple[JobPerformance, ...]


def missing(folder: Path) -> str:
    """Why the replay cannot be run from this folder, in words; empty if all files are there."""
    lacking = [name for name in FILES if not (folder / name).is_file()]
    return f"{folder}: there is no {', '.join(lacking)}" if lacking else ""


def read_emerald(folder: Path) -> Emerald:
    """Read all four. Raises `SignalError` at the first thing that is wrong."""
    return Emerald(
        srp=read_power(folder / SRP_POWER),
        caiso=read_power(folder / CAISO_POWER),
        sweep=read_sweep(folder / SWEEP),
        performance=read_performance(folder / PERFORMANCE),
    )


def read_power(path: Path) -> MinutePower:
    """A day of GPU power. Raises `SignalError` unless its rows are a minute apart."""
    table = read_table(path)
    texts = table.column("timestamp")
    spelling = recognise(texts, UTC)
    if spelling is None:
        raise SignalError(
            f"{path}: column 'timestamp': {_first(texts)!r} is no time; write HH:MM or ISO 8601"
        )
    times = read_instants(texts, spelling, UTC)
    for row, (before, at) in enumerate(pairwise(times), start=1):
        if before is None or at is None or at - before != _MINUTE:
            raise _wrong(table, row, "timestamp", texts[row], "rows must be one minute apart")
    if not times or times[0] is None:
        raise SignalError(f"{path}: it has no rows; one a minute is needed")
    return MinutePower(name=path.name, starts_at=times[0], draws_w=tuple(_numbers(table, "total")))


def read_sweep(path: Path) -> tuple[SweepPoint, ...]:
    """The sweep of power caps, in the order of the file."""
    table = read_table(path)
    columns = ("GPU power cap", "normalized throughput", "power per GPU", "total GPU power")
    rows = zip(table.column("Workload"), *(_numbers(table, c) for c in columns), strict=True)
    points = []
    for row, (workload, cap_w, speed, draw_w, total_w) in enumerate(rows):
        gpus = round(total_w / draw_w) if draw_w > 0 else 0
        if gpus < 1 or abs(total_w / draw_w - gpus) > _WHOLE:
            remedy = f"it must be a whole number of GPUs at 'power per GPU' {draw_w:g} W"
            raise _wrong(table, row, "total GPU power", f"{total_w:g}", remedy)
        points.append(SweepPoint(workload=workload, cap_w=cap_w, speed=speed, draw_w=draw_w, gpus=gpus))
    if not points:
        raise SignalError(f"{path}: it has no rows; one for each workload and cap is needed")
    return tuple(points)


def read_performance(path: Path) -> tuple[JobPerformance, ...]:
    """The jobs of the event. The row of the weighted mean, which names no tier, is left out."""
    table = read_table(path)
    speeds, tiers = _numbers(table, "Performance"), table.column("Flexibility")
    rows = enumerate(zip(table.column("Model"), speeds, tiers, strict=True))
    jobs = [_performance(table, row, model, speed, tier) for row, (model, speed, tier) in rows if tier]
    if not jobs:
        raise SignalError(f"{path}: column 'Flexibility': no row has one; write Flex 1, Flex 2, ...")
    return tuple(jobs)


def _performance(table: CsvTable, row: int, model: str, speed: float, tier: str) -> JobPerformance:
    number = tier.removeprefix("Flex").strip()
    if not number.isdigit() or int(number) not in _TIERS:
        raise _wrong(table, row, "Flexibility", tier, "write Flex 0 to Flex 4")
    return JobPerformance(
        job=model, workload=model.rpartition("-")[0] or model, speed=speed, tier=int(number)
    )


def _numbers(table: CsvTable, column: str) -> list[float]:
    numbers = []
    for row, text in enumerate(table.column(column)):
        value = _finite(text)
        if value is None or value < 0:
            raise _wrong(table, row, column, text, "write a number, 0 or more")
        numbers.append(value)
    return numbers


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _first(texts: Sequence[str]) -> str:
    return next((text for text in texts if text), "")


def _wrong(table: CsvTable, row: int, column: str, text: str, remedy: str) -> SignalError:
    return SignalError(f"{table.path}: line {table.lines[row]}: column {column!r}: {text!r}: {remedy}")
