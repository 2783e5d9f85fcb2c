"""Helios as SenseTime published it: cluster_log.csv of a cluster, one row a Slurm job.

Source: github.com/S-Lab-System-Group/HeliosData, data/CLUSTER/cluster_log.csv, CC-BY 4.0; columns job_id, user, vc,
gpu_num, cpu_num, node_num, state, submit_time, start_time, end_time, duration, queue.

Caveats: times name no zone (`zone=Asia/Shanghai` in the map makes them China's). Jobs without a GPU are left out, and
so are those that ended while they waited. A job that failed or was cancelled counts with the time that it ran. A
project is a virtual cluster.
"""

from __future__ import annotations

from scheduler.series.csv_table import CsvTable
from scheduler.sim.asked import JobMap
from scheduler.sim.traces.cells import Cells
from scheduler.sim.traces.records import Format, JobTrace, Layout, gather, gpus_or_none, work_s
from scheduler.sim.workload import SimJob

_NEEDS = frozenset({"job_id", "vc", "gpu_num", "submit_time", "duration"})


def read(table: CsvTable, asked: JobMap) -> JobTrace:
    """Rows may come in any order."""
    cells = Cells(table)
    submitted = cells.times("submit_time", asked.zone)

    def job(row: int) -> SimJob:
        return SimJob(
            gpus=gpus_or_none(cells.count(row, "gpu_num")),
            id=cells.name(row, "job_id"),
            arrives_s=submitted.seconds(row),
            work_s=work_s(cells.number(row, "duration")),
            project=cells.text(row, "vc") or "default",
        )

    return gather(cells, asked, Layout(name=FORMAT.name, dated=submitted.dated, ordered=False), job)


FORMAT = Format(name="Helios", needs=_NEEDS, uses=_NEEDS, read=read)
