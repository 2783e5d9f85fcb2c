"""What is left unused under a limit that stands, and how high the draw comes back: `python -m benchmarks.steady --json`.

A simulated site of 16 x 8 A100 without miners, with more jobs than it can run, under a limit that goes from `HIGH` of
all that the site can draw to each of `LEVELS` and back. The loop and the core are Barq's own, on a virtual clock. What
is true differs from what the site file says (`--truth`), and the meter is one of class 1: off by up to 1 % (`--offset`),
trembling, and a second late. An outside meter that no part of the site knows judges the true draw every second:

    unused_share            limit less draw, of the limit, by level, while it stands: from `SETTLE_S` after its change on
    unused_parts            what that is made of: margin (what of the limit may not be ordered), orders (what may be, and
                            is not), work (what is ordered, and not drawn), model (what the model says too much)
    over_s                  seconds with the draw over the highest limit of the last `reaction_s`
    rebound_ratio           after each event: the highest minute of the 15 that follow, over the mean of the 15 before it
    rebound_like_ratio      the same over the highest minute of the 15 before it: like with like
    margin                  the share of the limit that was kept free by rule at the end of each level
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from scheduler.core.decide import Decision, PowerAware
from scheduler.core.power import A100_SXM, CapPoint, GpuModel
from scheduler.core.snapshot import MeterReading, SitePolicy, Snapshot
from scheduler.core.trim import BAND, TrimRule
from scheduler.sim.clock import us
from scheduler.sim.engine import Case, Engine
from scheduler.sim.site import Pace, SimSite, Timing
from scheduler.sim.workload import PowerTrace, SimJob

NODES, GPUS, BASE_W, OVERHEAD = 16, 8, 1200.0, 1.25
FULL_W: Final = OVERHEAD * NODES * (BASE_W + GPUS * A100_SXM.tdp_w)
HIGH: Final = 0.97
LEVELS: Final = (0.9, 0.8, 0.7, 0.6, 0.5)
LEAD_S, HIGH_S, LEVEL_S, SETTLE_S, REBOUND_S = 2400.0, 1500.0, 1500.0, 300.0, 900.0
MARGIN: Final = 0.03
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How the site differs from what its file says, and its meter from what is true."""

    overhead: float = 1.0  #: of what the file says that nodes take with the hall
    work: float | None = None  #: of its cap, what a busy GPU draws; None = as measured on A100s
    sway: float = 0.002  #: share by which the hall's draw goes slowly up and down
    offset: float = 0.0  #: share that the meter shows too much
    noise: float = 0.001  #: share by which each reading trembles
    lag_s: int = 1


