"""Jobs out of a seed, for a wanted load: no file is needed.

Arrivals are a Poisson process whose rate follows the day and the week; given how many there are, they are independent
draws from that rate, and that is how they are drawn. Durations are lognormal with a Pareto tail, and longer for larger
jobs; sizes are powers of two. The shape is what the public traces have in common (most jobs are small and short, most
GPU-hours are in few jobs); the figures are round ones, fitted to none of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from scheduler.errors import TraceError
from scheduler.sim.asked import DAY_S
from scheduler.sim.load import MOST
from scheduler.sim.windows import Workload, offered_load
from scheduler.sim.workload import SimJob

_HIGHEST_FLEX = 4
T = TypeVar("T")


def _sizes() -> dict[int, float]:
    return {1: 55.0, 2: 12.0, 4: 12.0, 8: 15.0, 16: 4.0, 32: 1.5, 64: 0.5}


def _projects() -> dict[str, float]:
    return {"language": 5.0, "vision": 3.0, "speech": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What jobs are like. All mappings are of a value to its weight."""

    gpus: Mapping[int, float] = field(default_factory=_sizes)
    projects: Mapping[str, float] = field(default_factory=_projects)
    flex: Mapping[int, float] = field(default_factory=lambda: {1: 5.0, 2: 10.0, 3: 15.0, _HIGHEST_FLEX: 70.0})
    priorities: Mapping[int, float] = field(default_factory=lambda: {0: 90.0, 10: 10.0})
    median_s: float = 900.0  #: of one GPU's jobs, without the tail
    spread: float = 1.8  #: standard deviation of the logarithm
    tail_share: float = 0.1  #: of the jobs, drawn from the Pareto tail instead
    tail_s: float = 3600.0  #: where the tail begins
    tail_exponent: float = 1.2  #: below 2: few jobs hold most of the work
    size_exponent: float = 0.25  #: a job of n GPUs takes n to this power longer
    shortest_s: float = 30.0
    longest_s: float = 48 * 3600.0
    day_swing: float = 0.6  #: how much the rate rises above, and falls below, its mean
    busiest_h: float = 15.0  #: hour of the day
    weekend: float = 0.7  #: the rate on days 5 and 6 of each week, of that on the others
    estimated: float = (
        0.4  #: share of the jobs whose user said how long they take: never too short, often far too long
    )


def generate_jobs(*, gpus: int, days: float, load: float, seed: int, mix: Mix | None = None) -> Workload:
    """Jobs that ask for `load` (1.0 = all) of the GPU-hours of a site, as near as whole jobs allow.

    None is larger than the site. Raises `TraceError` where the figures make no sense.
    """
    mix = mix or Mix()
    sizes = {size: weight for size, weight in mix.gpus.items() if size <= gpus}
    if not sizes:
        raise TraceError(f"a site of {gpus} GPUs: the smallest job has {min(mix.gpus)}; take a larger site")
    if not 0 < load <= MOST:
        raise TraceError(f"load: {load:g} is not above 0 and at most {MOST:g}; write 0.95 for 95 %")
    if not 0 < days < math.inf:
        raise TraceError(f"--days: {days:g}: a window needs a length; write 7 for a week")
    chance = random.Random(seed)  # noqa: S311 - a seeded draw
    window_s = days * DAY_S
    bodies = _bodies(sizes, mix, load * gpus * window_s, window_s, chance)
    arrivals = sorted(_arrival_s(mix, window_s, chance) for _ in bodies)
    jobs = tuple(
        _job(number, arrives_s, size, work_s, mix, chance)
        for number, (arrives_s, (size, work_s)) in enumerate(zip(arrivals, bodies, strict=True), start=1)
    )
    offered = offered_load(jobs, gpus=gpus, window_s=window_s)
    note = f"{len(jobs)} synthetic jobs, seed {seed}: offered load {offered:.1%}"
    return Workload(name="synthetic", jobs=jobs, window_s=window_s, notes=(note,))


def _bodies(
    sizes: Mapping[int, float], mix: Mix, wanted_gpu_s: float, window_s: float, chance: random.Random
) -> list[tuple[int, float]]:
    """GPUs and seconds of jobs, until there are GPU-seconds enough; the last one only if that is nearer."""
    bodies: list[tuple[int, float]] = []
    total = 0.0
    while total < wanted_gpu_s:
        size = _pick(sizes, chance)
        work_s = min(_work_s(size, mix, chance), window_s)
        bodies.append((size, work_s))
        total += size * work_s
    over = total - wanted_gpu_s
    last_size, last_s = bodies[-1]
    if len(bodies) > 1 and over > last_size * last_s / 2:
        bodies.pop()
    return bodies


def _work_s(size: int, mix: Mix, chance: random.Random) -> float:
    if chance.random() < mix.tail_share:
        alone_s = mix.tail_s * chance.paretovariate(mix.tail_exponent)
    else:
        alone_s = mix.median_s * math.exp(chance.gauss(0.0, mix.spread))
    return min(mix.longest_s, max(mix.shortest_s, alone_s * math.pow(size, mix.size_exponent)))


def _arrival_s(mix: Mix, window_s: float, chance: random.Random) -> float:
    """One draw from the rate, by rejection."""
    while True:
        at_s = chance.random() * window_s
        if chance.random() * (1.0 + mix.day_swing) < _rate(mix, at_s):
            return at_s


def _rate(mix: Mix, at_s: float) -> float:
    """At a time of the window, which begins at midnight of a first working day; 1 is a working day's mean."""
    turn = 2.0 * math.pi * (at_s / DAY_S - mix.busiest_h / 24.0)
    weekend = int(at_s // DAY_S) % 7 in (5, 6)
    return (1.0 + mix.day_swing * math.cos(turn)) * (mix.weekend if weekend else 1.0)


def _job(number: int, arrives_s: float, size: int, work_s: float, mix: Mix, chance: random.Random) -> SimJob:
    told = chance.random() < mix.estimated
    return SimJob(
        id=f"synthetic-{number:06d}",
        arrives_s=arrives_s,
        gpus=size,
        work_s=work_s,
        priority=_pick(mix.priorities, chance),
        flex=_pick(mix.flex, chance),
        project=_pick(mix.projects, chance),
        estimate_s=work_s * (1.0 + chance.expovariate(1.0)) if told else None,
    )


def _pick(weights: Mapping[T, float], chance: random.Random) -> T:
    return chance.choices(list(weights), weights=list(weights.values()))[0]
