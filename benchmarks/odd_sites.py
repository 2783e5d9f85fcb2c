"""Small sites with all that an operator can set, one after the other: `python -m benchmarks.odd_sites --seeds 100`.

Each seed draws a site as `benchmarks.small_sites` does and, each with some chance, ramps of its mining, owners with
floors and caps, machines that run whole, a mode, projects with quotas, racks, a margin, auxiliaries, checkpoints at
Barq's own pace, deadlines and estimates, and falls of the limit that a deeper one follows, below what work draws that
is held. Barq plays a day of it. Broken promises are told, with the command that repeats the seed, and are the exit
status:

    over        seconds over the limit outside the reaction time
    killed      jobs that were ended without a save, where the limit left them the time for it
    hanging     gangs of which a member ended long ago while others hold their GPUs
    restless    jobs that were paused far more often than the limit fell

With `--faults F` a part of the day is played under `make soak`'s faults, F times as often, and every promise is
asserted at every step.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from benchmarks.small_sites import DAY_S, drawn_jobs, drawn_power, drawn_site
from scheduler.core.decide import PowerAware
from scheduler.core.jobs import Phase, TopologyRequest
from scheduler.core.machines import MachineKind
from scheduler.core.modes import AI_FIRST, Mode, Shares, Threshold
from scheduler.core.partners import Partner as Owner
from scheduler.core.projects import OTHERS, Project
from scheduler.sim.capacity import Capacity
from scheduler.sim.engine import Case, Engine
from scheduler.sim.fault_rates import AS_IN_SOAK, FaultRates
from scheduler.sim.faulty import Breach
from scheduler.sim.metrics import summary
from scheduler.sim.run import run
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.workload import PowerTrace, SimJob

SETTLES_S: Final = 900.0  #: that a save, a kill or the start of the last member takes, and more
USUAL_PAUSES: Final = 12  #: of a job for others, beside those for each fall of the limit
FAULTY_S: Final = 7200.0  #: of the day, where there are faults: every second is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What one seed comes to."""

    site: SimSite
    power: PowerTrace
    jobs: tuple[SimJob, ...]
    deep: bool  #: whether the limit falls below what held work draws

    @classmethod
    def of(cls, seed: int) -> Day:
        """The same for the same seed."""
        chance = random.Random(seed)
        plain = drawn_site(chance)
        power, jobs = drawn_power(chance, plain), drawn_jobs(chance, plain)
        site = _with_settings(chance, plain)
        power = PowerTrace(name=power.name, steps=tuple((at, w + site.auxiliary_w) for at, w in power.steps))
        jobs = [_asked(chance, site, job) for job in jobs]
        if deep := chance.random() < 0.5:
            power = _with_falls(chance, site, power)
        return cls(site=site, power=power, jobs=tuple(jobs), deep=deep)


def _with_falls(chance: random.Random, site: SimSite, power: PowerTrace) -> PowerTrace:
    """The same with falls in two steps: to what all draw while they are held, and to less while some are leaving."""
    model = site.model
    rest_w = site.overhead * site.nodes * (site.base_w + site.gpus * model.idle_w)
    rest_w = (rest_w + site.auxiliary_w + sum(p.base_w for p in site.partners)) / (1.0 - site.margin)
    held_w = site.overhead * site.total_gpus * model.context_w / (1.0 - site.margin)
    steps = dict(power.steps)
    for hour in sorted(chance.sample(range(1, 23), 8)):
        first_s = hour * 3600.0 + chance.uniform(0.0, 1800.0)
        second_s = first_s + chance.choice([10.0, 40.0, 100.0, 400.0, 920.0])
        back_s = second_s + chance.choice([40.0, 120.0, 600.0])
        before_w = _at_w(power, first_s)
        steps = {at: w for at, w in steps.items() if not first_s <= at <= back_s}
        steps[first_s] = min(before_w, rest_w + held_w * chance.uniform(1.0, 1.1) + 1.0)
        steps[second_s] = min(before_w, rest_w + held_w * chance.uniform(0.02, 0.9) + 1.0)
        steps[back_s] = _at_w(power, back_s)
    return PowerTrace(name=power.name, steps=tuple(sorted(steps.items())))


def _at_w(power: PowerTrace, at_s: float) -> float:
    return next(w for starts_s, w in reversed(power.steps) if starts_s <= at_s)


def _with_settings(chance: random.Random, site: SimSite) -> SimSite:
    """What its operator set, each with some chance."""
    site = _with_mining(chance, site)
    auxiliary_w = chance.choice([0.0, 0.0, 500.0])
    racks = chance.choice([0, 0, 2, 3])
    return replace(
        site,
        auxiliary_w=auxiliary_w,
        margin=chance.choice([0.0, 0.0, 0.02]),
        firm_w=site.firm_w + auxiliary_w,
        checkpoint_auto=chance.random() < 0.3,
        projects=_drawn_projects(chance, site),
        topology=("rack",) if racks else (),
        places=tuple((("rack", f"r{i % racks}"),) for i in range(site.nodes)) if racks else (),
        together=chance.choice([None, TopologyRequest(level="rack", is_required=chance.random() < 0.5)])
        if racks
        else None,
    )


