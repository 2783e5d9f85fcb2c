"""How long a simulated week takes, and where the time goes: `python -m benchmarks.simulate --days 7 --json`.

A seeded week of the standard grid's site: jobs of all sizes and heavy-tailed lengths, 95 % of its GPUs asked for,
under an hourly limit with a sun in it. Seconds: of CPU and by the clock for the whole run; by the clock of it the
policy (`shed` and `decide`), the rest of the loop (`tick` without the policy), and the engine (all else, reports taken
in by the view included).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import sys
import time
from dataclasses import replace
from typing import Any

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.snapshot import Snapshot
from scheduler.sim.engine import Case, Engine
from scheduler.sim.site import SimSite
from scheduler.sim.workload import PowerTrace, SimJob

DAY_S = 86_400.0
JOBS_PER_GPU_DAY = 2.0
OFFERED = 0.95


class Timed(PowerAware):
    """Barq's own policy, and the seconds that it took."""

    def __init__(self) -> None:
        super().__init__(explains=False)  # as in `barq simulate`: nobody asks a simulated job why it waits
        self.spent_s = 0.0

    def shed(self, snapshot: Snapshot) -> Decision | None:
        began_s = time.perf_counter()
        decision = super().shed(snapshot)
        self.spent_s += time.perf_counter() - began_s
        return decision

    def decide(self, snapshot: Snapshot) -> Decision:
        began_s = time.perf_counter()
        decision = super().decide(snapshot)
        self.spent_s += time.perf_counter() - began_s
        return decision


def workload(site: SimSite, days: float, seed: int) -> list[SimJob]:
    """Poisson arrivals, sizes of powers of two, lognormal lengths scaled to the load that is offered."""
    chance = random.Random(seed)
    count = round(JOBS_PER_GPU_DAY * site.total_gpus * days)
    sizes = [size for size in (1, 1, 1, 2, 4, 8, 8, 16, 32, 64) if size <= site.total_gpus]
    drawn = [(chance.choice(sizes), chance.lognormvariate(0.0, 1.7)) for _ in range(count)]
    scale_s = OFFERED * site.total_gpus * days * DAY_S / sum(gpus * length for gpus, length in drawn)
    arrivals = sorted(round(chance.uniform(0.0, days * DAY_S), 3) for _ in drawn)
    return [
        SimJob(id=f"j{n}", arrives_s=at_s, gpus=gpus, work_s=max(1.0, length * scale_s))
        for n, (at_s, (gpus, length)) in enumerate(zip(arrivals, drawn, strict=True))
    ]


def sunny(site: SimSite, days: float, seed: int) -> PowerTrace:
    """The firm level at night, up to what the whole site can draw at noon, a cloudy day now and then."""
    chance = random.Random(seed)
    full_w = site.overhead * site.nodes * (site.base_w + site.gpus * site.model.tdp_w)
    skies = [chance.uniform(0.5, 1.2) for _ in range(math.ceil(days))]
    sun = [
        max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi)) * skies[hour // 24]
        for hour in range(int(days * 24))
    ]
    steps = tuple((hour * 3600.0, site.firm_w + min(1.0, s) * full_w) for hour, s in enumerate(sun))
    return PowerTrace(name="sunny", steps=steps or ((0.0, site.firm_w),))


def measure(days: float, nodes: int, seed: int) -> dict[str, Any]:
    """One run, timed."""
    grid = SimSite()
    scale = nodes / grid.nodes
    partners = tuple(replace(p, max_w=p.max_w * scale) for p in grid.partners)
    site = replace(grid, nodes=nodes, firm_w=grid.firm_w * scale, partners=partners)
    policy = Timed()
    jobs, power = workload(site, days, seed), sunny(site, days, seed)
    engine = Engine(Case(jobs=jobs, power=power, site=site, policy=policy, window_s=days * DAY_S, seed=seed))
    began_s = time.process_time()
    outcome = asyncio.run(engine.run())
    cpu_s = time.process_time() - began_s
    return {
        "gpus": site.total_gpus,
        "jobs": len(jobs),
        "days": days,
        "seed": seed,
        "ticks": engine.ticks,
        "events": engine.events,
        "orders": engine.cluster.orders,
        "wall_s": outcome.wall_s,
        "cpu_s": cpu_s,
        "policy_s": policy.spent_s,
        "loop_s": engine.loop_s - policy.spent_s,
        "engine_s": outcome.wall_s - engine.loop_s,
        "days_per_s": days / outcome.wall_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "goodput_gpu_h": sum(j.kept_gpu_s for j in outcome.jobs) / 3600.0,
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    found = measure(args.days, args.nodes, args.seed)
    if args.json:
        json.dump(found, sys.stdout)
    else:
        for name, value in found.items():
            print(f"{name:16}{value:,.2f}" if isinstance(value, float) else f"{name:16}{value:,}")


if __name__ == "__main__":
    main()
