"""Acme (Shanghai AI Lab) as published: trace_seren.csv and trace_kalos.csv, one row a job.

Source: github.com/InternLM/AcmeTrace, data/job_trace, CC-BY 4.0; columns job_id, user, node_num, gpu_num, cpu_num,
type, state, submit_time, start_time, end_time, duration, queue, gpu_time, and four more in Kalos.

Caveats: `duration` is not used, for in Kalos it includes the time in the queue; a job's work is end_time - start_time.
Jobs without a GPU are left out, and so are those that never started. A job that failed or was cancelled counts with the
time that it ran (in Seren 50.3 % of the GPU jobs). A project is a user: the trace names no group.
"""

from __future__ import annotations

from scheduler.series.csv_table import CsvTable
from scheduler.sim.asked import JobMap
from scheduler.sim.traces.cells import Cells
from scheduler.sim.traces.records import Format, JobTrace, Layout, gather, gpus_or_none, ran_s, work_s
from scheduler.sim.workload import SimJob

_NEEDS = frozenset({"job_id", "user", "gpu_num", "type", "submit_time", "start_time", "end_time"})


def read(table: CsvTable, asked: JobMap) -> JobTrace:
    """Rows may come in any order."""
    cells = Cells(table)
    submitted, started, ended = (
        cells.times(f"{word}_time", asked.zone) for word in ("submit", "start", "end")
    )

    def job(row: int) -> SimJob:
        return SimJob(
            gpus=gpus_or_none(cells.count(row, "gpu_num")),
            id=cells.name(row, "job_id"),
            arrives_s=submitted.seconds(row),
            work_s=work_s(ran_s(row, started, ended)),
            project=cells.text(row, "user") or "default",
        )

    return gather(cells, asked, Layout(name=FORMAT.name, dated=submitted.dated, ordered=False), job)


FORMAT = Format(name="Acme", needs=_NEEDS, uses=_NEEDS, read=read)
