"""Small sites and runs made by hand: all schedules tried, and the bound's program solved by another theorem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np

from scheduler.core.power import CapPoint
from scheduler.sim.capacity import Capacity
from scheduler.sim.outcome import Interval, JobOutcome, RunOutcome, Span
from scheduler.sim.workload import SimJob


def job(id_: str, *, arrives_s: float = 0.0, gpus: int = 1, work_s: float = 3600.0, **more: Any) -> SimJob:
    """A job of one GPU-hour that is there from the beginning, unless told otherwise."""
    return SimJob(id=id_, arrives_s=arrives_s, gpus=gpus, work_s=work_s, **more)


def by_min_cut(
    jobs: Sequence[SimJob], weights: Sequence[float], capacity: Sequence[float], edges_s: Sequence[float]
) -> float:
    """The bound's optimum by theory, GPU-seconds: no solver, no prices.

    For equal weights it is a maximum flow, hence the least cut, and the cuts are the subsets of the steps. For others:
    what sets of jobs can be served is a polymatroid, where serving the greatest weights first is best.
    """
    order = sorted(range(len(jobs)), key=lambda i: -weights[i])
    total, served = 0.0, 0.0
    for n, i in enumerate(order, start=1):
        most = _least_cut([jobs[k] for k in order[:n]], capacity, edges_s)
        total += weights[i] * (most - served)
        served = most
    return total


def _least_cut(jobs: Sequence[SimJob], capacity: Sequence[float], edges_s: Sequence[float]) -> float:
    steps = list(pairwise(edges_s))
    room = np.array(
        [[j.gpus * max(0.0, end - max(j.arrives_s, start)) for start, end in steps] for j in jobs]
    )
    work = np.array([j.gpus * j.work_s for j in jobs])
    cuts = []
    for chosen in product([False, True], repeat=len(steps)):
        cut = np.array(chosen)
        cuts.append(float(np.array(capacity)[cut].sum() + np.minimum(work, room[:, ~cut].sum(axis=1)).sum()))
    return min(cuts)


def best_schedule(site: Capacity, limits_w: Sequence[float], slot_s: float, jobs: Sequence[SimJob]) -> float:
    """The most GPU-seconds that any real schedule keeps, found by trying all.

    In each slot each job runs as a whole gang or not at all, at one of the measured caps, on whole powered nodes;
    whatever is saved, restored and booted takes no time. Gangs need GPUs anywhere, so no placement is missed.
    """

    @cache
    def best(slot: int, left: tuple[float, ...]) -> float:
        if slot == len(limits_w):
            return 0.0
        found = 0.0
        for choice in _choices(site, limits_w[slot], [j.gpus for j in jobs]):
            done = tuple(
                0.0 if point is None or j.arrives_s > slot * slot_s else min(work, point.speed * slot_s)
                for j, work, point in zip(jobs, left, choice, strict=True)
            )
            gained = sum(j.gpus * d for j, d in zip(jobs, done, strict=True))
            after = tuple(round(work - d, 6) for work, d in zip(left, done, strict=True))
            found = max(found, gained + best(slot + 1, after))
        return found

    return best(0, tuple(j.work_s for j in jobs))


def _choices(site: Capacity, limit_w: float, gpus: Sequence[int]) -> Iterator[tuple[CapPoint | None, ...]]:
    """A cap for each job that runs, for every way to stay within the GPUs and the limit."""
    for choice in product([None, *site.gpu.curve], repeat=len(gpus)):
        busy = sum(n for n, point in zip(gpus, choice, strict=True) if point)
        nodes = -(-busy // site.gpus_per_node)
        if nodes > site.nodes:
            continue
        watts = sum(n * point.draw_w for n, point in zip(gpus, choice, strict=True) if point)
        watts += nodes * site.node_base_w + (nodes * site.gpus_per_node - busy) * site.gpu.idle_w
        watts += (site.nodes - nodes) * site.standby_w
        if site.overhead * watts + site.auxiliary_w <= limit_w or busy == 0:
            yield choice


def interval(starts_s: float, limit_w: float, ai_w: float = 0.0, **more: Any) -> Interval:
    """Some watts of AI under a limit, and nothing else unless told."""
    facts: dict[str, Any] = {
        "idle_w": 0.0,
        "miners_w": {},
        "waiting_gpus": 0,
        "running_gpus": 0,
        "powered_nodes": 0,
    }
    facts |= more
    site_w = ai_w + facts["idle_w"] + sum(facts["miners_w"].values())
    return Interval(starts_s=starts_s, limit_w=limit_w, site_w=site_w, ai_w=ai_w, **facts)


def became(one: SimJob, **more: Any) -> JobOutcome:
    """What became of a job: it never began, unless told otherwise."""
    facts: dict[str, Any] = {"started_s": None, "finished_s": None, "kept_gpu_s": 0.0, "lost_gpu_s": 0.0}
    facts |= {"pauses": 0, "kills": 0, "energy_wh": 0.0} | more
    return JobOutcome(job=one, **facts)


def run(
    *intervals: Interval, jobs: Sequence[JobOutcome] = (), window_s: float = 3600.0, **more: Any
) -> RunOutcome:
    """A run of an hour, with 30 s to react."""
    facts: dict[str, Any] = {
        "policy": "ours",
        "jobs_name": "helios",
        "power_name": "sa1",
        "seed": 7,
        "wall_s": 1.5,
    }
    facts |= {"reaction_s": 30.0} | more
    return RunOutcome(intervals=intervals, jobs=tuple(jobs), window_s=window_s, **facts)


def eventful_day() -> RunOutcome:
    """A day with a breach in its ninth hour, miners, a queue, and jobs with spans."""
    intervals = [
        interval(
            600.0 * i,
            limit_w=200e3 if 40 <= i < 60 else 700e3,
            ai_w=100e3 + 1e3 * (i % 7),
            idle_w=20e3,
            miners_w={"north": 50e3, "south": 130e3 if i == 50 else 20e3},
            waiting_gpus=i % 50,
            running_gpus=400,
            powered_nodes=60,
        )
        for i in range(144)
    ]
    jobs = [
        became(job(f"job-{i}", arrives_s=600.0 * i, gpus=1 + i % 8), finished_s=600.0 * i + 4000)
        for i in range(100)
    ]
    spans = [
        Span(
            job_id=f"job-{i}",
            starts_s=600.0 * i + at,
            ends_s=600.0 * i + at + 1300,
            gpus=1 + i % 8,
            what=what,
        )
        for i in range(100)
        for at, what in ((0.0, "restore"), (1300.0, "run"), (2600.0, "save"))
    ]
    return run(*intervals, jobs=jobs, window_s=86400.0, spans=tuple(spans))
