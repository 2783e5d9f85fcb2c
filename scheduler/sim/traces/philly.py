"""Microsoft Philly, 12 virtual clusters, as prepared for PCS: vc, app_id, submit_time, service, num_jobs, ...

Source: github.com/abdullahfsm/PCS, simulation/traces/trace_VC.csv (MIT; upstream CC-BY 4.0), joined, `vc` = file name.

Caveats: for more than one GPU `service` is GPU-work that its authors scaled by a speed-up of their own; a job's
duration is service / num_jobs here. Model names were assigned by them. submit_time restarts at 0 for each virtual
cluster: all are put on one clock, as if their first jobs had come together. A project is a virtual cluster.
"""

from __future__ import annotations

from scheduler.series.csv_table import CsvTable
from scheduler.sim.asked import JobMap
from scheduler.sim.traces.cells import Cells
from scheduler.sim.traces.records import Format, JobTrace, Layout, gather, work_s
from scheduler.sim.workload import SimJob

_COLUMNS = frozenset({"vc", "app_id", "submit_time", "service", "num_jobs"})


def read(table: CsvTable, asked: JobMap) -> JobTrace:
    """One virtual cluster comes after the other, so arrivals are put in order."""
    cells = Cells(table)

    def job(row: int) -> SimJob:
        vc, gpus = cells.text(row, "vc"), cells.count(row, "num_jobs", least=1)
        return SimJob(
            id=f"{vc}-{cells.name(row, 'app_id')}",
            arrives_s=cells.number(row, "submit_time"),
            gpus=gpus,
            work_s=work_s(cells.number(row, "service") / gpus),
            project=vc or "default",
        )

    return gather(cells, asked, Layout(name=FORMAT.name, dated=False, ordered=False), job)


FORMAT = Format(name="Philly, PCS", needs=_COLUMNS, uses=_COLUMNS, read=read)
