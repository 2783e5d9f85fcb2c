"""Any CSV file of jobs, by a map of its columns (`--jobs-map arrival=...,duration=...,gpus=...`).

Strict: a number that is none, a negative duration, no GPUs, an id that comes twice or an arrival before the one above
is an error, unless the map says `mend=yes`. Arrivals may be seconds from zero or times in one of many spellings.
"""

from __future__ import annotations

from scheduler.series.csv_table import CsvTable
from scheduler.sim.asked import JobColumns, JobMap
from scheduler.sim.traces.cells import Cells, Times
from scheduler.sim.traces.records import JobTrace, Layout, gather, ran_s, work_s
from scheduler.sim.workload import SimJob

_HIGHEST_FLEX = 4


def read_mapped(table: CsvTable, columns: JobColumns, asked: JobMap) -> JobTrace:
    """Raises `TraceError` that names file, line, column, value and remedy."""
    cells = Cells(table)
    arrival = cells.times(columns.arrival, asked.zone)
    started = cells.times(columns.start, asked.zone) if columns.start is not None else arrival
    ended = cells.times(columns.end, asked.zone) if columns.end is not None else None

    def job(row: int) -> SimJob:
        return SimJob(
            id=cells.name(row, columns.id) if columns.id is not None else f"line-{cells.line(row)}",
            arrives_s=arrival.seconds(row),
            gpus=cells.count(row, columns.gpus, least=1),
            work_s=work_s(_ran_s(cells, row, columns, started, ended)),
            priority=cells.integer(row, columns.priority) if columns.priority is not None else 0,
            flex=_flex(cells, row, columns.flex),
            project=(cells.text(row, columns.project) if columns.project is not None else "") or "default",
            estimate_s=_stated_s(cells, row, columns.estimate, columns.unit_s),
            deadline_s=_stated_s(cells, row, columns.deadline, columns.unit_s),
        )

    return gather(cells, asked, Layout(name="mapped", dated=arrival.dated, ordered=True), job)


def _ran_s(cells: Cells, row: int, columns: JobColumns, started: Times, ended: Times | None) -> float:
    if ended is not None:
        return ran_s(row, started, ended)
    if columns.duration is None:
        raise AssertionError("a map has a duration or an end")
    return cells.number(row, columns.duration) * columns.unit_s


def _flex(cells: Cells, row: int, column: str | None) -> int:
    if column is None:
        return _HIGHEST_FLEX
    flex = cells.count(row, column)
    if flex > _HIGHEST_FLEX:
        raise cells.bad(row, column, f"is above {_HIGHEST_FLEX}, the last flex tier")
    return flex


def _stated_s(cells: Cells, row: int, column: str | None, unit_s: float) -> float | None:
    """None where the user said nothing."""
    if column is None or not cells.text(row, column):
        return None
    return cells.number(row, column) * unit_s