TRUTHS: Final[Mapping[str, Truth]] = {
    "exact": Truth(),
    "still": Truth(sway=0.0),
    "meter -1 %": Truth(offset=-0.01),
    "meter +1 %": Truth(offset=0.01),
    "hall -3 %": Truth(overhead=0.97),
    "hall -1 %": Truth(overhead=0.99),
    "hall +3 %": Truth(overhead=1.03),
    "hall +3 %, meter -1 %": Truth(overhead=1.03, offset=-0.01),
    "work at its caps": Truth(work=1.0),
    "work at its caps, hall +1 %, meter -1 %": Truth(work=1.0, overhead=1.01, offset=-0.01),
    "work at 90 % of its caps": Truth(work=0.9),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSite(SimSite):
    """With a meter of its own, and GPUs that draw what they draw."""

    trim: TrimRule | None = None
    work: float | None = None

    @property
    def model(self) -> GpuModel:
        """By which GPUs draw: those who decide have the one of the file."""
        known = A100_SXM
        if self.work is None:
            return known
        points = tuple(
            CapPoint(cap_w=p.cap_w, speed=p.speed, draw_w=self.work * p.cap_w) for p in known.curve
        )
        return replace(known, curve=points)

    def policy(self) -> SitePolicy:
        """With what the meter is trusted with."""
        return replace(SimSite.policy(self), trim=self.trim)


@dataclass(slots=True, kw_only=True)
class Second:
    """What held in one second."""

    limit_w: float
    true_w: float
    books_w: float  #: what all orders allow
    usable_w: float  #: what may be ordered
    model_w: float  #: what the file's figures make of the devices' draws


class Hall(Engine):
    """The site, second by second."""

    def __init__(self, case: Case, truth: Truth) -> None:
        super().__init__(replace(case, listener=self._decided))
        self.truth = truth
        self.seconds: list[Second] = []
        self.margin = case.site.margin
        self._chance = random.Random(case.seed)
        self._sway = 0.0
        self._shown: deque[float] = deque(maxlen=truth.lag_s + 1)
        self._books_w = self._usable_w = 0.0

    def _decided(self, snapshot: Snapshot, decision: Decision) -> None:
        self._books_w = decision.planned_w
        self.margin = snapshot.margin
        self._usable_w = decision.limit.limit_w * (1.0 - self.margin) - snapshot.correction_w
        self._books_w -= snapshot.correction_w

    def _measure(self, _: object) -> None:
        now_us, truth = self.timeline.now_us, self.truth
        self.timeline.at(now_us + us(1.0), self._measure, None)
        self._sway = 0.99 * self._sway + 0.14 * self._chance.gauss(0.0, truth.sway / 2)
        sway = max(-truth.sway, min(truth.sway, self._sway))
        model_w = self.notes.site_w()
        true_w = model_w * truth.overhead * (1.0 + sway)
        self.seconds.append(
            Second(
                limit_w=self.supply.limit_w(now_us),
                true_w=true_w,
                books_w=self._books_w,
                usable_w=self._usable_w,
                model_w=model_w,
            )
        )
        self._shown.append(true_w * (1.0 + truth.offset) * (1.0 + self._chance.gauss(0.0, truth.noise)))
        self.loop.on_meter(
            MeterReading(draw_w=self._shown[0], measured_at=self.timeline.now(), source="meter")
        )
        del self.notes.intervals[1:-1]


def bench_site(truth: Truth, *, margin: float, trim: TrimRule | None) -> BenchSite:
    """The site of this benchmark, with the pace of a real one."""
    return BenchSite(
        name="steady",
        nodes=NODES,
        gpus=GPUS,
        base_w=BASE_W,
        standby=None,
        partners=(),
        owners=(),
        firm_w=0.48 * FULL_W,
        overhead=OVERHEAD,
        margin=margin,
        pace=Pace(start_s=5.0, restore_s=20.0, save_s=5.0, checkpoint_interval_s=600.0, grace_s=20.0),
        timing=Timing(
            lease_s=15.0,
            fall_s=3.0,
            clock_uncertainty_s=0.5,
            suspend_max_s=60.0,
            restart_s=20.0,
            unreachable_after_s=5.0,
            lost_after_s=60.0,
            heartbeat_s=2.0,
            meter_s=1.0,
            rest_s=1.0,
        ),
        trim=trim,
        work=truth.work,
    )


def steps() -> tuple[tuple[float, float], ...]:
    """The limit: high, and down to each level and back."""
    found, at_s = [(0.0, HIGH * FULL_W)], LEAD_S
    for level in LEVELS:
        found += [(at_s, level * FULL_W), (at_s + LEVEL_S, HIGH * FULL_W)]
        at_s += LEVEL_S + HIGH_S
    return tuple(found)


def end_s() -> float:
    """When all is over."""
    return steps()[-1][0] + HIGH_S


def jobs_of(seed: int, window_s: float) -> list[SimJob]:
    """More than the site can do, all waiting from the start; those that end are replaced."""
    chance, jobs, gpu_s = random.Random(seed), list[SimJob](), 0.0
    while gpu_s < 1.5 * NODES * GPUS * window_s:
        gpus, work_s = chance.choice([1, 1, 2, 4, 8, 16]), chance.uniform(1200.0, 4 * 3600.0)
        jobs.append(SimJob(id=f"j{len(jobs)}", arrives_s=0.0, gpus=gpus, work_s=work_s))
        gpu_s += gpus * work_s
    return jobs


def run(truth: Truth, *, seed: int, margin: float, trim: TrimRule | None) -> Hall:
    """All levels once."""
    case = Case(
        jobs=jobs_of(seed, end_s()),
        power=PowerTrace(name="levels", steps=steps()),
        site=bench_site(truth, margin=margin, trim=trim),
        policy=PowerAware(explains=False),
        window_s=end_s(),
        seed=seed,
    )
    hall = Hall(case, truth)
    asyncio.run(hall.run())
    return hall


def figures(hall: Hall) -> dict[str, Any]:
    """What the outside meter saw."""
    series = {k: np.array([getattr(s, k) for s in hall.seconds]) for k in Second.__slots__}
    limit_w, true_w = series["limit_w"], series["true_w"]
    by_level = {}
    for level in (HIGH, *LEVELS):
        calm = _steady(limit_w, level * FULL_W)
        by_level[f"{level:.2f}"] = _unused({k: v[calm] for k, v in series.items()})
    calm = _steady(limit_w)
    found = _unused({k: v[calm] for k, v in series.items()})
    rebounds, of_devices = list(_rebounds(true_w)), list(_rebounds(series["model_w"]))
    return {
        "unused_share": found.pop("unused"),
        "unused_parts": found,
        "by_level": by_level,
        "over_s": _over_s(limit_w, true_w, hall.case.site.reaction_s),
        "rebound_ratio": [round(r, 4) for r, _ in rebounds],
        "rebound_like_ratio": [round(r, 4) for _, r in rebounds],
        "rebound_devices_ratio": [round(r, 4) for r, _ in of_devices],
        "margin": round(hall.margin, 4),
    }


def _steady(limit_w: Floats, level_w: float | None = None) -> npt.NDArray[np.bool_]:
    """Seconds in which the limit has stood for `SETTLE_S`, at this level."""
    changed = np.append(0, np.flatnonzero(np.diff(limit_w)) + 1)
    seconds = np.arange(len(limit_w))
    since = seconds - changed[np.searchsorted(changed, seconds, side="right") - 1]
    found = (since >= SETTLE_S) & (seconds >= LEAD_S / 2)
    return found if level_w is None else found & (limit_w == level_w)


def _unused(of: Mapping[str, Floats]) -> dict[str, float]:
    """Shares of the limit."""
    limit_w = of["limit_w"].mean()
    means = {k: float(v.mean()) for k, v in of.items()}
    parts = {
        "unused": means["limit_w"] - means["true_w"],
        "margin": means["limit_w"] - means["usable_w"],
        "orders": means["usable_w"] - means["books_w"],
        "work": means["books_w"] - means["model_w"],
        "model": means["model_w"] - means["true_w"],
    }
    return {k: round(float(w / limit_w), 4) for k, w in parts.items()}


def _over_s(limit_w: Floats, true_w: Floats, reaction_s: float) -> int:
    back = int(reaction_s) + 1
    held_w = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([np.full(back - 1, limit_w[0]), limit_w]), back
    ).max(axis=1)
    return int((true_w > held_w + 0.1).sum())


