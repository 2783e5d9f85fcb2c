"""Alibaba GPU pods of 2023: name, num_gpu, gpu_milli, qos, pod_phase, creation_time, deletion_time, scheduled_time, ...

Source: github.com/alibaba/clusterdata, cluster-trace-gpu-v2023, openb_pod_list_default.csv; no licence in that folder.

Caveats: times count from the trace's zero; the last two weeks hold most of the pods. A fraction of a GPU (gpu_milli)
takes a whole one here. A pod's work is deletion_time - scheduled_time: pods that still ran when the trace ended are
cut off there, and those that were never scheduled (Pending) are left out, as are pods without a GPU. A project is a
class of service, and the class gives the flex tier: LS (latency-sensitive) and Guaranteed 1, Burstable 3, BE (best
effort) 4.
"""

from __future__ import annotations

from scheduler.series.csv_table import CsvTable
from scheduler.sim.asked import JobMap
from scheduler.sim.traces.cells import Cells
from scheduler.sim.traces.records import Format, JobTrace, Layout, LeftOut, gather, gpus_or_none, work_s
from scheduler.sim.workload import SimJob

_COLUMNS = frozenset({"name", "num_gpu", "qos", "creation_time", "deletion_time", "scheduled_time"})
_FLEX = {"LS": 1, "Guaranteed": 1, "Burstable": 3, "BE": 4}


def read(table: CsvTable, asked: JobMap) -> JobTrace:
    """Every pod is a job."""
    cells = Cells(table)

    def job(row: int) -> SimJob:
        qos = cells.text(row, "qos")
        if qos not in _FLEX:
            raise cells.bad(row, "qos", f"is none of {', '.join(_FLEX)}")
        return SimJob(
            gpus=gpus_or_none(cells.count(row, "num_gpu")),
            id=cells.name(row, "name"),
            arrives_s=cells.number(row, "creation_time"),
            work_s=work_s(_ran_s(cells, row)),
            flex=_FLEX[qos],
            project=qos,
        )

    return gather(cells, asked, Layout(name=FORMAT.name, dated=False, ordered=True), job)


def _ran_s(cells: Cells, row: int) -> float:
    if not cells.text(row, "scheduled_time"):
        raise LeftOut("jobs that never started")
    ran_s = cells.number(row, "deletion_time") - cells.number(row, "scheduled_time")
    if ran_s < 0:
        raise cells.bad(row, "deletion_time", "is before scheduled_time")
    return ran_s


FORMAT = Format(name="Alibaba pods of 2023", needs=_COLUMNS, uses=_COLUMNS, read=read)
