"""Helios (Venus) and Alibaba PAI as converted for a simulator: job_id, arrival_s, service_sec, gpu_count.

Source: github.com/mystous/gpu_scheduler, sim/helios_trace.csv and sim/alibaba_trace_sub.csv; upstream HeliosData and
alibaba/clusterdata (cluster-trace-gpu-v2020), both CC-BY 4.0.

Caveats: the converter clamped durations at 48 h (1.90 % of the Helios jobs) and dropped user, queue and state. The
first nine days of Helios hold fewer than 20 jobs. PAI is a random subsample, its start times stand for arrivals, and
fractions of a GPU were rounded up to 1. Seconds count from the file's own zero, which is not always the first job.
"""

from __future__ import annotations

from scheduler.series.csv_table import CsvTable
from scheduler.sim.asked import JobMap
from scheduler.sim.traces.cells import Cells
from scheduler.sim.traces.records import Format, JobTrace, Layout, gather, work_s
from scheduler.sim.workload import SimJob

_COLUMNS = frozenset({"job_id", "arrival_s", "service_sec", "gpu_count"})


def read(table: CsvTable, asked: JobMap) -> JobTrace:
    """Every row is a job of at least one GPU."""
    cells = Cells(table)

    def job(row: int) -> SimJob:
        return SimJob(
            id=cells.name(row, "job_id"),
            arrives_s=cells.number(row, "arrival_s"),
            gpus=cells.count(row, "gpu_count", least=1),
            work_s=work_s(cells.number(row, "service_sec")),
        )

    return gather(cells, asked, Layout(name=FORMAT.name, dated=False, ordered=True), job)


FORMAT = Format(name="Helios or PAI, converted", needs=_COLUMNS, uses=_COLUMNS, read=read)
