"""Cutting a window out of a trace of jobs, for a site of a given size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from scheduler.errors import TraceError
from scheduler.sim.asked import DAY_S, Start
from scheduler.sim.traces.records import JobTrace
from scheduler.sim.workload import SimJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Jobs in order of arrival, all within `window_s` of its beginning, and what was done to get them."""

    name: str
    jobs: tuple[SimJob, ...]
    window_s: float
    notes: tuple[str, ...]


def offered_load(jobs: Sequence[SimJob], *, gpus: int, window_s: float) -> float:
    """The GPU-seconds that the jobs ask for, as a share of those that the site has in the window."""
    return math.fsum(job.gpus * job.work_s for job in jobs) / (gpus * window_s)


def cut_jobs(
    trace: JobTrace, *, start: Start, days: float | None, zone: tzinfo, site_gpus: int, name: str
) -> Workload:
    """The jobs that arrive in [start, start + days), shifted to 0, without those larger than the site.

    Without `days`, up to the last arrival. Raises `TraceError` where nothing is left.
    """
    start_s = _start_s(trace, start, zone)
    last_s = trace.jobs[-1].arrives_s
    window_s = days * DAY_S if days is not None else max(1.0, math.floor(last_s - start_s) + 1.0)
    inside = [job for job in trace.jobs if start_s <= job.arrives_s < start_s + window_s]
    if not inside:
        raise TraceError(
            f"{trace.path}: no job arrives in the {window_s / DAY_S:g} days from {start.text} on; "
            f"{_span(trace)}; choose another --jobs-from or --days"
        )
    fitting = [job for job in inside if job.gpus <= site_gpus]
    if not fitting:
        raise TraceError(
            f"{trace.path}: all {len(inside)} jobs of the window are larger than the site of {site_gpus} GPUs; "
            "take a larger site"
        )
    dropped = len(inside) - len(fitting)
    notes = [f"jobs larger than the site of {site_gpus} GPUs, left out: {dropped}"] if dropped else []
    if start_s + window_s - last_s > DAY_S:
        notes.append(f"the trace ends with day {(last_s - start_s) / DAY_S:.1f} of the window")
    return Workload(
        name=name,
        jobs=tuple(replace(job, arrives_s=job.arrives_s - start_s) for job in fitting),
        window_s=window_s,
        notes=(*trace.notes, *notes),
    )


def _start_s(trace: JobTrace, start: Start, zone: tzinfo) -> float:
    """Where the window begins, in seconds from the trace's zero."""
    if start.days is not None:
        return start.days * DAY_S
    if trace.zero_at is None:
        raise TraceError(
            f"{trace.path}: --jobs-from {start.text}: it has no dates, it counts seconds from zero; "
            "write days from its start, such as 28d, or say in --jobs-map when that was: epoch=2017-08-07"
        )
    return (start.at(zone) - trace.zero_at).total_seconds()


def _span(trace: JobTrace) -> str:
    first_s, last_s = trace.jobs[0].arrives_s, trace.jobs[-1].arrives_s
    days = f"its jobs arrive from day {first_s / DAY_S:.1f} to day {last_s / DAY_S:.1f}"
    return days if trace.zero_at is None else f"{days}, counted from {_minute(trace.zero_at)}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
