"""Runs with faults: `python -m scheduler.sim.trial --seed N --minutes M`. A promise that breaks ends the run.

A small site on which either partner alone may refuse to obey at the firm level; what must hold, `scheduler.sim.faulty`
says. Any site and any traces: `barq simulate --faults`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields, replace
from multiprocessing import get_context
from typing import Final, NamedTuple, TextIO

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
SAY_S: Final = 60.0  #: between two words of how far it is
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


class Played(NamedTuple):
    """What came of one run."""

    seed: int
    breach: str  #: what broke, "" = nothing did
    proven_s: float  #: for which a meter had proved a smaller margin


def play(seed: int, minutes: float, has_proof: bool) -> Played:  # noqa: FBT001 - sent to another process as it is
    """One run in full."""
    logging.getLogger("scheduler").setLevel(logging.CRITICAL)  # what goes wrong is the point of it
    try:
        if has_proof:
            return Played(seed, "", metered_trial(seed, minutes=minutes))
        trial(seed, minutes=minutes)
    except Breach as breach:
        return Played(seed, str(breach), 0.0)
    return Played(seed, "", 0.0)


class Tally:
    """What came of the runs so far. Broken promises are told at once, how far it is once a minute."""

    def __init__(self, runs: int, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = self.broken = 0
        self.proven_s = 0.0
        self._runs, self._minutes, self._clock = runs, minutes, clock
        self._began_s = self._said_s = clock()

    def add(self, played: Played) -> None:
        """Count a run."""
        self.done += 1
        self.proven_s += played.proven_s
        if played.breach:
            self.broken += 1
            _say(sys.stdout, f"seed {played.seed}: {played.breach}")
        now_s = self._clock()
        if now_s - self._said_s >= SAY_S and self.done < self._runs:
            self._said_s, left_s = now_s, (now_s - self._began_s) / self.done * (self._runs - self.done)
            left = f"{self.done} of {self._runs} runs, {left_s / 60.0:.0f} min left"
            _say(sys.stderr, f"{left}; {self}")

    def __str__(self) -> str:
        hours = self.done * self._minutes / 60.0
        each = f"one in {hours / self.broken:.1f} hours" if self.broken else "none"
        return f"{hours:.1f} simulated hours with faults; broken promises: {self.broken} ({each})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 0 when every promise held, 1 with what broke. Interrupted, it tells of the runs that are done."""
    args = _parser().parse_args(arguments)
    tally = Tally(args.runs, args.minutes)
    pool = ProcessPoolExecutor(args.processes, mp_context=get_context("spawn"), initializer=_leave_ctrl_c)
    try:
        seeds = range(args.seed, args.seed + args.runs)
        for run in as_completed([pool.submit(play, seed, args.minutes, args.metered) for seed in seeds]):
            tally.add(run.result())
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
    _say(sys.stdout, str(tally))
    if args.metered:
        _say(sys.stdout, f"of them with a proven margin: {tally.proven_s / 3600.0:.1f}")
    return 1 if tally.broken or tally.done < args.runs else 0


def _leave_ctrl_c() -> None:
    """To the process that gave out the runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say(stream: TextIO, words: str) -> None:
    stream.write(f"{words}\n")
    stream.flush()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0.0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no length of time; give minutes above 0")
    return minutes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scheduler.sim.trial",
        description="simulated sites with faults; tells what repeats a broken promise",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--runs", type=_count, default=1, help="with one seed after the other")
    parser.add_argument("--minutes", type=_minutes, default=20.0, help="of each run, simulated")
    parser.add_argument(
        "--metered", action="store_true", help="with a meter that is trusted to prove a margin"
    )
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--processes", type=_count, default=cores, help="that play runs side by side")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
