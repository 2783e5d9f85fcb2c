"""Fitting a workload to a wanted load: seeded thinning, seeded repetition. Sizes and the daily cycle stay as they were.

Scaling the jobs' GPUs instead would not keep the mix of sizes, nor scaling their durations that of lengths.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scheduler.errors import TraceError
from scheduler.sim.windows import Workload, offered_load
from scheduler.sim.workload import SimJob

JITTER_S = 3600.0
"""A copy arrives up to so much before or after its original: near enough for the hour of the day."""
MOST = 20.0
"""Loads above this are taken for a slip: 95 in place of 0.95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was done. Loads are shares of the site's GPU-hours in the window."""

    seed: int
    wanted: float
    before: float
    after: float
    kept: float  #: the probability with which each job was kept; 1.25 = all, and every fourth twice

    def __str__(self) -> str:
        deed = f"kept each job with probability {self.kept:.4f}"
        if self.kept > 1:
            deed = f"repeated jobs {self.kept:.4f} times over at arrivals up to {JITTER_S / 60:g} min off"
        return f"offered load {self.before:.1%} made {self.after:.1%}: {deed}, seed {self.seed}"


def fit_load(workload: Workload, *, gpus: int, wanted: float, seed: int) -> tuple[Workload, Fitted]:
    """The workload with an offered load as near `wanted` (1.0 = all GPU-hours of the window) as whole jobs allow.

    Each job draws a number once, and those below a threshold stay (or come once more): a smaller load of the same seed
    is a subset of a larger one. Raises `TraceError` for a load that cannot be meant.
    """
    if not 0 < wanted <= MOST:
        raise TraceError(f"load: {wanted:g} is not above 0 and at most {MOST:g}; write 0.95 for 95 %")
    before = offered_load(workload.jobs, gpus=gpus, window_s=workload.window_s)
    chance = random.Random(seed)  # noqa: S311 - a seeded draw
    whole = int(wanted / before)
    rest = wanted - whole * before
    drawn, kept = _lightest(workload.jobs, rest * gpus * workload.window_s, chance)
    jobs = [job for lap in range(whole) for job in _copies(workload.jobs, lap, workload.window_s, chance)]
    jobs += _copies(drawn, whole, workload.window_s, chance)
    if not jobs:
        raise TraceError(
            f"load: {wanted:g} is less than the smallest job offers, {before:.3g} in all; write a larger load"
        )
    jobs.sort(key=lambda job: job.arrives_s)
    after = offered_load(jobs, gpus=gpus, window_s=workload.window_s)
    fitted = Fitted(seed=seed, wanted=wanted, before=before, after=after, kept=whole + kept)
    name = f"{workload.name} at {100 * wanted:g}%"
    return replace(workload, name=name, jobs=tuple(jobs), notes=(*workload.notes, str(fitted))), fitted


def thin(workload: Workload, *, keep: float, seed: int) -> Workload:
    """Each job with probability `keep`. Raises `TraceError` where that is no probability or leaves none."""
    if not 0 < keep <= 1:
        raise TraceError(
            f"thin: {keep:g} is no probability above 0; write 0.5 to keep about every second job"
        )
    chance = random.Random(seed)  # noqa: S311 - a seeded draw
    jobs = tuple(job for job in workload.jobs if chance.random() < keep)
    if not jobs:
        raise TraceError(f"thin: {keep:g} leaves none of {len(workload.jobs)} jobs; write a larger share")
    note = f"kept each job with probability {keep:g}, seed {seed}: {len(jobs)} of {len(workload.jobs)}"
    return replace(workload, jobs=jobs, notes=(*workload.notes, note))


def _lightest(
    jobs: Sequence[SimJob], wanted_gpu_s: float, chance: random.Random
) -> tuple[list[SimJob], float]:
    """The jobs below the threshold whose GPU-seconds come nearest to those wanted, in order, and the threshold."""
    draws = sorted((chance.random(), index) for index in range(len(jobs)))
    total = best = 0.0
    count = 0
    for taken, (_, index) in enumerate(draws, start=1):
        total += jobs[index].gpus * jobs[index].work_s
        if abs(total - wanted_gpu_s) < abs(best - wanted_gpu_s):
            best, count = total, taken
        if total >= wanted_gpu_s:
            break
    threshold = draws[count][0] if count < len(draws) else 1.0
    chosen = sorted(index for _, index in draws[:count])
    return [jobs[index] for index in chosen], threshold if count else 0.0


def _copies(jobs: Sequence[SimJob], lap: int, window_s: float, chance: random.Random) -> list[SimJob]:
    """The jobs themselves in lap 0; later, copies under names of their own at times that differ a little."""
    if lap == 0:
        return list(jobs)
    return [
        replace(
            job,
            id=f"{job.id}~{lap + 1}",
            arrives_s=_within(job.arrives_s + chance.uniform(-JITTER_S, JITTER_S), window_s),
        )
        for job in jobs
    ]


def _within(arrives_s: float, window_s: float) -> float:
    """Reflected at the ends of the window, which a very short one may need more than once."""
    arrives_s = math.fmod(abs(arrives_s), 2 * window_s)
    reflected_s = min(arrives_s, 2 * window_s - arrives_s)
    return reflected_s if reflected_s < window_s else math.nextafter(window_s, 0.0)
