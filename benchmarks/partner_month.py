"""The month that `benchmarks.partners` simulates: a site with AI work, three mining partners, a limit that changes."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass

from benchmarks.simulate import DAY_S
from scheduler.core.machines import MachineKind
from scheduler.core.partners import Partner as Owner
from scheduler.signals.synthetic_day import Season, synthetic_day
from scheduler.sim.site import Partner, SimSite
from scheduler.sim.workload import PowerTrace, SimJob

MOST_W = 210_000.0  #: the highest limit of a day; not all AI and miners together
FIRM_W = 20_000.0  #: holds all nodes idle and all miners at rest
_REST_W = 25  #: of each machine, asleep
_FLICKERS_A_DAY, _DROPS_A_DAY = 2, 2
_JOBS_A_GPU_DAY = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One group of machines of a kind; `kind` counts watts above rest, as decisions do."""

    name: str
    owner: str
    count: int
    kind: MachineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dip:
    """What is left of the limit for a while."""

    begin_s: float
    end_s: float
    part: float


FLEETS = (
    Fleet(
        name="north-air",
        owner="north",
        count=16,
        kind=MachineKind(max_w=3475, least_w=2175, joule_per_th=17.5, min_on_s=600.0, min_off_s=300.0),
    ),
    Fleet(
        name="north-old",
        owner="north",
        count=8,
        kind=MachineKind(max_w=3225, joule_per_th=29.5, min_on_s=900.0, min_off_s=300.0),
    ),
    Fleet(
        name="east",
        owner="east",
        count=16,
        kind=MachineKind(max_w=3225, joule_per_th=29.5, min_on_s=900.0, min_off_s=600.0),
    ),
    Fleet(
        name="south",
        owner="south",
        count=5,
        kind=MachineKind(max_w=5335, least_w=3000, joule_per_th=16.0, min_on_s=600.0, min_off_s=300.0),
    ),
)
OWNERS = (
    Owner(partner_id="north", weight=3, cap_w=77_400, groups=("north-air", "north-old")),
    Owner(partner_id="east", weight=2, cap_w=51_600, groups=("east",)),
    Owner(partner_id="south", weight=1, cap_w=25_800, groups=("south",)),
)
"""Caps in the proportion of the weights, and fleets that reach them: availability is equal, so that kWh can be held
against weights."""


def site() -> SimSite:
    """Six nodes of eight GPUs, and the fleets."""
    return SimSite(
        name="partners",
        nodes=6,
        firm_w=FIRM_W,
        partners=tuple(
            Partner(
                name=f.name,
                max_w=f.count * (f.kind.max_w + _REST_W),
                base_w=f.count * _REST_W,
                machine=f.kind,
            )
            for f in FLEETS
        ),
        owners=OWNERS,
    )


def jobs(on: SimSite, days: float, seed: int) -> list[SimJob]:
    """Poisson arrivals, sizes of powers of two, lognormal lengths; busy and quiet days, three fifths of all GPUs."""
    chance = random.Random(f"jobs-{seed}")
    count = round(_JOBS_A_GPU_DAY * on.total_gpus * days)
    sizes = [size for size in (1, 1, 2, 4, 8, 8, 16) if size <= on.total_gpus]
    drawn = [(chance.choice(sizes), chance.lognormvariate(0.0, 1.2)) for _ in range(count)]
    scale_s = 0.6 * on.total_gpus * days * DAY_S / sum(gpus * length for gpus, length in drawn)
    return [
        SimJob(
            id=f"j{n}",
            arrives_s=round(chance.uniform(0.0, days * DAY_S), 3),
            gpus=gpus,
            work_s=max(1.0, length * scale_s),
        )
        for n, (gpus, length) in enumerate(drawn)
    ]


def limits(days: float, seed: int, season: Season) -> PowerTrace:
    """Synthetic days with withdrawals, and on top of them drops to the firm level and flicker, all unannounced."""
    chance = random.Random(f"limits-{seed}-{season.value}")
    steps: dict[float, float] = {}
    for day in range(math.ceil(days)):
        steps |= _day(day, 1000 * seed + day, season, chance)
    kept = tuple((at_s, limit_w) for at_s, limit_w in sorted(steps.items()) if at_s < days * DAY_S)
    return PowerTrace(name=f"synthetic {season.value} days, seed {seed}", steps=kept)


def _day(day: int, seed: int, season: Season, chance: random.Random) -> dict[float, float]:
    """W by seconds since the window began."""
    planned = {step.at_s: step.share for step in synthetic_day(seed, season)}
    dips = [d for _ in range(_DROPS_A_DAY) for d in _drop(chance)]
    dips += [d for _ in range(_FLICKERS_A_DAY) for d in _flicker(chance)]
    edges = sorted({*planned, *(d.begin_s for d in dips), *(d.end_s for d in dips)})
    starts = sorted(planned)
    return {
        day * DAY_S + at_s: max(
            FIRM_W,
            MOST_W
            * planned[starts[bisect_right(starts, at_s) - 1]]
            * min((d.part for d in dips if d.begin_s <= at_s < d.end_s), default=1.0),
        )
        for at_s in edges
    }


def _drop(chance: random.Random) -> list[_Dip]:
    """To the firm level for one to ten minutes."""
    begin_s = float(chance.randint(300, 85_000))
    return [_Dip(begin_s=begin_s, end_s=begin_s + chance.randint(60, 600), part=0.0)]


def _flicker(chance: random.Random) -> list[_Dip]:
    """For a quarter of an hour to an hour, a part of the limit is taken and given back within seconds to minutes."""
    at_s = float(chance.randint(300, 80_000))
    end_s, part, dips = at_s + chance.randint(900, 3600), chance.uniform(0.3, 0.9), []
    while at_s < end_s:
        off_s, on_s = (float(chance.choice((7, 20, 45, 90, 240))) for _ in range(2))
        dips.append(_Dip(begin_s=at_s, end_s=at_s + off_s, part=part))
        at_s += off_s + on_s
    return dips