def _with_mining(chance: random.Random, site: SimSite) -> SimSite:
    if not site.partners:
        return site
    partners = tuple(_drawn_partner(chance, p) for p in site.partners)
    full_w = sum(p.max_w for p in partners)
    return replace(
        site,
        partners=partners,
        owners=tuple(_drawn_owner(chance, p) for p in partners) if chance.random() < 0.6 else (),
        mode=_drawn_mode(chance, full_w),
        mining_ramp_up_w_per_s=chance.choice([None, None, full_w / 60.0]),
        mining_ramp_down_w_per_s=chance.choice([None, None, full_w / 10.0]),
    )


def _drawn_partner(chance: random.Random, partner: Partner) -> Partner:
    """Its miners take any watt, or run whole."""
    if chance.random() < 0.6:
        return partner
    machines = chance.choice([1, 3, 8])
    kind = MachineKind(max_w=max(1, int(partner.max_w // machines)))
    return replace(partner, machine=kind, max_w=float(kind.max_w * machines))


def _drawn_owner(chance: random.Random, partner: Partner) -> Owner:
    floor_w = int(partner.max_w * chance.choice([0.0, 0.0, 0.1]))
    return Owner(
        partner_id=partner.name,
        weight=chance.choice([1, 2, 5]),
        floor_w=floor_w,
        cap_w=chance.choice([None, max(floor_w, int(partner.max_w * 0.7))]),
        groups=(partner.name,),
    )


def _drawn_mode(chance: random.Random, full_w: float) -> Mode:
    shares = Shares(mining=chance.choice([0.1, 0.3]))
    threshold = Threshold(from_w=int(full_w * 0.3), reserve_w=int(full_w * 0.05))
    return chance.choice([AI_FIRST, AI_FIRST, shares, threshold])


def _drawn_projects(chance: random.Random, site: SimSite) -> tuple[Project, ...]:
    """None, or two of which one or both have GPUs of their own."""
    if chance.random() < 0.5:
        return ()
    half = max(1, site.total_gpus // 2)
    return (
        Project(name="p1", nominal_gpus=half, borrowing_limit_gpus=chance.choice([None, 0, half])),
        Project(name="p2", weight=3.0, nominal_gpus=chance.choice([None, site.total_gpus - half])),
    )


def _asked(chance: random.Random, site: SimSite, job: SimJob) -> SimJob:
    """What its user said of it."""
    names = [OTHERS, *(p.name for p in site.projects)]
    return replace(
        job,
        project=chance.choice(names),
        estimate_s=chance.choice([None, None, job.work_s * chance.uniform(0.5, 3.0)]),
        deadline_s=chance.choice([None, None, None, job.work_s * chance.uniform(1.5, 6.0)]),
    )


def hanging(engine: Engine) -> list[str]:
    """Attempts of which one member ended long ago while others hold their GPUs."""
    until_us = engine.timeline.now_us - int(SETTLES_S * 1e6)
    living = {a.id: a for a in engine.view.attempts.values() if a.phase is Phase.RUN}
    gangs = [g for node in engine.nodes for m in node.members.values() if (g := m.gang).attempt_id in living]
    return sorted(
        {
            g.attempt_id
            for g in gangs
            if not g.is_over and any(not m.lives and m.since_us < until_us for m in g.members)
        }
    )


def broken(seed: int) -> dict[str, float]:
    """What of the promises broke on the day of a seed, by name."""
    day = Day.of(seed)
    engine = Engine(
        Case(jobs=day.jobs, power=day.power, site=day.site, policy=PowerAware(), window_s=DAY_S, seed=seed)
    )
    outcome = asyncio.run(engine.run())
    found = summary(outcome, None, site=Capacity.of(day.site))
    most = USUAL_PAUSES + sum(after < before for (_, before), (_, after) in pairwise(day.power.steps))
    told = {
        "over": found["violation_s"],
        "killed": 0.0 if day.deep and day.site.pace.save_s > day.site.reaction_s else float(found["kills"]),
        "hanging": float(len(hanging(engine))),
        "restless": float(sum(job.pauses > most for job in outcome.jobs)),
    }
    return {name: value for name, value in told.items() if value}


def breach(seed: int, rates: FaultRates) -> str | None:
    """The promise that broke in the part of the day that has faults, None if none did."""
    day = Day.of(seed)
    try:
        run(day.jobs, day.power, day.site, PowerAware(), window_s=FAULTY_S, seed=seed, faults=rates)
    except Breach as found:
        return str(found)
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell of each seed on which a promise broke, and how many these are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.odd_sites", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many sites")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--faults", type=float, help="how often things go wrong, times that of `make soak`")
    options = parser.parse_args(arguments)
    logging.getLogger("scheduler").setLevel(logging.CRITICAL)  # what goes wrong is the point of it
    failing = 0
    for seed in range(options.first, options.first + options.seeds):
        found = breach(seed, AS_IN_SOAK.scaled(options.faults)) if options.faults else broken(seed)
        if found:
            failing += 1
            again = f"python -m benchmarks.odd_sites --first {seed} --seeds 1"
            print(f"{again}{f' --faults {options.faults:g}' if options.faults else ''}: {found}", flush=True)
    print(f"{options.seeds} sites, promises broken on {failing}")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
