"""Where Barq is behind on small sites of all sorts: `python -m benchmarks.small_sites --seeds 40 --json`.

A week of the standard grid is one large site with jobs of one priority. Here each seed draws a site of 1 to 12 nodes,
how long its saves, restores and boots take, what its operator set, a day of power and the jobs of a day, some of them
more important or less flexible than others. Barq and baselines run each; per policy the means over the seeds are told:

    goodput_share    useful GPU-hours of those that the site has in a day
    flow_h           mean time from arrival to end, or to the end of the day
    important_h      the same, of jobs of a priority above the usual
    wasted_share     of the energy offered, mined or unused while somebody waited
    kills            jobs that were ended without a save, in all
    violation_s      over the limit outside the reaction time, in all

`sites` has each seed with its goodput, so that a seed where Barq is behind can be looked at. Baselines know neither
tiers nor the fallback that has to fit the firm level, so that they may run what Barq may not.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

from scheduler.core.orders import Standby
from scheduler.sim.capacity import Capacity
from scheduler.sim.metrics import summary
from scheduler.sim.outcome import JobOutcome
from scheduler.sim.policies import MAKERS, policies_named
from scheduler.sim.run import run
from scheduler.sim.site import Pace, Partner, SimSite, Timing
from scheduler.sim.workload import PowerTrace, SimJob

HOURS: Final = 24.0
DAY_S: Final = HOURS * 3600.0
MOST_JOBS: Final = 400
_HELD_W, _FULL_W = 102.0, 400.0  #: of an A100 that is held, and at full speed
_STANDBYS = (
    None,
    Standby(draw_w=30.0, down_s=30.0, boot_s=180.0),
    Standby(draw_w=10.0, down_s=60.0, boot_s=600.0),
)


def drawn_site(chance: random.Random) -> SimSite:
    """A site whose firm level carries all that is held, and little more."""
    nodes, gpus = chance.choice([1, 2, 3, 4, 8, 12]), chance.choice([1, 2, 4, 8])
    base_w, overhead = chance.choice([300.0, 600.0, 1200.0]), chance.choice([1.0, 1.1, 1.25, 1.5])
    full_w = overhead * nodes * (base_w + gpus * _FULL_W)
    partners = (Partner(name="m1", max_w=full_w * 0.5), Partner(name="m2", max_w=full_w * 0.3))
    return SimSite(
        name="small",
        nodes=nodes,
        gpus=gpus,
        base_w=base_w,
        overhead=overhead,
        standby=chance.choice(_STANDBYS),
        partners=partners[: chance.choice([0, 1, 2])],
        owners=(),
        firm_w=overhead * nodes * (base_w + gpus * _HELD_W) * chance.choice([1.05, 1.3, 1.6]),
        scatter=chance.random() < 0.5,
        notice_s=chance.choice([0.0, 0.0, 300.0, 1800.0]),
        forecast_error=chance.choice([None, None, 0.3]),
        pace=Pace(
            start_s=chance.choice([0.0, 60.0]),
            restore_s=chance.choice([20.0, 90.0, 300.0]),
            save_s=chance.choice([5.0, 30.0, 110.0]),
        ),
        timing=_drawn_timing(chance),
    )


def _drawn_timing(chance: random.Random) -> Timing:
    return Timing(
        suspend_max_s=chance.choice([5.0, 120.0, 900.0]),
        raise_delay_s=chance.choice([0.0, 10.0, 60.0]),
        patience_s=chance.choice([60.0, 300.0, 3600.0]),
        min_run_s=chance.choice([0.0, 900.0]),
        starts_at_once=chance.choice([None, None, 2]),
        saves_at_once=chance.choice([None, None, 1]),
        little_service_gpu_h=chance.choice([0.0, 4.0, 16.0]),
        little_service_preempts=chance.random() < 0.5,
    )


def drawn_power(chance: random.Random, site: SimSite) -> PowerTrace:
    """A day between the firm level and what all can draw: calm, fitful, or on and off."""
    full_w = site.overhead * site.nodes * (site.base_w + site.gpus * _FULL_W)
    lasts_s, is_whole = chance.choice(
        [((3600.0, 7200.0), False), ((60.0, 300.0, 900.0, 3600.0), False), ((1800.0, 3600.0), True)]
    )
    at_s, steps = 0.0, [(0.0, full_w)]
    while (at_s := at_s + chance.choice(lasts_s)) < DAY_S:
        limit_w = (
            chance.choice([site.firm_w, full_w]) if is_whole else chance.uniform(site.firm_w, full_w * 1.1)
        )
        steps.append((at_s, limit_w))
    return PowerTrace(name="a day", steps=tuple(steps))


def drawn_jobs(chance: random.Random, site: SimSite) -> list[SimJob]:
    """Jobs of heavy-tailed length that fit, from a third to twice of what the site could do."""
    wanted_s = chance.choice([0.3, 0.8, 1.2, 2.0]) * site.total_gpus * DAY_S * 0.6
    tiers = chance.choice([[4], [1, 2, 3, 4, 4, 4]])
    jobs: list[SimJob] = []
    while sum(j.gpus * j.work_s for j in jobs) < wanted_s and len(jobs) < MOST_JOBS:
        gpus = min(site.total_gpus, chance.choice([1, 1, 1, 2, 4, 8, 16]))
        if not site.scatter and gpus > site.gpus:
            gpus -= gpus % site.gpus
        jobs.append(
            SimJob(
                id=f"j{len(jobs)}",
                arrives_s=round(chance.uniform(0.0, HOURS * 3000.0), 2),
                gpus=gpus,
                work_s=round(min(chance.lognormvariate(7.5, 1.3), 40_000.0), 1),
                priority=chance.choice([0, 0, 0, 1, 5]),
                flex=chance.choice(tiers),
            )
        )
    return jobs


def played(seed: int, policies: Sequence[str]) -> dict[str, dict[str, float]]:
    """The figures of one seed, by policy."""
    chance = random.Random(seed)
    site = drawn_site(chance)
    power, jobs = drawn_power(chance, site), drawn_jobs(chance, site)
    found = {}
    for policy in policies:
        outcome = run(jobs, power, site, MAKERS[policy]({}), window_s=DAY_S, seed=seed)
        figures = summary(outcome, None, site=Capacity.of(site))
        important = [_flow_h(j) for j in outcome.jobs if j.job.priority > 0]
        found[policy] = {
            "goodput_share": figures["goodput_gpu_h"] / (site.total_gpus * HOURS),
            "flow_h": statistics.fmean(map(_flow_h, outcome.jobs)),
            "important_h": statistics.fmean(important) if important else 0.0,
            "wasted_share": figures["wasted_share"],
            "kills": float(figures["kills"]),
            "violation_s": figures["violation_s"],
        }
    return found


def _flow_h(job: JobOutcome) -> float:
    return ((DAY_S if job.finished_s is None else job.finished_s) - job.job.arrives_s) / 3600.0


def measure(seeds: Sequence[int], policies: Sequence[str]) -> dict[str, Any]:
    """All seeds, and what they come to: means, and sums of what must not be."""
    sites = {seed: played(seed, policies) for seed in seeds}
    totals = {}
    for policy in policies:
        each = [found[policy] for found in sites.values()]
        add = {"kills": sum, "violation_s": sum}
        totals[policy] = {key: add.get(key, statistics.fmean)([f[key] for f in each]) for key in each[0]}
    goodput = {str(seed): {p: f["goodput_share"] for p, f in found.items()} for seed, found in sites.items()}
    return {"policies": totals, "sites": goodput}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_sites", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=40, help="how many sites")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--policy", default="barq,dvfs-fair,greedy-pausing,slurm", help="names, or all")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    found = measure(seeds, policies_named(options.policy))
    if options.json:
        print(json.dumps(found))
        return 0
    for policy, figures in found["policies"].items():
        print(f"{policy:<16}" + "".join(f"{key} {value:9.3f}   " for key, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
