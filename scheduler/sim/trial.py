"""Runs with faults: `python -m scheduler.sim.trial --seed N --minutes M`. A promise that breaks ends the run.

A small site on which either partner alone may refuse to obey at the firm level; what must hold, `scheduler.sim.faulty`
says. Any site and any traces: `barq simulate --faults`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from dataclasses import fields, replace
from typing import Final

from scheduler.core.decide import Policy, PowerAware
from scheduler.core.trim import TrimRule
from scheduler.sim.engine import Case
from scheduler.sim.fault_rates import FaultRates
from scheduler.sim.faulty import Breach, Faulty
from scheduler.sim.metered import MeteredSite
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.site import Pace, Partner, SimSite, Timing
from scheduler.sim.workload import PowerTrace, SimJob

#: Either partner alone may refuse to obey at the firm level: all else can make room for it, and has to.
SITE = SimSite(
    name="trial",
    nodes=4,
    gpus=4,
    firm_w=9000.0,
    margin=0.02,
    standby=None,
    partners=(Partner(name="m1", max_w=1500.0, base_w=60.0), Partner(name="m2", max_w=1000.0, base_w=40.0)),
    pace=Pace(start_s=2.0, restore_s=10.0, save_s=5.0, checkpoint_interval_s=60.0, grace_s=20.0),
    timing=Timing(
        lease_s=15.0,
        fall_s=3.0,
        clock_uncertainty_s=0.5,
        suspend_max_s=60.0,
        restart_s=10.0,
        unreachable_after_s=5.0,
        lost_after_s=60.0,
        heartbeat_s=1.0,
        meter_s=1.0,
        rest_s=1.0,
    ),
)
METER: Final = TrimRule(most=0.02, accuracy=0.01, least=0.012)
HALLS: Final = (1.0, 1.01, 0.98)
"""What metered sites draw in truth, of what their files say: by seed."""


def metered(site: SimSite, *, seed: int, trim: TrimRule = METER) -> MeteredSite:
    """The same with a trusted meter, work that draws all that it may, and a hall other than its file says."""
    known = {f.name: getattr(site, f.name) for f in fields(SimSite)} | {"margin": 0.03}
    trim = replace(trim, fresh_s=2.0 * (site.timing.meter_s or 1.0))
    return MeteredSite(**known, trim=trim, work=1.0, hall=HALLS[seed % len(HALLS)])


def trial_case(seed: int, minutes: float, policy: Policy | None = None, site: SimSite = SITE) -> Case:
    """Jobs of all sizes on a small site, under a limit that jumps without notice and never falls below firm."""
    chance, window_s = random.Random(seed), minutes * 60.0  # noqa: S311 - seeded, to be repeated
    jobs: list[SimJob] = []
    steps, at_s = [(0.0, 16_000.0)], 0.0
    while (at_s := round(at_s + chance.expovariate(1 / 40.0), 3)) < window_s:
        gpus, flex = chance.choice([1, 1, 2, 4, 6, 8]), chance.choice([0, 2, 4, 4, 4])
        jobs.append(
            SimJob(
                id=f"j{len(jobs)}", arrives_s=at_s, gpus=gpus, work_s=chance.uniform(20.0, 400.0), flex=flex
            )
        )
    while (at_s := round(steps[-1][0] + 1.0 + chance.expovariate(1 / 60.0), 3)) < window_s:
        steps.append((at_s, chance.choice([9000.0, 10_000.0, 13_000.0, 16_000.0])))
    power = PowerTrace(name="jumps", steps=tuple(steps))
    return Case(
        jobs=jobs, power=power, site=site, policy=policy or PowerAware(), window_s=window_s, seed=seed
    )


def trial(
    seed: int,
    *,
    minutes: float = 20.0,
    policy: Policy | None = None,
    rates: FaultRates | None = None,
    has_meter: bool = True,
) -> RunOutcome:
    """One run with faults. Raises `Breach` with the command that repeats it."""
    site = SITE if has_meter else replace(SITE, timing=replace(SITE.timing, meter_s=None))
    return asyncio.run(_trial(seed, minutes, site, policy, rates).run())


def metered_trial(seed: int, *, minutes: float = 20.0, trim: TrimRule = METER) -> float:
    """The same of a site with a trusted meter: for how long that had proved a smaller margin, s. Raises `Breach`."""
    run = _trial(seed, minutes, metered(SITE, seed=seed, trim=trim), None, None)
    asyncio.run(run.run())
    return run.proven_s


def _trial(
    seed: int, minutes: float, site: SimSite, policy: Policy | None, rates: FaultRates | None
) -> Faulty:
    flag = " --metered" if isinstance(site, MeteredSite) else ""
    repeat = f"; again: python -m scheduler.sim.trial --seed {seed} --minutes {minutes:g}{flag}"
    return Faulty(trial_case(seed, minutes, policy, site), rates or FaultRates(), repeat=repeat)


def main() -> int:
    """Entry point: 0 when every promise held, 1 with what broke."""
    parser = argparse.ArgumentParser(
        description="simulated sites with faults; tells what repeats a broken promise"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--runs", type=int, default=1, help="with one seed after the other")
    parser.add_argument("--minutes", type=float, default=20.0, help="of each run, simulated")
    parser.add_argument(
        "--metered", action="store_true", help="with a meter that is trusted to prove a margin"
    )
    args = parser.parse_args()
    logging.getLogger("scheduler").setLevel(logging.CRITICAL)  # what goes wrong is the point of it
    broken, proven_s = 0, 0.0
    for seed in range(args.seed, args.seed + args.runs):
        try:
            if args.metered:
                proven_s += metered_trial(seed, minutes=args.minutes)
            else:
                trial(seed, minutes=args.minutes)
        except Breach as breach:
            broken += 1
            sys.stdout.write(f"seed {seed}: {breach}\n")
    hours = args.runs * args.minutes / 60.0
    each = f"one in {hours / broken:.1f} hours" if broken else "none"
    sys.stdout.write(f"{hours:.1f} simulated hours with faults; broken promises: {broken} ({each})\n")
    if args.metered:
        sys.stdout.write(f"of them with a proven margin: {proven_s / 3600.0:.1f}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