def _rebounds(true_w: Floats) -> Iterator[tuple[float, float]]:
    """Of each event: against the mean and against the highest minute before it."""
    at_s = LEAD_S
    for _ in LEVELS:
        before = _minutes(true_w, at_s - REBOUND_S)
        peak_w = _minutes(true_w, at_s + LEVEL_S).max()
        yield float(peak_w / before.mean()), float(peak_w / before.max())
        at_s += LEVEL_S + HIGH_S


def _minutes(true_w: Floats, from_s: float) -> Floats:
    start = int(from_s)
    found: Floats = true_w[start : start + int(REBOUND_S)].reshape(-1, 60).mean(axis=1)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of each truth. 1 if a second was over the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steady", description=__doc__.splitlines()[0])
    parser.add_argument("--truth", choices=TRUTHS, action="append", help="only this one; may be given again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--margin", type=float, default=MARGIN)
    parser.add_argument("--least", type=float, default=BAND)
    parser.add_argument("--static", action="store_true", help="the margin stands, whatever the meter proves")
    parser.add_argument("--no-meter", action="store_true", help="the site has no meter of its own")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    over_s = 0
    for name in options.truth or TRUTHS:
        began_s = time.perf_counter()
        trim = (
            None
            if options.no_meter
            else TrimRule(
                most=min(0.02, options.margin), accuracy=None if options.static else 0.01, least=options.least
            )
        )
        found = figures(run(TRUTHS[name], seed=options.seed, margin=options.margin, trim=trim))
        over_s += found["over_s"]
        print(json.dumps({"truth": name, "seed": options.seed, **found}), flush=True)
        print(f"{name}: {time.perf_counter() - began_s:.0f} s", file=sys.stderr)
    return 1 if over_s else 0


if __name__ == "__main__":
    sys.exit(main())
