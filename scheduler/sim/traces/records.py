"""What all formats of job files come to, and how it is gathered row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from scheduler.errors import TraceError
from scheduler.series.csv_table import CsvTable
from scheduler.series.instants import EPOCH
from scheduler.sim.asked import JobMap
from scheduler.sim.traces.cells import BadRow, Cells, Times
from scheduler.sim.workload import SimJob


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTrace:
    """A whole file of jobs; each `arrives_s` counts from the trace's own zero."""

    path: Path
    format: str
    jobs: tuple[SimJob, ...]  #: in order of arrival
    zero_at: datetime | None  #: the instant of 0 s; None where the file has no dates
    notes: tuple[str, ...]  #: what was left out or mended, one sentence each


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One layout of a file of jobs."""

    name: str
    needs: frozenset[str]  #: it is this format if it has these columns
    uses: frozenset[str]  #: those that are read, where they are there
    read: Callable[[CsvTable, JobMap], JobTrace]


class LeftOut(Exception):
    """A row that is as it should be, and no job for a site of GPUs: counted under its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a format's rows come: `dated` if their arrivals are Unix seconds, `ordered` if they have to be rising."""

    name: str
    dated: bool
    ordered: bool


def gather(cells: Cells, asked: JobMap, layout: Layout, row_job: Callable[[int], SimJob]) -> JobTrace:
    """The jobs of all rows, in order of arrival, no id twice. `row_job` makes one, or raises `LeftOut` or `BadRow`.

    Raises `TraceError` for the first bad row; `asked.mend` leaves it out instead, and accepts any order.
    """
    left_out: Counter[str] = Counter()
    jobs: list[SimJob] = []
    rows: dict[str, int] = {}
    for row in range(len(cells)):
        try:
            job = row_job(row)
            if job.id in rows:
                raise _twice(cells, row, job.id, cells.line(rows[job.id]))
            if layout.ordered and not asked.mend and jobs and job.arrives_s < jobs[-1].arrives_s:
                raise _backward(cells, row)
        except LeftOut as why:
            left_out[str(why)] += 1
            continue
        except BadRow as error:
            if not asked.mend:
                raise
            left_out[error.kind] += 1
            continue
        rows[job.id] = row
        jobs.append(job)
    notes = tuple(f"{words}, left out: {count}" for words, count in left_out.items())
    if not jobs:
        raise TraceError(
            f"{cells.path}: there are no jobs in it ({'; '.join(notes) or 'no rows'}); take another file"
        )
    zero_at, shift_s = _zero(cells, asked, layout, jobs)
    if shift_s:
        jobs = [replace(job, arrives_s=job.arrives_s - shift_s) for job in jobs]
    jobs.sort(key=lambda job: job.arrives_s)
    return JobTrace(path=cells.path, format=layout.name, jobs=tuple(jobs), zero_at=zero_at, notes=notes)


def gpus_or_none(gpus: int) -> int:
    """Raises `LeftOut` for a job that wants no GPU."""
    if gpus == 0:
        raise LeftOut("jobs without a GPU")
    return gpus


def work_s(duration_s: float) -> float:
    """Raises `LeftOut` for a job that took no time."""
    if duration_s == 0:
        raise LeftOut("jobs that took no time")
    return duration_s


def ran_s(row: int, started: Times, ended: Times) -> float:
    """From start to end. Raises `LeftOut` for a job that never started, `BadRow` if it ended before."""
    if not started.cells.text(row, started.column):
        raise LeftOut("jobs that never started")
    duration_s = (ended.at(row) - started.at(row)).total_seconds()
    if duration_s < 0:
        raise ended.cells.bad(row, ended.column, f"is before {started.column}")
    return duration_s


def _zero(cells: Cells, asked: JobMap, layout: Layout, jobs: list[SimJob]) -> tuple[datetime | None, float]:
    """The instant of the trace's zero, and where it lies on the clock of its rows."""
    if not layout.dated:
        return asked.epoch_at, 0.0
    if asked.epoch_at is not None:
        raise TraceError(f"{cells.path}: it has dates of its own; leave epoch out of the map")
    first_s = min(job.arrives_s for job in jobs)
    return EPOCH + timedelta(seconds=first_s), first_s


def _twice(cells: Cells, row: int, job_id: str, line: int) -> BadRow:
    return BadRow(
        f"{cells.path}: line {cells.line(row)}: the job {job_id!r} is there twice, first in line {line}; "
        "remove one, or keep the first of such rows with mend=yes in the map",
        kind="rows with the id of another",
    )


def _backward(cells: Cells, row: int) -> BadRow:
    return BadRow(
        f"{cells.path}: line {cells.line(row)}: arrives before the job of the row above; "
        "sort the file by arrival, or have it sorted with mend=yes in the map",
        kind="rows out of order",
    )
