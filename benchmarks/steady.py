"""What a limit that stands leaves unused, and how high the draw comes back: `python -m benchmarks.steady --json`.

A simulated site of 16 x 8 A100 without miners, with more jobs than it can run, under a limit that goes from `HIGH` of
all that the site can draw to each of `LEVELS` and back. The loop and the core are Barq's own, on a virtual clock. What
is true differs from what the site file says (`--truth`), and the meter is one of class 1, or what `--accuracy` says:
off by no more than that, trembling, and a second late; or it is broken. An outside meter that no part of the site knows
judges the true draw each second:

    unused_share            limit less draw, of the limit, from `SETTLE_S` after its change on; mean of `LEVELS`
    unused_parts            where that goes: `class` (what the meter may be off by), `residual` (what stays free
                            besides, whatever is proven: for what the trim leaves), `shown` (what of the margin the
                            meter shows to be needed, or has not shown not to be), `trim` (taken off because the model
                            says too little), `orders` (what may be ordered, and is not), `caps` (what GPUs that compute
                            leave of their caps), `loading` (the same of those whose work is coming up), `other` (the
                            rest of what is ordered and not drawn; below 0 where work surges), `model` (what the model
                            says too much)
    by_level                the same of each level
    by_time                 the same in stretches of seconds since the limit changed, mean of `LEVELS`
    over_s, over_share      seconds with the draw over the highest limit of the last `reaction_s`, and by how much of it
    rebound_ratio           of each event: the highest minute of the 15 that follow, over the mean of the 15 before it
    rebound_like_ratio      the same over the highest minute of the 15 before it: like with like
    rebound_devices_ratio   as the first, of what devices draw, without the sway of the hall
    rebound_baseline_ratio  with `--baseline`: the highest minute of the 15 that follow, over the highest of the same 15
                            in a run with the same seed whose limit never falls: what is due to the event, and no more
    rebound_chance_ratio    with `--baseline`: the first ratio in that other run, where there is nothing to rebound from
    done_gpu_h              work that was done, in hours of a GPU without a cap; `light` is the part of light jobs
    margin                  share of the limit that was kept free by rule in the end
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.steady_truths import SURGE_AT_S, SURGE_EVERY_S, SURGE_S, Truth, light, truths
from benchmarks.unused import (
    Floats,
    Second,
    Trusted,
    by_time,
    left_of_caps,
    mean_of,
    parts,
    series_of,
    since_change,
)
from scheduler.core.decide import Decision, PowerAware
from scheduler.core.orders import AttemptOrder
from scheduler.core.power import A100_SXM
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.core.trim import BAND, TrimRule
from scheduler.equipment import TRIM_MAX
from scheduler.sim.clock import us
from scheduler.sim.engine import Case, Engine
from scheduler.sim.gang import Gang
from scheduler.sim.metered import MeteredSite
from scheduler.sim.node import SimNode
from scheduler.sim.site import Pace, SimSite, Timing
from scheduler.sim.workload import PowerTrace, SimJob

NODES, GPUS, BASE_W, OVERHEAD = 16, 8, 1200.0, 1.25
FULL_W: Final = OVERHEAD * NODES * (BASE_W + GPUS * A100_SXM.tdp_w)
HIGH: Final = 0.97
LEVELS: Final = (0.9, 0.8, 0.7, 0.6, 0.5)
LEAD_S, HIGH_S, LEVEL_S, SETTLE_S, REBOUND_S = 2400.0, 1500.0, 1500.0, 300.0, 900.0
MARGIN: Final = 0.03
CLASS: Final = 0.01
FALL_S: Final = 3  #: that devices take to draw less
OVER_W: Final = 0.1


class Hall(Engine):
    """The site, second by second."""

    def __init__(self, case: Case, truth: Truth, level_s: float) -> None:
        super().__init__(replace(case, listener=self._decided))
        self.truth, self.level_s = truth, level_s
        self.seconds: list[Second] = []
        self.margin = case.site.margin
        self._chance = random.Random(case.seed)
        self._sway = 0.0
        self._shown: deque[float] = deque(maxlen=truth.lag_s + 1)
        self._books_w = self._usable_w = self._last_w = self._trim_w = 0.0
        self._booked: deque[float] = deque(maxlen=FALL_S + 1)

    def is_light(self, job_id: str) -> bool:
        """Every third job is, where some are."""
        return self.truth.light and int(job_id[1:]) % 3 == 0

    def _gang(self, order: AttemptOrder) -> Gang:
        gang = super()._gang(order)
        if self.is_light(gang.run.job.id):
            gang.model = light(A100_SXM)
        return gang

    def _decided(self, snapshot: Snapshot, decision: Decision) -> None:
        self._books_w = decision.planned_w
        self.margin = snapshot.margin
        self._usable_w = decision.limit.limit_w * (1.0 - self.margin) - snapshot.correction_w
        self._trim_w = snapshot.correction_w
        self._books_w -= self._trim_w

    def _measure(self, _: object) -> None:
        now_us, truth = self.timeline.now_us, self.truth
        self.timeline.at(now_us + us(1.0), self._measure, None)
        self._sway = 0.99 * self._sway + 0.14 * self._chance.gauss(0.0, truth.sway / 2)
        sway = max(-truth.sway, min(truth.sway, self._sway))
        model_w, second = self.notes.site_w(), len(self.seconds)
        self._booked.append(self._books_w)
        if truth.surges and SURGE_AT_S <= second % SURGE_EVERY_S < SURGE_AT_S + SURGE_S:
            model_w = max(self._booked)
        true_w = model_w * truth.overhead * (1.0 + sway)
        self.seconds.append(self._second(true_w, model_w))
        self._shown.append(true_w * (1.0 + truth.offset) * (1.0 + self._chance.gauss(0.0, truth.noise)))
        shown_w = truth.broken(second, self._shown[0], self._last_w) if truth.broken else self._shown[0]
        if shown_w is not None:
            self._last_w = shown_w
            self.loop.on_meter(MeterReading(draw_w=shown_w, measured_at=self.timeline.now(), source="meter"))
        del self.notes.intervals[1:-1]

    def _second(self, true_w: float, model_w: float) -> Second:
        limit_w, overhead = self.supply.limit_w(self.timeline.now_us), self.case.site.overhead
        nodes = [g for g in self.groups.values() if isinstance(g, SimNode)]
        capped_w, loading_w = left_of_caps(nodes, A100_SXM)
        return Second(
            limit_w=limit_w,
            true_w=true_w,
            books_w=self._books_w,
            usable_w=self._usable_w,
            model_w=model_w,
            margin_w=limit_w * self.margin,
            trim_w=self._trim_w,
            capped_w=overhead * capped_w,
            loading_w=overhead * loading_w,
        )


def bench_site(truth: Truth, *, margin: float, trim: TrimRule | None) -> MeteredSite:
    """The site of this benchmark, with the pace of a real one."""
    return MeteredSite(
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
        hall=truth.overhead,
    )


def falls_s(level_s: float) -> Iterator[float]:
    """When the limit falls to each of the levels."""
    return (LEAD_S + n * (level_s + HIGH_S) for n in range(len(LEVELS)))


def steps(levels: Sequence[float], level_s: float) -> tuple[tuple[float, float], ...]:
    """The limit: high, and down to each level and back."""
    found = [(0.0, HIGH * FULL_W)]
    for at_s, level in zip(falls_s(level_s), levels, strict=False):
        found += [(at_s, level * FULL_W), (at_s + level_s, HIGH * FULL_W)]
    return tuple(found)


def end_s(level_s: float) -> float:
    """When all is over."""
    return steps(LEVELS, level_s)[-1][0] + HIGH_S


def jobs_of(seed: int, window_s: float) -> list[SimJob]:
    """More than the site can do, all waiting from the start; those that end are replaced."""
    chance, jobs, gpu_s = random.Random(seed), list[SimJob](), 0.0
    while gpu_s < 1.5 * NODES * GPUS * window_s:
        gpus, work_s = chance.choice([1, 1, 2, 4, 8, 16]), chance.uniform(1200.0, 4 * 3600.0)
        jobs.append(SimJob(id=f"j{len(jobs)}", arrives_s=0.0, gpus=gpus, work_s=work_s))
        gpu_s += gpus * work_s
    return jobs


def run(
    truth: Truth,
    *,
    seed: int,
    margin: float,
    trim: TrimRule | None,
    level_s: float = LEVEL_S,
    levels: Sequence[float] = LEVELS,
) -> Hall:
    """All levels once, each for so long."""
    window_s = end_s(level_s)
    case = Case(
        jobs=jobs_of(seed, window_s),
        power=PowerTrace(name="levels", steps=steps(levels, level_s)),
        site=bench_site(truth, margin=margin, trim=trim),
        policy=PowerAware(explains=False),
        window_s=window_s,
        seed=seed,
    )
    hall = Hall(case, truth, level_s)
    asyncio.run(hall.run())
    return hall


def figures(hall: Hall) -> dict[str, Any]:
    """What the outside meter saw."""
    series, trusted = series_of(hall.seconds), _trusted(hall.case.site)
    limit_w, true_w = series["limit_w"], series["true_w"]
    calm = (since_change(limit_w) >= SETTLE_S) & (np.arange(len(limit_w)) >= LEAD_S)
    by_level = {}
    for level in (HIGH, *LEVELS):
        here = calm & (limit_w == level * FULL_W)
        by_level[f"{level:.2f}"] = parts({k: v[here] for k, v in series.items()}, trusted)
    found = mean_of([by_level[f"{level:.2f}"] for level in LEVELS])
    levels_w = [level * FULL_W for level in LEVELS]
    over_w = _over_w(limit_w, true_w, hall.case.site.reaction_s)
    rebounds = list(_rebounds(true_w, hall.level_s))
    of_devices = list(_rebounds(series["model_w"], hall.level_s))
    return {
        "unused_share": found.pop("unused"),
        "unused_parts": found,
        "by_level": by_level,
        "by_time": by_time(series, levels_w, trusted, from_s=LEAD_S),
        "over_s": int((over_w > OVER_W).sum()),
        "over_share": round(float((over_w / limit_w).max(initial=0.0)), 5),
        "rebound_ratio": [round(r, 4) for r, _ in rebounds],
        "rebound_like_ratio": [round(r, 4) for _, r in rebounds],
        "rebound_devices_ratio": [round(r, 4) for r, _ in of_devices],
        "done_gpu_h": _done_gpu_h(hall),
        "margin": round(hall.margin, 4),
    }


def _done_gpu_h(hall: Hall) -> dict[str, float]:
    """What was computed of all jobs, and of those that are light where some are."""
    done = {name: run.progress_s * run.job.gpus / 3600 for name, run in hall.runs.items()}
    light_gpu_h = sum(gpu_h for name, gpu_h in done.items() if hall.is_light(name))
    return {"all": round(sum(done.values()), 2), "light": round(light_gpu_h, 2)}


def _trusted(site: SimSite) -> Trusted:
    rule = site.trim if isinstance(site, MeteredSite) else None
    if rule is None or rule.accuracy is None:
        return Trusted(accuracy=0.0, least=0.0)
    return Trusted(accuracy=rule.accuracy, least=rule.least)


def against_baseline(hall: Hall, calm: Hall) -> dict[str, list[float]]:
    """What followed the events, and what was there without them."""
    true_w, calm_w = (np.array([s.true_w for s in h.seconds]) for h in (hall, calm))
    behind_s = [at_s + hall.level_s for at_s in falls_s(hall.level_s)]
    ratios = [float(_minutes(true_w, at_s).max() / _minutes(calm_w, at_s).max()) for at_s in behind_s]
    return {
        "rebound_baseline_ratio": [round(r, 4) for r in ratios],
        "rebound_chance_ratio": [round(r, 4) for r, _ in _rebounds(calm_w, hall.level_s)],
    }


def _over_w(limit_w: Floats, true_w: Floats, reaction_s: float) -> Floats:
    back = int(reaction_s) + 1
    held_w = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([np.full(back - 1, limit_w[0]), limit_w]), back
    ).max(axis=1)
    above_w: Floats = np.maximum(0.0, true_w - held_w)
    return above_w


def _rebounds(true_w: Floats, level_s: float) -> Iterator[tuple[float, float]]:
    """Of each event: against the mean and against the highest minute before it."""
    for at_s in falls_s(level_s):
        before = _minutes(true_w, at_s - REBOUND_S)
        peak_w = _minutes(true_w, at_s + level_s).max()
        yield float(peak_w / before.mean()), float(peak_w / before.max())


def _minutes(true_w: Floats, from_s: float) -> Floats:
    start = int(from_s)
    found: Floats = true_w[start : start + int(REBOUND_S)].reshape(-1, 60).mean(axis=1)
    return found


def _rule(options: argparse.Namespace) -> TrimRule | None:
    """What the meter is trusted with; None = there is none."""
    if options.no_meter:
        return None
    accuracy = None if options.static else options.accuracy
    least = options.accuracy + BAND if options.least is None else options.least
    return TrimRule(most=min(TRIM_MAX, options.margin), accuracy=accuracy, least=least)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of each truth. 1 if a second was over the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steady", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--truth", choices=truths(CLASS), action="append", help="only this one; may be given again"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--margin", type=float, default=MARGIN)
    parser.add_argument("--accuracy", type=float, default=CLASS, help="of the meter, as its site file says")
    parser.add_argument(
        "--least", type=float, help="share of the limit that stays free at least; else accuracy + 0.002"
    )
    parser.add_argument("--level-s", type=float, default=LEVEL_S, help="how long the limit stands at a level")
    parser.add_argument("--static", action="store_true", help="the margin stands, whatever the meter proves")
    parser.add_argument("--no-meter", action="store_true", help="the site has no meter of its own")
    parser.add_argument("--baseline", action="store_true", help="beside a run whose limit never falls")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    over_s = 0
    known = truths(options.accuracy)
    for name in options.truth or known:
        began_s = time.perf_counter()
        asked: dict[str, Any] = {
            "seed": options.seed,
            "margin": options.margin,
            "trim": _rule(options),
            "level_s": options.level_s,
        }
        hall = run(known[name], **asked)
        found = figures(hall)
        if options.baseline:
            found |= against_baseline(hall, run(known[name], **asked, levels=()))
        over_s += found["over_s"]
        print(
            json.dumps({"truth": name, "seed": options.seed, "accuracy": options.accuracy, **found}),
            flush=True,
        )
        print(f"{name}: {time.perf_counter() - began_s:.0f} s", file=sys.stderr)
    return 1 if over_s else 0


if __name__ == "__main__":
    sys.exit(main())
